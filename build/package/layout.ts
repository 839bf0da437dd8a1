// Where things lie in a layer, that is below /opt. The interpreter keeps to its own folder, lang/; outside it are only
// the names that Lambda and people look for. It does not know how the tree was built, nor how it is packed.
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Plan } from '../recipe/model.ts';
import { noticesFolder } from '../sbom/model.ts';
import {
  type Entry,
  fileOf,
  linkTo,
  makeTree,
  mergeTrees,
  placeTree,
  sizesByFolder,
  type Tree,
  treeSize,
} from '../tree/tree.ts';

/** The folder of the interpreter in a layer: its prefix on Lambda is /opt/lang. */
export const langFolder = 'lang';
export const buildJsonPath = `${langFolder}/build.json`;
const licensesFolder = `${langFolder}/${noticesFolder}`;

/** Unpacked size of all layers and the function together, bytes (Lambda quotas page: 250 MB). */
export const maxUnpackedBytes = 262_144_000;
/** What PublishLayerVersion takes in the request itself, bytes; above it the zip goes through S3. */
export const maxDirectUploadBytes = 52_428_800;

export interface LayerContent {
  /** What `make install` and the relink left, pruned: bin/python3.13t, lib/python3.13t/os.py, ... */
  readonly tree: Tree;
  readonly python: Plan['python'];
  /** Licence texts of everything that is linked in; goes to lang/share/licenses. */
  readonly notices: Tree;
  /** The bytes of lang/build.json. */
  readonly buildJson: Uint8Array;
}

/**
 * The layer as it will be below /opt. Throws a plain Error when the tree has no such executable: a bug of the
 * stage before.
 */
export function layerTree({ tree, python, notices, buildJson }: LayerContent): Tree {
  const { executable } = python;
  const program = tree.entries.get(`bin/${executable}`);
  if (program?.kind !== 'file' || program.mode !== 0o755) {
    throw new Error(`The installed tree has no executable bin/${executable}.`);
  }
  const outside = new Map<string, Entry>([
    // One program for both: it acts as the bootstrap when it is called so, and finds its home through /proc/self/exe.
    ['bootstrap', linkTo(`${langFolder}/bin/${executable}`)],
    [buildJsonPath, fileOf(buildJson)],
  ]);
  for (const name of new Set(['python3', `python${python.minor}`, executable])) {
    outside.set(`bin/${name}`, linkTo(`../${langFolder}/bin/${executable}`));
  }
  // getpath warns on every start ("Could not find platform dependent libraries") when the folder of extension modules
  // is missing (Modules/getpath.py), and a tree has no empty folders.
  const dynload = `lib/${executable}/lib-dynload`;
  if (![...tree.entries.keys()].some((path) => path.startsWith(`${dynload}/`))) {
    const why = 'The extension modules are linked into the executable. This folder only has to exist.\n';
    outside.set(`${langFolder}/${dynload}/README.txt`, fileOf(why));
  }
  const layer = mergeTrees(placeTree(tree, langFolder), placeTree(notices, licensesFolder), makeTree(outside));
  return layer;
}

/** Throws PACK_TOO_LARGE, naming the biggest folders, when a layer is more than Lambda unpacks. */
export function refuseOversize(layer: Tree): void {
  const { bytes } = treeSize(layer);
  if (bytes <= maxUnpackedBytes) return;
  const biggest = sizesByFolder(layer, 4).slice(0, 8);
  const width = biggest[0]?.bytes.toLocaleString('en-US').length ?? 0;
  const rows = biggest.map((row) => `${row.bytes.toLocaleString('en-US').padStart(width)} bytes  ${row.folder}`);
  const over = `${bytes.toLocaleString('en-US')} bytes unpacked, over Lambda's ${maxUnpackedBytes.toLocaleString('en-US')}`;
  throw new MakeRuntimeError('PACK_TOO_LARGE', `The layer would be ${over}.`, {
    remedy: 'Add prune rules to the recipe for the folders listed, or use a container image, which may have 10 GB.',
    detail: ['The biggest folders:', ...rows].join('\n'),
  });
}
