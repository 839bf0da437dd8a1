// The whole story on one screen: recipe -> plan -> sources -> build -> tree -> artifact -> verdict.
// Each stage is a function in a room of its own; this file only says in which order, and reports what it did.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { compileBuildPython } from './compile/build-python.ts';
import { compile, type Inputs, train } from './compile/compile.ts';
import { chooseEngine, type EngineChoice, engineFor } from './compile/container-engine.ts';
import type { Engine } from './compile/engine.ts';
import { compileLibraries } from './compile/libraries.ts';
import { bootstrapDigest, link } from './compile/link.ts';
import { profileDigest, requireProfile } from './compile/profile.ts';
import type { Gap } from './compile/requirement.ts';
import type { Context } from './lib/context.ts';
import { MakeRuntimeError } from './lib/errors.ts';
import { writeWhole } from './lib/folder.ts';
import { langFolder } from './package/layout.ts';
import { type Layer, packageLayer } from './package/package.ts';
import { stableJson } from './recipe/canonical.ts';
import { loadRecipe, recipeNames } from './recipe/load.ts';
import type { Plan } from './recipe/model.ts';
import { parseRecipeName } from './recipe/name.ts';
import {
  type Choice,
  chooseFlavor,
  deflate,
  needs,
  parseArch,
  parseLibraries,
  parseProfile,
  parsePrune,
  plan,
} from './recipe/plan.ts';
import { readPlan } from './recipe/plan-file.ts';
import { takeInventory, toolVersion } from './sbom/inventory.ts';
import { findWheels } from './sbom/wheels.ts';
import { type Statements, writeStatements } from './sbom/write.ts';
import { digestFile } from './source/cache.ts';
import { readLock } from './source/lock.ts';
import { fetchLibrarySources, fetchPlanSource } from './source/obtain.ts';
import { stages } from './stages.ts';
import { prune } from './tree/prune.ts';
import { emptyTree, fileAt, makeTree, mergeTrees, readTree } from './tree/tree.ts';
import { verifyArtifact } from './verify/artifact.ts';
import type { Verdict } from './verify/verdict.ts';
import { installExtras } from './wheels/extras.ts';

export interface PlanRequest {
  /** As a user types it: "3.13", "3.13t", "./mine.toml"; or "./plan.json", which decides everything else. */
  readonly recipe: string;
  readonly flavor?: string;
  readonly arch?: string;
  readonly profile?: string;
  readonly engine?: string;
  /** A builder image for a container engine; the lock file's when absent. */
  readonly builder?: string;
  readonly python?: string;
  readonly withHeaders?: boolean;
  readonly libraries?: string;
  readonly prune?: string;
  /** Path of a stored profile: the profile.tar of an earlier release build. */
  readonly profileData?: string;
}

/** What a build takes beside the plan. */
export interface BuildChoice extends EngineChoice {
  /** The stored profile whose hash the plan has. */
  readonly profileData?: string | undefined;
  /** What the training of this very plan counted before; takes its place where a build is repeated. */
  readonly counters?: string | undefined;
}

export interface Survey {
  readonly plan: Plan;
  /** What the builder does not have of the plan's `requires`. */
  readonly gaps: readonly Gap[];
}

export interface Built {
  readonly plan: Plan;
  readonly layer: Layer;
  readonly statements: Statements;
  readonly verdict: Verdict;
}

/** What a request means on this machine, before anything is done about it. */
export async function resolvePlan(request: PlanRequest, ctx: Context): Promise<Plan> {
  return (await surveyPlan(request, ctx)).plan;
}

