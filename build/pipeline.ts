// The whole story on one screen: recipe -> plan -> sources -> build -> tree -> artifact -> verdict.
// Each stage is a function in a room of its own; this file only says in which order, and reports what it did.
import { join, resolve } from 'node:path';
import { compile } from './compile/compile.ts';
import { engineNamed, requireNative } from './compile/engine.ts';
import { probeHost } from './compile/host.ts';
import { bootstrapDigest, link } from './compile/link.ts';
import { archiveImage } from './image/archive.ts';
import { openBase } from './image/base.ts';
import { type Image, packageImage } from './image/image.ts';
import { runtimeLayers } from './image/layers.ts';
import type { Context } from './lib/context.ts';
import { isMakeRuntimeError, MakeRuntimeError, throwIfCancelled } from './lib/errors.ts';
import { writeWhole } from './lib/folder.ts';
import { readBuildRecord, stableJson } from './package/build-json.ts';
import { type Layer, packageLayer } from './package/package.ts';
import { readZip } from './package/unzip.ts';
import { librariesFor } from './recipe/libraries.ts';
import { loadRecipe, recipeNames } from './recipe/load.ts';
import type { Plan } from './recipe/model.ts';
import { parseRecipeName } from './recipe/name.ts';
import { chooseFlavor, parseArch, parseProfile, plan } from './recipe/plan.ts';
import type { ImageFormat } from './registry/formats.ts';
import { readLock } from './source/lock.ts';
import { fetchPlanSource } from './source/obtain.ts';
import { prune } from './tree/prune.ts';
import { emptyTree, fileAt, makeTree, mergeTrees, readTree } from './tree/tree.ts';
import { verifyArtifact } from './verify/artifact.ts';
import { type Verdict, verdictError } from './verify/verdict.ts';
import { installExtras } from './wheels/extras.ts';

export interface PlanRequest {
  /** As a user types it: "3.13", "3.13t", "./mine.toml". */
  readonly recipe: string;
  readonly flavor?: string;
  readonly arch?: string;
  readonly profile?: string;
  readonly engine?: string;
  readonly python?: string;
  readonly withHeaders?: boolean;
}

export interface Built {
  readonly plan: Plan;
  readonly layer: Layer;
  readonly verdict: Verdict;
}

/** What a request means on this machine, before anything is done about it. */
export async function resolvePlan(request: PlanRequest, ctx: Context): Promise<Plan> {
  engineNamed(request.engine ?? 'host');
  const named = parseRecipeName(request.recipe, await recipeNames(ctx.packageDir));
  const recipe = await loadRecipe(named.reference, ctx.packageDir);
  const version = request.python ?? named.version;
  const { builder } = await probeHost(librariesFor(recipe.python, []), ctx.env);
  return plan(
    recipe,
    {
      flavor: chooseFlavor(named.flavor, request.flavor),
      arch: parseArch(request.arch ?? process.arch),
      profile: parseProfile(request.profile ?? 'fast'),
      ...(version === undefined ? {} : { version }),
      withHeaders: request.withHeaders ?? false,
    },
    await readLock(ctx.packageDir),
    builder,
    await bootstrapDigest(ctx.packageDir),
  );
}

