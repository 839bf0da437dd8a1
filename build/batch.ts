// Several runtimes side by side: as many at a time as cores and memory allow, each failure noted and passed over. Knows
// how to share a machine; how one runtime is built is pipeline.ts's affair.
import type { Context } from './lib/context.ts';
import { joinFailures, throwIfCancelled } from './lib/errors.ts';
import { type Built, buildRuntime, type PlanRequest, resolvePlan } from './pipeline.ts';
import type { Flavor, Plan } from './recipe/model.ts';
import { printRecipeName } from './recipe/name.ts';
import { verdictError } from './verify/verdict.ts';

export interface Machine {
  readonly cores: number;
  /** Bytes that processes could take now. */
  readonly memory: number;
}

export interface BatchResult {
  /** The plan's name, or the recipe's when there is no plan. */
  readonly name: string;
  readonly milliseconds: number;
  readonly built?: Built;
  readonly error?: unknown;
}

// Room for one build: two compilers at -O2 on CPython's largest files, and `verify`. Linking with LTO needs most.
const memoryOf = { fast: 1e9, release: 3e9 } as const;

/**
 * How to share a machine. Parts of a build run on one core only (configure, install, linking, packaging), so builds
 * side by side with fewer compilers each finish earlier than one after the other with all of them.
 * @returns builds at a time, and compilers in each
 */
export function share(
  machine: Machine,
  builds: number,
  profile: keyof typeof memoryOf,
): { readonly builds: number; readonly jobs: number } {
  const byMemory = Math.floor(machine.memory / memoryOf[profile]);
  const together = Math.max(1, Math.min(builds, machine.cores, byMemory));
  return { builds: together, jobs: Math.max(1, Math.floor(machine.cores / together)) };
}

/**
 * Builds every request, several at a time. One that fails is a result like the others; only CANCELLED is thrown.
 * Requests that resolve to the same plan are built once.
 */
export async function buildAll(
  requests: readonly PlanRequest[],
  output: string,
  ctx: Context,
  machine: Machine,
  one: (request: PlanRequest, plan: Plan, output: string, ctx: Context) => Promise<Built> = buildOne,
): Promise<readonly BatchResult[]> {
  const failures: BatchResult[] = [];
  const plans = new Map<string, { readonly request: PlanRequest; readonly plan: Plan }>();
  for (const request of requests) {
    const start = Date.now();
    try {
      const plan = await resolvePlan(request, ctx);
      plans.set(plan.name, { request, plan });
    } catch (error) {
      throwIfCancelled(ctx.signal);
      failures.push({ name: nameOf(request), milliseconds: Date.now() - start, error });
    }
  }
  const waiting = [...plans.values()];
  const profile = waiting.some(({ plan }) => plan.profile === 'release') ? 'release' : 'fast';
  const { builds, jobs } = share(machine, waiting.length, profile);
  const env = { ...ctx.env, MAKE_RUNTIME_JOBS: String(jobs) };
  const results: BatchResult[] = [];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined && !ctx.signal.aborted; next = waiting.shift()) {
      const { request, plan } = next;
      const start = Date.now();
      const { name } = plan;
      try {
        const own = {
          ...ctx,
          env,
          report: (event: Parameters<Context['report']>[0]) => ctx.report({ ...event, build: name }),
        };
        results.push({ name, built: await one(request, plan, output, own), milliseconds: Date.now() - start });
      } catch (error) {
        results.push({ name, error, milliseconds: Date.now() - start });
      }
    }
  };
  await Promise.all(Array.from({ length: builds }, worker));
  throwIfCancelled(ctx.signal);
  return [...results, ...failures].sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function buildOne(request: PlanRequest, plan: Plan, output: string, ctx: Context): Promise<Built> {
  const built = await buildRuntime(plan, output, ctx, request);
  const failure = verdictError(built.verdict);
  if (failure) throw failure;
  return built;
}

/** The error of a batch with failures: their common code, or BUILDS_FAILED when they differ. */
export function batchError(results: readonly BatchResult[]): Error | undefined {
  const failures = results.flatMap(({ name, error }) => (error === undefined ? [] : [{ name, error }]));
  return joinFailures(failures, results.length, {
    message: `${failures.length} of ${results.length} builds failed; the others are done.`,
    code: 'BUILDS_FAILED',
    remedy: 'Cure them one by one and run the same command again: what is done is cached.',
    below: ({ remedy }) => [remedy],
  });
}

/** Every recipe in every flavour that it has, as requests. */
export function everyRequest(
  recipes: readonly { readonly name: string; readonly flavors: readonly Flavor[] }[],
  request: Omit<PlanRequest, 'recipe'>,
): readonly PlanRequest[] {
  return recipes.flatMap(({ name, flavors }) =>
    flavors
      .filter((flavor) => request.flavor === undefined || flavor === request.flavor)
      .map((flavor) => ({ ...request, recipe: name, flavor })),
  );
}

function nameOf({ recipe, flavor }: PlanRequest): string {
  return flavor === undefined ? recipe : printRecipeName(recipe, flavor as Flavor);
}