/** The same, with what the builder lacks for it; of a plan from a file, nobody has looked. */
export async function surveyPlan(request: PlanRequest, ctx: Context): Promise<Survey> {
  if (request.recipe.endsWith('.json')) return { plan: await obeyable(await readPlan(request.recipe), ctx), gaps: [] };
  const named = parseRecipeName(request.recipe, await recipeNames(ctx.packageDir));
  const recipe = await loadRecipe(named.reference, ctx.packageDir);
  const version = request.python ?? named.version;
  const flavor = chooseFlavor(named.flavor, request.flavor);
  const arch = parseArch(request.arch ?? process.arch);
  const lock = await readLock(ctx.packageDir);
  const engine = await chooseEngine(request, arch, lock, ctx);
  const cross = await engine.cross(arch);
  const choice: Choice = {
    flavor,
    arch,
    profile: parseProfile(request.profile ?? 'fast'),
    ...(version === undefined ? {} : { version }),
    withHeaders: request.withHeaders ?? false,
    ...(request.libraries === undefined ? {} : { libraries: parseLibraries(request.libraries) }),
    ...(request.prune === undefined ? {} : { prune: parsePrune(request.prune) }),
    training: (await digestFile(trainingProgram(ctx), ctx.signal)).sha256,
    ...(request.profileData === undefined ? {} : { profileData: await profileDigest(request.profileData, ctx.signal) }),
    ...(cross ? { cross } : {}),
  };
  const { builder, gaps } = await engine.look(needs(recipe, choice, lock));
  return { plan: plan(recipe, choice, lock, builder, await bootstrapDigest(ctx.packageDir)), gaps };
}

/** A plan from a file, which only the code it was made with can obey. */
async function obeyable(read: Plan, ctx: Context): Promise<Plan> {
  if (read.bootstrap === (await bootstrapDigest(ctx.packageDir)) && read.deflate === deflate) return read;
  throw new MakeRuntimeError('PLAN_INVALID', `Plan ${read.id} was made by another version of make-runtime.`, {
    remedy: 'Plan again, or use that version.',
  });
}

/**
 * Obeys a plan: `<output>/<plan name>/` gets layer.zip, what is stated about it, and plan.json.
 * @param choice which container engine runs a plan for containers (the first that answers when absent), and files that
 *   the plan knows by their hash
 */
export async function buildRuntime(plan: Plan, output: string, ctx: Context, choice: BuildChoice = {}): Promise<Built> {
  const outDir = join(resolve(output), plan.name);
  const stage = stages(ctx);
  const engine = engineFor(plan, choice, ctx);
  // The plan says already that nothing can be compiled there: nothing is fetched for it.
  if (plan.builder.compiler === null) await engine.require(plan);
  const lock = await readLock(ctx.packageDir);
  const source = await stage('sources', `CPython ${plan.python.version} source`, () =>
    fetchPlanSource(plan, lock, ctx),
  );
  const inputs = {
    source,
    libraries: await libraries(plan, engine, ctx),
    buildPython: plan.builder.cross ? await buildPython(plan, source, engine, ctx) : undefined,
  };
  const profile = await profileOf(plan, inputs, choice, engine, ctx);
  // Kept beside the artifact: training again would count differently, and so give other bytes.
  if (profile !== undefined) await writeWhole(join(outDir, 'profile.tar'), await readFile(profile));
  const build = await stage('compile', `compile ${plan.python.executable} (${plan.flavor})`, () =>
    compile(plan, { ...inputs, profile }, ctx, engine),
  );
  const executable = await stage('link', 'link the bootstrap', () => link(plan, build, ctx, engine));
  const parts = { ...build, executable: executable.path, source, ...interpreterHere(plan, inputs) };
  const { layer, statements } = await packageRuntime(plan, parts, outDir, ctx);
  const verdict = await stage('verify', 'verify', () => verifyArtifact(layer.path, {}, ctx));
  await writeWhole(join(outDir, 'verdict.json'), stableJson({ ...verdict, sha256: layer.sha256 }));
  return { plan, layer, statements, verdict };
}

/** What compile and link made of a plan, and the tarball they made it of. */
export interface Parts {
  readonly prefix: string;
  readonly embed: string;
  readonly executable: string;
  readonly source: string;
  /** An interpreter of the same version that runs here, when the executable does not. */
  readonly interpreter?: string;
}

