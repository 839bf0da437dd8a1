// Where things lie in an image: the same tree as a layer's, below /var instead of /opt, and the names that Lambda and
// people look for. What is in the layer it does not know.
import { langFolder } from '../package/layout.ts';
import type { Plan } from '../recipe/model.ts';
import { type Entry, fileOf, linkTo, makeTree, mergeTrees, placeTree, subTree, type Tree } from '../tree/tree.ts';
import { bootstrapPath, entryPath, entryScript } from './entry-script.ts';

/** The interpreter's prefix in an image, without the slash: where AWS's own images have theirs. */
export const imagePrefix = `var/${langFolder}`;

/** Folders that have to exist although nothing of ours is in them. /var/task is the working directory. */
export const emptyFolders: readonly string[] = ['var/task'];

/**
 * The files of a runtime layer, as an image has them.
 * @param layer paths below /opt, as in layer.zip
 */
export function runtimeTree(layer: Tree, python: Plan['python']): Tree {
  const program = `/${imagePrefix}/bin/${python.executable}`;
  const names = new Map<string, Entry>();
  for (const name of ['python', 'python3', `python${python.minor}`, python.executable])
    if (name !== python.executable) names.set(`${imagePrefix}/bin/${name}`, linkTo(python.executable));
  names.set(bootstrapPath.slice(1), linkTo(program));
  names.set(entryPath.slice(1), fileOf(entryScript, 0o755));
  // Files of the layer that are not the runtime (a build's own additions) stay at the path they have on Lambda.
  const rest = [...layer.entries].filter(
    ([path]) => !path.startsWith(`${langFolder}/`) && path !== 'bootstrap' && !/^bin\/python3[^/]*$/.test(path),
  );
  return mergeTrees(
    placeTree(subTree(layer, langFolder), imagePrefix),
    makeTree(rest.map(([path, entry]) => [`opt/${path}`, entry])),
    makeTree(names),
  );
}
