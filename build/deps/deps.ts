// The story of `make-runtime deps`: requirements -> wheels for a runtime -> what they do when that runtime imports them
// -> a layer or a function zip with bytecode. Leaves the wording to cli/deps.ts.
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { explainSystemError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { writeWhole } from '../lib/folder.ts';
import { maxDirectUploadBytes } from '../package/layout.ts';
import { writeZip } from '../package/package.ts';
import type { Plan } from '../recipe/model.ts';
import { emptyTree, filterTree, mergeTrees, type Tree, treeSize, writeTree } from '../tree/tree.ts';
import { buildWheels } from './build.ts';
import { type Choice, type ChosenWheel, chooseWheels, type MissingWheel } from './choose.ts';
import { type GilDeclaration, gilDeclaration } from './gil.ts';
import { type ImportTrial, tryImports } from './imports.ts';
import { type DepsKind, type InstalledWheel, install, readCode, refuseOversize, withPyc } from './install.ts';
import { extensionModules, topLevel } from './modules.ts';
import { type DepsTarget, openTarget } from './target.ts';

export interface DepsRequest {
  /** A layer.zip of make-runtime. */
  readonly artifact: string;
  /** Requirements files of pip; none, or empty ones, for a function without packages. */
  readonly requirements: readonly string[];
  readonly kind: DepsKind;
  /** The function's own code, for a function zip. */
  readonly codeDir?: string;
  /** The zip to write. */
  readonly output: string;
  /** Gets the versions and hashes that were chosen, as a requirements file. */
  readonly lock?: string;
  /** Compile the packages that have no wheel. */
  readonly build?: boolean;
  /** Which container engine obeys a plan for containers. */
  readonly engine?: string;
}

/** What importing a package's extension modules does to the GIL. */
export interface PackageGil {
  /**
   * `pure`: no extension modules. `off`: they leave it off. `on`: importing the package turns it on. `partly`: only
   * modules that the package does not import by itself do. `unknown`: it could not be run, and its files do not say.
   */
  readonly state: 'pure' | 'off' | 'on' | 'partly' | 'unknown';
  /** The extension modules that turn it on. */
  readonly by: readonly string[];
}

export interface PackageReport {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  /** Compiled here, from its source. */
  readonly built: boolean;
  readonly extensions: number;
  /** Undefined on a build with the GIL. */
  readonly gil: PackageGil | undefined;
  /** "module: error" of what the runtime could not import. */
  readonly failures: readonly string[];
}

export interface Deps {
  readonly path: string;
  readonly kind: DepsKind;
  readonly sha256: string;
  /** Of the zip, bytes. */
  readonly size: number;
  /** Bytes it takes on Lambda, without the runtime's layer. */
  readonly unpacked: number;
  readonly files: number;
  /** Too big for the request itself: it has to go through S3. */
  readonly needsS3: boolean;
  readonly packages: readonly PackageReport[];
  readonly passedOver: Choice['passedOver'];
  /** The requirements had hashes, and every file was held to them. */
  readonly hashChecked: boolean;
  /** Whether packages were imported on the runtime itself. */
  readonly imported: boolean;
  /** Whether there is bytecode in it. */
  readonly compiled: boolean;
  /** Sources of the function that do not compile. */
  readonly uncompiled: readonly string[];
}

/**
 * Makes the zip.
 * @throws what openTarget() throws; DEPS_UNAVAILABLE, DEPS_HASH_MISMATCH, DEPS_NO_WHEEL, DEPS_BUILD_FAILED,
 *   PACK_TOO_LARGE, CODE_NOT_FOUND, DISK_FULL, CANCELLED
 */
export async function makeDeps(request: DepsRequest, ctx: Context): Promise<Deps> {
  const target = await openTarget(request.artifact, ctx);
  const code = request.codeDir === undefined ? emptyTree : await readCode(request.codeDir);
  const scratch = await mkdtemp(join(tmpdir(), 'make-runtime-deps-'));
  try {
    return await inScratch(request, target, code, scratch, ctx);
  } catch (error) {
    throw explainSystemError(error, 'collecting packages');
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function inScratch(
  request: DepsRequest,
  target: DepsTarget,
  code: Tree,
  scratch: string,
  ctx: Context,
): Promise<Deps> {
  const { kind } = request;
  const { plan } = target;
  const hashes = await hashesIn(request.requirements);
  const { choice, built } = await choose(request, target, scratch, ctx);
  requireHashes(choice.wheels, hashes, built);
  const installed: InstalledWheel[] = [];
  for (const wheel of choice.wheels) {
    throwIfCancelled(ctx.signal);
    installed.push(await install(wheel, kind, plan.python));
  }
  const [modules, scripts] = [true, false].map((wanted) =>
    mergeTrees(...installed.map(({ tree }) => filterTree(tree, (path) => path.startsWith('bin/') !== wanted))),
  ) as [Tree, Tree];
  const sources = mergeTrees(modules, code);
  const compiled =
    target.compiler === undefined
      ? { tree: sources, uncompiled: [] }
      : await withPyc(sources, kind, target.compiler, ctx);
  // The function's own files win, as they would when both are copied into one folder, packages first.
  const tree = mergeTrees(scripts, compiled.tree);
  refuseOversize(tree, target.layerBytes);
  const trials = target.runs ? await onTheRuntime(tree, installed, request, target, scratch, ctx) : undefined;
  const packages = await Promise.all(installed.map((one) => describe(one, plan, trials, built)));
  await makeFolderOf(request.output);
  const written = await writeZip(tree, request.output, ctx.signal);
  if (request.lock !== undefined) await writeWhole(request.lock, lockText(choice.wheels, plan, built));
  const { files, bytes } = treeSize(tree);
  return {
    path: request.output,
    kind,
    ...written,
    unpacked: bytes,
    files,
    needsS3: written.size > maxDirectUploadBytes,
    packages,
    passedOver: choice.passedOver,
    hashChecked: hashes.size > 0,
    imported: trials !== undefined,
    compiled: target.compiler !== undefined,
    uncompiled: compiled.uncompiled.filter((path) => code.entries.has(path)),
  };
}

async function makeFolderOf(output: string): Promise<void> {
  const isFolder = await stat(output).then(
    (found) => found.isDirectory(),
    () => false,
  );
  try {
    if (isFolder) throw new Error('a folder has that name');
    await mkdir(dirname(output), { recursive: true });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOSPC') throw cause;
    throw new MakeRuntimeError('USAGE', `${output} cannot be written: ${(cause as Error).message}.`, {
      remedy: 'Name another file with --output.',
      cause,
    });
  }
}

/** Wheels by sha256 that were compiled here, with the hash of the source they were made of. */
type BuiltWheels = ReadonlyMap<string, { readonly source: string }>;

async function choose(
  request: DepsRequest,
  target: DepsTarget,
  scratch: string,
  ctx: Context,
): Promise<{ choice: Choice; built: BuiltWheels }> {
  const { requirements } = request;
  if (await areEmpty(requirements)) return { choice: { wheels: [], missing: [], passedOver: [] }, built: new Map() };
  if (ctx.offline) {
    throw new MakeRuntimeError('DEPS_UNAVAILABLE', 'Packages are fetched by pip, and --offline forbids fetching.', {
      remedy: 'Run without --offline; PIP_NO_INDEX=1 and PIP_FIND_LINKS=<folder> make pip itself stay on this machine.',
    });
  }
  const built = new Map<string, { source: string }>();
  const made = join(scratch, 'built');
  await mkdir(made);
  // Each round may find that what was compiled needs further packages without wheels.
  for (let round = 0; ; round += 1) {
    const folder = join(scratch, `wheels-${round}`);
    const wheels = built.size > 0 ? [made] : [];
    const choice = await chooseWheels({ requirements, wheels, folder, plan: target.plan, pip: target.pip }, ctx);
    if (choice.missing.length === 0) return { choice, built };
    if (!request.build || choice.missing.some(({ source }) => source === undefined) || round > 8)
      throw noWheel(choice.missing, target.plan, request.build === true);
    const choose = { engine: request.engine };
    for (const one of await buildWheels(choice.missing, made, target, choose, scratch, ctx))
      built.set(one.sha256, { source: one.source });
  }
}

function noWheel(missing: readonly MissingWheel[], { python, arch }: Plan, build: boolean): MakeRuntimeError {
  const names = missing.map(({ name }) => name).join(', ');
  const abi = python.executable.replace(/^python/, '');
  const detail = missing
    .map(({ name, version, instead }) => {
      const what = instead.length === 0 ? 'nothing for Linux on this processor' : instead.join(', ');
      return `${name} ${version}: no wheel for ${abi} on ${arch} and glibc 2.34; there is: ${what}`;
    })
    .join('\n');
  const sources = missing.every(({ source }) => source !== undefined);
  const free = python.executable.endsWith('t');
  const waysOut = [
    ...(sources && !build ? ['compile them with --build'] : []),
    'leave them out or pin another release',
    ...(free ? [`use a ${python.minor} layer with the GIL, where they have wheels`] : []),
  ];
  return new MakeRuntimeError('DEPS_NO_WHEEL', `No wheel for CPython ${abi} on ${arch}: ${names}.`, {
    remedy: `Choose: ${waysOut.join('; ')}.`,
    detail,
  });
}

/** A function without packages still wants its own bytecode; pip refuses to do nothing. */
async function areEmpty(files: readonly string[]): Promise<boolean> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return texts.every((text) => text.split('\n').every((line) => /^\s*(#.*)?$/.test(line)));
}

/** Every sha256 that the requirements name; empty when they name none, and nothing is to be held to. */
async function hashesIn(files: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new MakeRuntimeError('USAGE', `${file} cannot be read: ${error.code ?? error.message}.`, {
        remedy: 'Give the path of a requirements file with -r.',
      });
    });
    for (const [, hash = ''] of text.matchAll(/--hash[=\s]sha256:([0-9a-f]{64})/g)) found.add(hash);
  }
  return found;
}

/** Once more after pip, which is told to forget the hashes when a package was compiled here. */
function requireHashes(wheels: readonly ChosenWheel[], hashes: ReadonlySet<string>, built: BuiltWheels): void {
  if (hashes.size === 0) return;
  for (const { name, version, sha256 } of wheels) {
    if (hashes.has(built.get(sha256)?.source ?? sha256)) continue;
    throw new MakeRuntimeError('DEPS_HASH_MISMATCH', `${name} ${version} is not a file that the requirements name.`, {
      remedy: 'Find out why before touching the hashes: a release on PyPI never changes its files.',
      detail: `found sha256 ${sha256}`,
    });
  }
}

/** Imports what people import, then the extension modules one by one. */
async function onTheRuntime(
  tree: Tree,
  installed: readonly InstalledWheel[],
  { kind }: DepsRequest,
  { layerDir, plan }: DepsTarget,
  scratch: string,
  ctx: Context,
): Promise<ReadonlyMap<string, ImportTrial>> {
  ctx.report({ type: 'progress', stage: 'deps', text: 'importing on the runtime, in the sandbox' });
  const folder = join(scratch, 'mounted');
  await writeTree(tree, folder, ctx.signal);
  const places = kind === 'layer' ? { layerDirs: [layerDir, folder] } : { layerDirs: [layerDir], codeDir: folder };
  const tops = installed.flatMap(({ paths }) => topLevel(paths));
  const extensions = plan.python.executable.endsWith('t')
    ? installed.flatMap(({ paths }) => extensionModules(paths).map(({ module }) => module))
    : [];
  const first = await tryImports([...new Set(tops)], places, plan.python.executable, ctx);
  const second = await tryImports(
    extensions.filter((module) => !tops.includes(module)),
    places,
    plan.python.executable,
    ctx,
  );
  return new Map([...first, ...second].map((trial) => [trial.module, trial]));
}

async function describe(
  wheel: InstalledWheel,
  { python }: Plan,
  trials: ReadonlyMap<string, ImportTrial> | undefined,
  built: BuiltWheels,
): Promise<PackageReport> {
  const { name, version, sha256, paths } = wheel;
  const tops = topLevel(paths);
  const extensions = extensionModules(paths);
  const failures = tops.flatMap((module) => {
    const error = trials?.get(module)?.error;
    return error === undefined ? [] : [`${module}: ${error}`];
  });
  let gil: PackageGil | undefined;
  if (python.executable.endsWith('t')) {
    if (extensions.length === 0) gil = { state: 'pure', by: [] };
    else if (trials === undefined) gil = await asWritten(wheel, extensions);
    else gil = asImported(tops, extensions, trials);
  }
  return { name, version, sha256, built: built.has(sha256), extensions: extensions.length, gil, failures };
}

function asImported(
  tops: readonly string[],
  extensions: readonly { readonly module: string }[],
  trials: ReadonlyMap<string, ImportTrial>,
): PackageGil {
  const own = new Set([...tops, ...extensions.map(({ module }) => module)]);
  const culprits = (modules: readonly string[]): string[] => {
    const by = modules.flatMap((module) => trials.get(module)?.gilEnabledBy ?? []);
    // A package that is only the way to another one's module is not to blame.
    return [...new Set(by)].filter((module) => own.has(module)).sort();
  };
  const onImport = culprits(tops);
  if (onImport.length > 0) return { state: 'on', by: onImport };
  const alone = culprits(extensions.map(({ module }) => module));
  if (alone.length > 0) return { state: 'partly', by: alone };
  const tried = [...own].every((module) => trials.has(module));
  return { state: tried ? 'off' : 'unknown', by: [] };
}

async function asWritten(
  { tree }: InstalledWheel,
  extensions: readonly { readonly module: string; readonly path: string }[],
): Promise<PackageGil> {
  const silent: string[] = [];
  for (const { module, path } of extensions) {
    const entry = tree.entries.get(path) ?? tree.entries.get(`python/${path}`);
    const said: GilDeclaration | undefined = entry?.kind === 'file' ? gilDeclaration(await entry.read()) : undefined;
    if (said === 'silent') silent.push(module);
  }
  return silent.length > 0 ? { state: 'unknown', by: silent.sort() } : { state: 'off', by: [] };
}

function lockText(wheels: readonly ChosenWheel[], { python, arch }: Plan, built: BuiltWheels): string {
  const rows = wheels.map(
    ({ name, version, sha256 }) => `${name}==${version} \\\n    --hash=sha256:${built.get(sha256)?.source ?? sha256}\n`,
  );
  const target = `CPython ${python.executable.replace(/^python/, '')} on ${arch}`;
  return `# What make-runtime deps chose for ${target}; another Python or processor takes other files.\n${rows.join('')}`;
}