/** From compiled parts to everything that lies in `outDir` but the verdict; the same wherever they were compiled. */
export async function packageRuntime(
  plan: Plan,
  parts: Parts,
  outDir: string,
  ctx: Context,
): Promise<Pick<Built, 'layer' | 'statements'>> {
  const stage = stages(ctx);
  const { source } = parts;
  const extras = plan.extras
    ? await stage('extras', 'bake in packages', () => installExtras(plan, parts.interpreter ?? parts.executable, ctx))
    : { tree: emptyTree, pins: new Map() };
  const { layer, components } = await stage('package', 'package layer.zip', async () => {
    const installed = mergeTrees(
      await readTree(parts.prefix),
      makeTree([[`bin/${plan.python.executable}`, await fileAt(parts.executable)]]),
    );
    const { tree, ledger } = prune(installed, plan.prune);
    const shipped = mergeTrees(tree, extras.tree);
    const wheels = await findWheels(shipped, extras.pins);
    const { components, notices } = await takeInventory({ plan, source, tree: shipped, wheels }, ctx);
    const texts = mergeTrees(await readTree(join(parts.embed, 'notices')), notices);
    const input = { tree: shipped, plan, ledger, components, notices: texts, outDir };
    return { components, layer: await packageLayer(input, ctx) };
  });
  const statements = await stage('sbom', 'write SBOM and provenance', async () => {
    const artifact = { kind: 'layer', file: 'layer.zip', sha256: layer.sha256, home: langFolder } as const;
    const { sha256 } = await digestFile(parts.executable, ctx.signal);
    const program = { path: `bin/${plan.python.executable}`, sha256 };
    const version = await toolVersion(ctx.packageDir);
    return writeStatements({ artifact, program, components, plan, version }, outDir);
  });
  await writeWhole(join(outDir, 'plan.json'), stableJson(plan));
  return { layer, statements };
}

/** The folder of the plan's pinned libraries; undefined when all of them are the machine's own. */
async function libraries(plan: Plan, engine: Engine, ctx: Context): Promise<string | undefined> {
  if (!plan.libraries.some(({ origin }) => origin === 'source')) return undefined;
  const stage = stages(ctx);
  const sources = await stage('sources', 'library sources', () => fetchLibrarySources(plan, ctx));
  const compiled = await stage('libraries', 'compile C libraries', () => compileLibraries(plan, sources, ctx, engine));
  return compiled.path;
}

function interpreterHere({ python }: Plan, { buildPython }: Inputs): Pick<Parts, 'interpreter'> {
  return buildPython === undefined ? {} : { interpreter: join(buildPython, 'bin', `python${python.minor}`) };
}

/** The folder of the interpreter that does on the builder what the one that is built cannot. */
async function buildPython(plan: Plan, source: string, engine: Engine, ctx: Context): Promise<string> {
  const stage = stages(ctx);
  const title = `compile python${plan.python.minor} for the builder`;
  return (await stage('build-python', title, () => compileBuildPython(plan, source, ctx, engine))).path;
}

/** The profile that the compiler goes by: the one given, or one from the training; undefined for plans without. */
async function profileOf(
  plan: Plan,
  inputs: Inputs,
  { profileData: given, counters }: BuildChoice,
  engine: Engine,
  ctx: Context,
): Promise<string | undefined> {
  if (!plan.profiling) return undefined;
  if (counters !== undefined && plan.profiling.data === undefined) return counters;
  if (given !== undefined || plan.profiling.data !== undefined) {
    return requireProfile(given, plan.profiling.data, ctx.signal);
  }
  const stage = stages(ctx);
  const trained = await stage('train', 'train the optimiser', () =>
    train(plan, inputs, trainingProgram(ctx), ctx, engine),
  );
  return trained.path;
}

function trainingProgram(ctx: Context): string {
  return join(ctx.packageDir, 'recipes', 'training', 'function.py');
}