/** Obeys a plan: `<output>/<plan name>/` gets layer.zip, plan.json, ledger.json and verdict.json. */
export async function buildRuntime(plan: Plan, output: string, ctx: Context): Promise<Built> {
  const outDir = join(resolve(output), plan.name);
  const stage = stages(ctx);
  requireNative(plan.arch);

  const lock = await readLock(ctx.packageDir);
  const source = await stage('sources', `CPython ${plan.python.version} source`, () =>
    fetchPlanSource(plan, lock, ctx),
  );
  const build = await stage('compile', `compile ${plan.python.executable} (${plan.flavor})`, () =>
    compile(plan, source, ctx),
  );
  const executable = await stage('link', 'link the bootstrap', () => link(plan, build, ctx));
  const extras = plan.extras
    ? await stage('extras', 'bake in packages', () => installExtras(plan, executable.path, ctx))
    : emptyTree;
  const layer = await stage('package', 'package layer.zip', async () => {
    const installed = mergeTrees(
      await readTree(build.prefix),
      makeTree([[`bin/${plan.python.executable}`, await fileAt(executable.path)]]),
    );
    const { tree, ledger } = prune(installed, plan.prune);
    const notices = await readTree(join(build.embed, 'notices'));
    return packageLayer({ tree: mergeTrees(tree, extras), plan, ledger, notices, outDir }, ctx);
  });
  await writeWhole(join(outDir, 'plan.json'), stableJson(plan));
  const verdict = await stage('verify', 'verify', () => verifyArtifact(layer.path, {}, ctx));
  await writeWhole(join(outDir, 'verdict.json'), stableJson(verdict));
  return { plan, layer, verdict };
}

export interface ImageRequest {
  /** A layer.zip of make-runtime. */
  readonly layer: string;
  /** An image reference, "layout:DIR" or "scratch". */
  readonly base: string;
  readonly format: ImageFormat;
  readonly pip: boolean;
  /** "name:tag", make-runtime/<plan name>:latest when absent: what `docker load` and `podman load` will call it. */
  readonly name?: string;
  /** Write an archive as well. */
  readonly tar: boolean;
}

/**
 * A layer -> an image with the same runtime: `<output>/<plan name>/image` gets the OCI layout, and image.tar beside it
 * the archive where one is asked for. Makes nothing of a layer whose verdict is not good.
 */
export async function buildImage(
  { layer, base, format, pip, name, tar }: ImageRequest,
  output: string,
  ctx: Context,
  verdict?: Verdict,
): Promise<Image & { readonly plan: Plan }> {
  const stage = stages(ctx);
  const tree = await readZip(layer);
  const record = await readBuildRecord(tree);
  if (!record) {
    throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `${layer} is not a layer that make-runtime built.`, {
      remedy: 'Give the layer.zip that `make-runtime build` writes, or a recipe.',
    });
  }
  const { plan } = record;
  const found = await stage('base', `base image ${base}`, () => openBase(base, plan.arch, ctx));
  const failure = verdictError(verdict ?? (await stage('verify', 'verify', () => verifyArtifact(layer, {}, ctx))));
  if (failure) throw failure;
  const outDir = join(resolve(output), plan.name);
  const called = name ?? `make-runtime/${plan.name}:latest`;
  const image = await stage('image', 'package the image', async () => {
    const layers = await runtimeLayers({ path: layer, tree, plan, pip }, ctx);
    return packageImage({ plan, layers, base: found, format, name: called, folder: join(outDir, 'image') }, ctx);
  });
  if (!tar) return { ...image, plan };
  const path = join(outDir, 'image.tar');
  await stage('archive', 'write image.tar', () => archiveImage(image, path, { name: called, epoch: plan.epoch }, ctx));
  return { ...image, path, plan };
}

/** Wraps a stage in its events; a stage result says by itself whether it came from the cache. */
function stages(ctx: Context) {
  return async <Result>(stage: string, title: string, run: () => Promise<Result>): Promise<Result> => {
    throwIfCancelled(ctx.signal);
    const start = Date.now();
    ctx.report({ type: 'stage-start', stage, title });
    try {
      const result = await run();
      const cached = typeof result === 'object' && result !== null && 'cached' in result && result.cached === true;
      ctx.report({ type: 'stage-end', stage, title, milliseconds: Date.now() - start, cached });
      return result;
    } catch (error) {
      ctx.report({ type: 'stage-failed', stage, title, milliseconds: Date.now() - start });
      if (!isMakeRuntimeError(error)) throwIfCancelled(ctx.signal); // What a child died of is not news after Ctrl-C.
      throw error;
    }
  };
}
