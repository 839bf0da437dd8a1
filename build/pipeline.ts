// The whole story on one screen: recipe -> plan -> sources -> build -> tree -> artifact -> verdict.
// Each stage is a function in a room of its own; this file only says in which order, and reports what it did.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { compile, type Inputs, train } from './compile/compile.ts';
import { engineNamed, requireNative } from './compile/engine.ts';
import { probeHost } from './compile/host.ts';
import { compileLibraries } from './compile/libraries.ts';
import { bootstrapDigest, link } from './compile/link.ts';
import { profileDigest, requireProfile } from './compile/profile.ts';
import type { Context } from './lib/context.ts';
import { isMakeRuntimeError, throwIfCancelled } from './lib/errors.ts';
import { writeWhole } from './lib/folder.ts';
import { langFolder } from './package/layout.ts';
import { type Layer, packageLayer } from './package/package.ts';
import { stableJson } from './recipe/canonical.ts';
import { librariesFor } from './recipe/libraries.ts';
import { loadRecipe, recipeNames } from './recipe/load.ts';
import type { Plan } from './recipe/model.ts';
import { parseRecipeName } from './recipe/name.ts';
import { chooseFlavor, parseArch, parseLibraries, parseProfile, parsePrune, plan } from './recipe/plan.ts';
import { takeInventory, toolVersion } from './sbom/inventory.ts';
import { type Statements, writeStatements } from './sbom/write.ts';
import { digestFile } from './source/cache.ts';
import { readLock } from './source/lock.ts';
import { fetchLibrarySources, fetchPlanSource } from './source/obtain.ts';
import { prune } from './tree/prune.ts';
import { fileAt, makeTree, mergeTrees, readTree } from './tree/tree.ts';
import { verifyArtifact } from './verify/artifact.ts';
import type { Verdict } from './verify/verdict.ts';

export interface PlanRequest {
  /** As a user types it: "3.13", "3.13t", "./mine.toml". */
  readonly recipe: string;
  readonly flavor?: string;
  readonly arch?: string;
  readonly profile?: string;
  readonly engine?: string;
  readonly python?: string;
  readonly withHeaders?: boolean;
  readonly libraries?: string;
  readonly prune?: string;
  /** Path of a stored profile: the profile.tar of an earlier release build. */
  readonly profileData?: string;
}

/** Files that a build takes beside the plan, which has their hashes. */
export interface BuildChoice {
  /** A stored profile: the profile.tar of an earlier release build. */
  readonly profileData?: string | undefined;
}

export interface Built {
  readonly plan: Plan;
  readonly layer: Layer;
  readonly statements: Statements;
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
      ...(request.libraries === undefined ? {} : { libraries: parseLibraries(request.libraries) }),
      ...(request.prune === undefined ? {} : { prune: parsePrune(request.prune) }),
      training: (await digestFile(trainingProgram(ctx), ctx.signal)).sha256,
      ...(request.profileData === undefined
        ? {}
        : { profileData: await profileDigest(request.profileData, ctx.signal) }),
    },
    await readLock(ctx.packageDir),
    builder,
    await bootstrapDigest(ctx.packageDir),
  );
}

/** Obeys a plan: `<output>/<plan name>/` gets layer.zip, what is stated about it, and plan.json. */
export async function buildRuntime(plan: Plan, output: string, ctx: Context, how: BuildChoice = {}): Promise<Built> {
  const outDir = join(resolve(output), plan.name);
  const stage = stages(ctx);
  requireNative(plan.arch);

  const lock = await readLock(ctx.packageDir);
  const source = await stage('sources', `CPython ${plan.python.version} source`, () =>
    fetchPlanSource(plan, lock, ctx),
  );
  const inputs = { source, ...(await libraries(plan, stage, ctx)) };
  const profile = await profileOf(plan, inputs, how.profileData, stage, ctx);
  // Kept beside the artifact: training again would count differently, and so give other bytes.
  if (profile !== undefined) await writeWhole(join(outDir, 'profile.tar'), await readFile(profile));
  const build = await stage('compile', `compile ${plan.python.executable} (${plan.flavor})`, () =>
    compile(plan, { ...inputs, profile }, ctx),
  );
  const executable = await stage('link', 'link the bootstrap', () => link(plan, build, ctx));
  const { layer, components } = await stage('package', 'package layer.zip', async () => {
    const installed = mergeTrees(
      await readTree(build.prefix),
      makeTree([[`bin/${plan.python.executable}`, await fileAt(executable.path)]]),
    );
    const { tree, ledger } = prune(installed, plan.prune);
    const { components, notices } = await takeInventory({ plan, source, tree }, ctx);
    const texts = mergeTrees(await readTree(join(build.embed, 'notices')), notices);
    return { components, layer: await packageLayer({ tree, plan, ledger, components, notices: texts, outDir }, ctx) };
  });
  const statements = await stage('sbom', 'write SBOM and provenance', async () => {
    const artifact = { kind: 'layer', file: 'layer.zip', sha256: layer.sha256, home: langFolder } as const;
    const { sha256 } = await digestFile(executable.path, ctx.signal);
    const program = { path: `bin/${plan.python.executable}`, sha256 };
    const version = await toolVersion(ctx.packageDir);
    return writeStatements({ artifact, program, components, plan, version }, outDir);
  });
  await writeWhole(join(outDir, 'plan.json'), stableJson(plan));
  const verdict = await stage('verify', 'verify', () => verifyArtifact(layer.path, {}, ctx));
  await writeWhole(join(outDir, 'verdict.json'), stableJson(verdict));
  return { plan, layer, statements, verdict };
}

type Stage = ReturnType<typeof stages>;

async function libraries(plan: Plan, stage: Stage, ctx: Context): Promise<{ libraries?: string | undefined }> {
  if (!plan.libraries.some(({ origin }) => origin === 'source')) return {};
  const sources = await stage('sources', 'library sources', () => fetchLibrarySources(plan, ctx));
  const { path } = await stage('libraries', 'compile C libraries', () => compileLibraries(plan, sources, ctx));
  return { libraries: path };
}

/** The profile that the compiler goes by: the one given, or one from the training; undefined for plans without. */
async function profileOf(
  plan: Plan,
  inputs: Inputs,
  given: string | undefined,
  stage: Stage,
  ctx: Context,
): Promise<string | undefined> {
  if (!plan.profiling) return undefined;
  if (given !== undefined) {
    await requireProfile(given, plan.profiling.data, ctx.signal);
    return resolve(given);
  }
  const { path } = await stage('train', 'train the optimiser', () => train(plan, inputs, trainingProgram(ctx), ctx));
  return path;
}

function trainingProgram(ctx: Context): string {
  return join(ctx.packageDir, 'recipes', 'training', 'function.py');
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
