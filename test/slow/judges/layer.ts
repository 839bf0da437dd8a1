// The layers that the judges of the slow tests look at: real ones, as `make-runtime build` writes them, and one made of
// the machine's own CPython, so that the GIL flavour is judged also where only the free-threaded one is compiled.
// Knows how to come by a layer.zip; refuses to know what is tested with it.
import { cp, mkdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../../../build/lib/context.ts';
import { exitStatus } from '../../../build/lib/errors.ts';
import { unpackLayer } from '../../../build/package/unpack.ts';
import { zipBytes } from '../../../build/package/zip.ts';
import { readTree } from '../../../build/tree/tree.ts';
import { builtRuntimes } from '../../bootstrap/support/built.ts';

export const root = join(import.meta.dirname, '..', '..', '..');
export const cli = join(root, 'dist', 'cli.js');

export interface JudgedLayer {
  /** A layer.zip. */
  readonly path: string;
  /** "3.13" or "3.13t". */
  readonly version: string;
  readonly freeThreaded: boolean;
  /** The machine's own CPython below our bootstrap, not a build of ours. */
  readonly machine: boolean;
}

/**
 * MAKE_RUNTIME_TEST_LAYERS, paths of layer.zip files separated by colons; without it, what `make-runtime build 3.13t`
 * makes with the user's cache (minutes when nothing is cached). Then the machine's newest CPython, if it has one.
 */
export async function judgedLayers(folder: string): Promise<JudgedLayer[]> {
  const layers = await ourLayers(folder);
  const machine = layers.every(({ freeThreaded }) => freeThreaded) ? await machineLayer(folder) : undefined;
  return machine === undefined ? layers : [...layers, machine];
}

/** The same without the machine's CPython. */
export async function ourLayers(folder: string): Promise<JudgedLayer[]> {
  const given = process.env['MAKE_RUNTIME_TEST_LAYERS']?.split(':').filter((path) => path !== '');
  const paths = given ?? [await build('3.13t', join(folder, 'out'))];
  return Promise.all(paths.map(described));
}

async function described(path: string): Promise<JudgedLayer> {
  const { stdout } = await execa('unzip', ['-Z1', path]);
  // A free-threaded layer has a python3.13 too: a link to python3.13t.
  const [version] = [...stdout.matchAll(/^lang\/bin\/python(3\.\d+t?)$/gm)]
    .map(([, name]) => name!)
    .sort()
    .reverse();
  if (version === undefined) throw new Error(`${path} has no lang/bin/python3.Y: it is not a layer of make-runtime`);
  return { path, version, freeThreaded: version.endsWith('t'), machine: false };
}

/** The newest release that can be had here: what `build` says to do when the newest pinned one cannot. */
export async function build(recipe: string, output: string): Promise<string> {
  const run = (more: string[] = []) =>
    execa(process.execPath, [cli, 'build', recipe, '--output', output, ...more], { cwd: root, reject: false });
  let result = await run();
  if (result.exitCode === exitStatus.SOURCE_OLDER_AVAILABLE)
    result = await run(['--python', /--python (\S+)/.exec(result.stderr)?.[1] as string]);
  if (result.exitCode !== 0)
    throw new Error(`${result.escapedCommand} ended with ${result.exitCode}:\n${result.stderr}`);
  return result.stdout.trim();
}

/** Parts of the standard library that no function imports and that are half of its size. */
const leftOut = new Set(['test', 'idlelib', 'tkinter', 'turtledemo', 'lib2to3', 'ensurepip', 'site-packages']);

/** Our bootstrap on a CPython with a GIL that is installed here, laid out as a layer; undefined when there is none. */
async function machineLayer(folder: string): Promise<JudgedLayer | undefined> {
  const built = (await builtRuntimes()).find(({ version, minor }) => minor >= 11 && !version.endsWith('t'));
  if (built === undefined) return undefined;
  const draft = join(folder, `machine-${built.version}`);
  const library = join(draft, 'lang', 'lib', `python${built.version}`);
  // The built home's library is a folder of links to the files of the installation.
  const origin = dirname(await realpath(join(built.home, 'lib', `python${built.version}`, 'os.py')));
  await mkdir(join(draft, 'lang', 'bin'), { recursive: true });
  const filter = (source: string): boolean =>
    !leftOut.has(basename(source)) && !/^(__pycache__|config-.*)$/.test(basename(source));
  await cp(origin, library, { recursive: true, dereference: true, filter: (from) => from === origin || filter(from) });
  await cp(built.python, join(draft, 'lang', 'bin', `python${built.version}`));
  // Where libpython is a shared library: /opt/lib is on Lambda's LD_LIBRARY_PATH.
  const shared = /(libpython\S+) => (\/\S+)/.exec((await execa('ldd', [built.python])).stdout);
  if (shared !== null) await cp(shared[2]!, join(draft, 'lib', shared[1]!), { dereference: true });
  await mkdir(join(draft, 'bin'));
  for (const name of ['python3', `python${built.version}`])
    await symlink(`../lang/bin/python${built.version}`, join(draft, 'bin', name));
  await symlink(`lang/bin/python${built.version}`, join(draft, 'bootstrap'));
  // Compiled, or every start would compile what it imports: nothing is ever written below /opt.
  await execa(built.python, [
    '-S',
    '-m',
    'compileall',
    '-q',
    '-j',
    '2',
    '--invalidation-mode',
    'unchecked-hash',
    library,
  ]);
  const path = join(folder, `python${built.version}-machine.zip`);
  await writeFile(path, await zipBytes(await readTree(draft)));
  await rm(draft, { recursive: true });
  return { path, version: built.version, freeThreaded: false, machine: true };
}

/** A layer's folder, for judges that start its bootstrap themselves. */
export function unpacked(layer: JudgedLayer, ctx: Context): Promise<string> {
  return unpackLayer(layer.path, undefined, ctx);
}
