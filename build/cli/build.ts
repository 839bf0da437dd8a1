// `make-runtime build`: runs the flow to verified layers, one or many side by side, and says where they are.
import { availableParallelism, freemem } from 'node:os';
import { batchError, buildAll, everyRequest } from '../batch.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { buildRuntime, type PlanRequest, resolvePlan } from '../pipeline.ts';
import { listRecipes } from '../recipe/list.ts';
import { loadRecipe, recipeNames } from '../recipe/load.ts';
import { readLock } from '../source/lock.ts';
import { verdictError } from '../verify/verdict.ts';
import type { Edge } from './edge.ts';
import { seconds } from './progress.ts';

export interface BuildOptions extends Omit<PlanRequest, 'recipe'> {
  readonly output: string;
  readonly all?: boolean;
}

export async function build(recipes: readonly string[], options: BuildOptions, edge: Edge): Promise<void> {
  if ((recipes.length === 0) !== (options.all === true)) {
    throw new MakeRuntimeError('USAGE', options.all ? '--all means every recipe.' : 'Which recipe?', {
      remedy: 'Name recipes (make-runtime list), or say --all.',
    });
  }
  const [recipe, ...more] = recipes;
  if (recipe === undefined || more.length > 0) return buildSeveral(recipes, options, edge);
  const request = { ...options, recipe };
  const plan = await resolvePlan(request, edge.ctx);
  for (const note of plan.notes) edge.ctx.report({ type: 'note', message: note });
  const { layer, verdict } = await buildRuntime(plan, options.output, edge.ctx, request);
  const failure = verdictError(verdict);
  if (failure) throw failure;
  edge.say(
    `${megabytes(layer.size)} zipped, ${megabytes(layer.unpacked)} unpacked, ${layer.files} files, plan ${plan.id}`,
  );
  edge.print(
    edge.json
      ? JSON.stringify({ plan: plan.id, name: plan.name, python: plan.python.version, ...layer, ok: verdict.ok })
      : layer.path,
  );
}

async function buildSeveral(recipes: readonly string[], options: BuildOptions, edge: Edge): Promise<void> {
  const { ctx } = edge;
  const requests = options.all
    ? everyRequest(await shippedRecipes(ctx.packageDir), options)
    : recipes.map((recipe) => ({ ...options, recipe }));
  const cores = Number(ctx.env['MAKE_RUNTIME_JOBS']) || availableParallelism();
  const results = await buildAll(requests, options.output, ctx, { cores, memory: availableMemory() });
  const failure = batchError(results);
  if (edge.json) {
    edge.print(
      JSON.stringify(
        results.map(({ name, built, error, milliseconds }) => ({
          name,
          ok: built !== undefined,
          milliseconds,
          ...(built ? { plan: built.plan.id, python: built.plan.python.version, ...built.layer } : {}),
          ...(error === undefined ? {} : { code: (error as Partial<MakeRuntimeError>).code ?? 'INTERNAL' }),
        })),
      ),
    );
  } else {
    const width = Math.max(...results.map(({ name }) => name.length));
    edge.say(
      results
        .map(({ name, built, error, milliseconds }) => {
          const mark = built ? edge.colors.green('✓') : edge.colors.red('✗');
          const code = (error as Partial<MakeRuntimeError> | undefined)?.code ?? 'INTERNAL';
          return `${mark} ${name.padEnd(width)}  ${seconds(milliseconds).padStart(12)}  ${built ? megabytes(built.layer.size) : code}`;
        })
        .join('\n'),
    );
    const paths = results.flatMap(({ built }) => (built ? [built.layer.path] : []));
    if (paths.length > 0) edge.print(paths.join('\n'));
  }
  if (failure) throw failure;
}

/** What `list` shows. */
export async function shippedRecipes(packageDir: string) {
  const names = await recipeNames(packageDir);
  const recipes = await Promise.all(names.map((name) => loadRecipe({ kind: 'shipped', name }, packageDir)));
  return listRecipes(recipes, await readLock(packageDir), new Date().toISOString().slice(0, 10));
}

/** What a container or cgroup leaves us, where Node can tell; what is free otherwise. */
function availableMemory(): number {
  return process.availableMemory?.() ?? freemem();
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
