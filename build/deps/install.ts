// Wheels and the function's own code -> the files of a layer or of a function zip, with bytecode that never looks at its
// source. Knows where Lambda mounts either; refuses to know how wheels were chosen.

import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { maxUnpackedBytes } from '../package/layout.ts';
import { readZip } from '../package/unzip.ts';
import type { Plan } from '../recipe/model.ts';
import { filterTree, mergeTrees, readTree, sizesByFolder, type Tree, treeSize } from '../tree/tree.ts';
import { compileBytecode } from '../wheels/bytecode.ts';
import { BadWheel, installWheel, type WheelLayout } from '../wheels/wheel.ts';
import type { ChosenWheel } from './choose.ts';

export type DepsKind = 'layer' | 'function';

/** Where the zip is mounted, and the folder in it that is on sys.path. */
export const mounts: Readonly<Record<DepsKind, { readonly place: string; readonly site: string }>> = {
  layer: { place: '/opt', site: 'python' },
  function: { place: '/var/task', site: '' },
};

export interface InstalledWheel extends ChosenWheel {
  /** Its files, relative to the folder on sys.path. */
  readonly paths: readonly string[];
  readonly tree: Tree;
}

/** What is left out of the function's folder, and why. */
const leftOut: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: /(^|\/)__pycache__\/|\.pyc$/, reason: 'bytecode is compiled anew, for the target' },
  { pattern: /(^|\/)\.(git|hg|svn)\//, reason: 'history' },
  { pattern: /(^|\/)(\.venv|venv|node_modules)\//, reason: 'packages for this machine' },
  { pattern: /(^|\/)\.(mypy|ruff|pytest)_cache\//, reason: 'caches of tools' },
  { pattern: /(^|\/)\.env(\.|$)/, reason: 'may hold secrets' },
];

/** The function's own files, below the zip's root. Throws CODE_NOT_FOUND. */
export async function readCode(folder: string): Promise<Tree> {
  const tree = await readTree(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
    throw new MakeRuntimeError('CODE_NOT_FOUND', `There is no folder ${folder} with the function's code.`, {
      remedy: 'Point --code at the folder that holds the handler module.',
    });
  });
  return filterTree(tree, (path) => !leftOut.some(({ pattern }) => pattern.test(path)));
}

export async function install(wheel: ChosenWheel, kind: DepsKind, python: Plan['python']): Promise<InstalledWheel> {
  const { site } = mounts[kind];
  const layout: WheelLayout = {
    site,
    // Beside python3 in a layer; a wrapper script of a function is named by its whole path anyway.
    scripts: 'bin',
    headers: undefined,
    data: site,
    shebang: `#!/opt/bin/${python.executable}\n`,
  };
  // Bytecode in a wheel is of the machine that made it; pip drops it, too.
  const content = filterTree(await readZip(wheel.path), (path) => !path.endsWith('.pyc'));
  try {
    const { tree } = await installWheel(content, layout);
    const prefix = site === '' ? '' : `${site}/`;
    const paths = [...tree.entries.keys()].flatMap((path) =>
      path.startsWith(prefix) ? [path.slice(prefix.length)] : [],
    );
    return { ...wheel, tree, paths };
  } catch (error) {
    if (!(error instanceof BadWheel)) throw error;
    throw new MakeRuntimeError(
      'DEPS_UNAVAILABLE',
      `${wheel.name} ${wheel.version} is not a wheel that can be installed: ${error.message}.`,
      {
        remedy: 'Choose another version, or report it to the package.',
        cause: error,
      },
    );
  }
}

/** The same files with their .pyc, and the sources that do not compile. */
export async function withPyc(
  tree: Tree,
  kind: DepsKind,
  compiler: string,
  ctx: Pick<Context, 'signal' | 'env'>,
): Promise<{ readonly tree: Tree; readonly uncompiled: readonly string[] }> {
  const pycs = await compileBytecode(tree, compiler, ctx, mounts[kind].place);
  const compiled = new Set(
    [...pycs.entries.keys()].map((path) => path.replace(/__pycache__\/([^/]+?)\.[^/.]+\.pyc$/, '$1.py')),
  );
  const uncompiled = [...tree.entries.keys()].filter((path) => path.endsWith('.py') && !compiled.has(path));
  return { tree: mergeTrees(tree, pycs), uncompiled };
}

/** Throws PACK_TOO_LARGE when Lambda would not unpack the zip beside the runtime's layer. */
export function refuseOversize(tree: Tree, layerBytes: number): void {
  const { bytes } = treeSize(tree);
  if (bytes + layerBytes <= maxUnpackedBytes) return;
  const number = (value: number): string => value.toLocaleString('en-US');
  const biggest = sizesByFolder(tree, 2).slice(0, 8);
  throw new MakeRuntimeError(
    'PACK_TOO_LARGE',
    `The packages are ${number(bytes)} bytes unpacked and the runtime's layer ${number(layerBytes)}: more than Lambda's ${number(maxUnpackedBytes)} together.`,
    {
      remedy: 'Leave out packages, or use a container image (`make-runtime image`), which may have 10 GB.',
      detail: ['The biggest folders:', ...biggest.map((row) => `${number(row.bytes)} bytes  ${row.folder}`)].join('\n'),
    },
  );
}
