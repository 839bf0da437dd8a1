// The whole story on one screen: recipe -> plan -> sources -> build -> tree -> artifact -> verdict.
// Each stage is a function in a room of its own; this file only says in which order, and reports what it did.
import { join, resolve } from 'node:path';
import { compile } from './compile/compile.ts';
import { engineNamed, requireNative } from './compile/engine.ts';
import { probeHost } from './compile/host.ts';
import { bootstrapDigest, link } from './compile/link.ts';
import type { Context } from './lib/context.ts';
import { writeWhole } from './lib/folder.ts';
import { langFolder } from './package/layout.ts';
import { type Layer, packageLayer } from './package/package.ts';
import { stableJson } from './recipe/canonical.ts';
import { librariesFor } from './recipe/libraries.ts';
import { loadRecipe, recipeNames } from './recipe/load.ts';
import type { Plan } from './recipe/model.ts';
import { parseRecipeName } from './recipe/name.ts';
import { chooseFlavor, parseArch, parseProfile, plan } from './recipe/plan.ts';
import { takeInventory, toolVersion } from './sbom/inventory.ts';
import { findWheels } from './sbom/wheels.ts';
import { type Statements, writeStatements } from './sbom/write.ts';
import { digestFile } from './source/cache.ts';
import { readLock } from './source/lock.ts';
import { fetchPlanSource } from './source/obtain.ts';
import { stages } from './stages.ts';
import { prune } from './tree/prune.ts';
import { emptyTree, fileAt, makeTree, mergeTrees, readTree } from './tree/tree.ts';
import { verifyArtifact } from './verify/artifact.ts';
import type { Verdict } from './verify/verdict.ts';
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
    },
    await readLock(ctx.packageDir),
    builder,
    await bootstrapDigest(ctx.packageDir),
  );
}

/** Obeys a plan: `<output>/<plan name>/` gets layer.zip, what is stated about it, and plan.json. */
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
    : { tree: emptyTree, pins: new Map() };
  const { layer, components } = await stage('package', 'package layer.zip', async () => {
    const installed = mergeTrees(
      await readTree(build.prefix),
      makeTree([[`bin/${plan.python.executable}`, await fileAt(executable.path)]]),
    );
    const { tree, ledger } = prune(installed, plan.prune);
    const shipped = mergeTrees(tree, extras.tree);
    const wheels = await findWheels(shipped, extras.pins);
    const { components, notices } = await takeInventory({ plan, source, tree: shipped, wheels }, ctx);
    const texts = mergeTrees(await readTree(join(build.embed, 'notices')), notices);
    const input = { tree: shipped, plan, ledger, components, notices: texts, outDir };
    return { components, layer: await packageLayer(input, ctx) };
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
