// `make-runtime bake`: writes a folder that `docker buildx bake` turns into layers, and starts nothing itself.
// `make-runtime pack`: the last stage of that, from compiled parts to layer.zip.
import { copyFile, cp, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { everyRequest } from '../batch.ts';
import {
  bakeFiles,
  type ContainerPlan,
  fromSource,
  librariesName,
  requireContainerPlan,
  requireStoredProfile,
  targetName,
} from '../compile/bake.ts';
import { requireProfile } from '../compile/profile.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { exists, writeWhole } from '../lib/folder.ts';
import { type PlanRequest, packageRuntime, resolvePlan } from '../pipeline.ts';
import { prefix } from '../recipe/cpython.ts';
import { readPlan } from '../recipe/plan-file.ts';
import { digestFile } from '../source/cache.ts';
import { readLock } from '../source/lock.ts';
import { fetchLibrarySources, fetchPlanSource } from '../source/obtain.ts';
import { shippedRecipes } from './build.ts';
import type { Edge } from './edge.ts';

export interface BakeOptions extends Omit<PlanRequest, 'recipe' | 'arch'> {
  readonly output: string;
  readonly all?: boolean;
  readonly arch: readonly string[];
}

export async function bake(recipes: readonly string[], options: BakeOptions, edge: Edge): Promise<void> {
  const { ctx } = edge;
  if ((recipes.length === 0) !== (options.all === true)) {
    throw new MakeRuntimeError('USAGE', options.all ? '--all means every recipe.' : 'Which recipe?', {
      remedy: 'Name recipes or plan files (.json), or say --all.',
    });
  }
  const { arch: archs, engine = 'container', ...shared } = options;
  const request = { ...shared, engine: engine === 'auto' ? 'container' : engine };
  const requests = options.all
    ? everyRequest(await shippedRecipes(ctx.packageDir), request)
    : recipes.map((recipe) => ({ ...request, recipe }));
  const plans: ContainerPlan[] = [];
  for (const one of requests) {
    for (const arch of archs.length > 0 ? archs : [undefined]) {
      const plan = await resolvePlan({ ...one, ...(arch === undefined ? {} : { arch }) }, ctx);
      requireContainerPlan(plan);
      requireStoredProfile(plan, request.profileData);
      if (!plans.some(({ name }) => name === plan.name)) plans.push(plan);
    }
  }
  const folder = resolve(options.output);
  // What is there is replaced whole, so it had better be ours.
  const there = await readdir(folder).catch((): string[] => []);
  if (there.length > 0 && !there.includes('docker-bake.json')) {
    throw new MakeRuntimeError('USAGE', `${folder} is neither empty nor a folder of \`bake\`.`, {
      remedy: 'Name another one with --output.',
    });
  }
  const scratch = `${folder}.${process.pid}.partial`;
  try {
    await writeContext(scratch, plans, request.profileData, ctx);
    // Layers of an earlier bake are results, not part of what is replaced.
    if (there.includes('out')) await rename(join(folder, 'out'), join(scratch, 'out'));
    await rm(folder, { recursive: true, force: true });
    await rename(scratch, folder);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  edge.say(`Run there: docker buildx bake -f docker-bake.json; layers go to out/<name>/layer.zip.`);
  edge.print(
    edge.json
      ? JSON.stringify({ folder, targets: plans.map((plan) => ({ target: targetName(plan), plan: plan.id })) })
      : folder,
  );
}

async function writeContext(
  folder: string,
  plans: readonly ContainerPlan[],
  profileData: string | undefined,
  ctx: Edge['ctx'],
): Promise<void> {
  await mkdir(join(folder, 'sources'), { recursive: true });
  for (const [path, text] of bakeFiles(plans)) await writeWhole(join(folder, path), text);
  const lock = await readLock(ctx.packageDir);
  for (const plan of plans) {
    const source = await fetchPlanSource(plan, lock, ctx);
    await copyFile(source, join(folder, 'sources', plan.source.file));
    if (plan.profiling && profileData !== undefined) {
      await requireProfile(profileData, plan.profiling.data, ctx.signal);
      await copyFile(profileData, join(folder, 'plans', plan.name, 'inputs', 'profile.tar'));
    }
    await copyLibraries(plan, join(folder, 'libraries', librariesName(plan)), ctx);
  }
  if (!(await exists(join(ctx.packageDir, 'dist', 'cli.js')))) {
    throw new MakeRuntimeError('USAGE', 'make-runtime is not bundled, and bake sends the bundle along.', {
      remedy: 'Run `npm run prepare` in the checkout first.',
    });
  }
  const copied = [
    'dist/cli.js',
    'dist/chunks',
    'dist/THIRD_PARTY_LICENSES.txt',
    'recipes',
    'bootstrap-src',
    'LICENSE',
    'package.json',
  ];
  for (const path of copied) {
    const target = join(folder, 'make-runtime', path);
    await mkdir(dirname(target), { recursive: true });
    await cp(join(ctx.packageDir, path), target, {
      recursive: true,
      filter: (name) => !/[\\/](test|__pycache__)$/.test(name.slice(ctx.packageDir.length)),
    });
  }
}

/** The archives, and the hashes of these very files: a repacked mirror has others than the plan names. */
async function copyLibraries(plan: ContainerPlan, folder: string, ctx: Edge['ctx']): Promise<void> {
  if (fromSource(plan).length === 0) return;
  const archives = await fetchLibrarySources(plan, ctx);
  const sums: string[] = [];
  for (const { name } of fromSource(plan)) {
    const archive = archives.get(name);
    if (archive === undefined) throw new TypeError(`no source for ${name}`);
    await copyFile(archive, join(folder, name, 'source'));
    sums.push(`${(await digestFile(archive, ctx.signal)).sha256}  ${name}/source\n`);
  }
  await writeWhole(join(folder, 'SHA256SUMS'), sums.join(''));
}

export async function pack(
  options: Readonly<Record<'plan' | 'compiled' | 'executable' | 'source' | 'output', string>>,
  edge: Edge,
): Promise<void> {
  const plan = await readPlan(options.plan);
  const compiled = resolve(options.compiled);
  const parts = {
    prefix: join(compiled, 'root', prefix),
    embed: join(compiled, 'embed'),
    executable: resolve(options.executable),
    source: resolve(options.source),
  };
  for (const path of Object.values(parts)) {
    if (!(await exists(path)))
      throw new MakeRuntimeError('USAGE', `${path} is not there: these are not the parts of a build.`);
  }
  const { layer } = await packageRuntime(plan, parts, resolve(options.output), edge.ctx);
  edge.print(edge.json ? JSON.stringify({ plan: plan.id, ...layer }) : layer.path);
}
