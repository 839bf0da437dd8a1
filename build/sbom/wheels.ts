// Python distributions in a tree: what was installed (*.dist-info) or only lies there (*.whl). It goes by the files and
// not by who put them there, so that nothing comes along unseen.
//
// Source: PyPA specifications "Recording installed projects", "Core metadata" and "Binary distribution format".
import { createHash } from 'node:crypto';
import type { Tree } from '../tree/tree.ts';

export interface Wheel {
  readonly name: string;
  readonly version: string;
  /** Of the wheel file it was installed from, where that is known. */
  readonly sha256?: string;
  /** When it is not PyPI's: pkg:pypi/<name>@<version> is assumed. */
  readonly purl?: string;
  /** Where the wheel was had from. */
  readonly url?: string;
  /** SPDX expression (License-Expression, metadata 2.4). */
  readonly licence?: string;
  /** The older free-form field, or a classifier's last words. */
  readonly licenceWords?: string;
  /** Licence texts, as paths of the tree. */
  readonly texts?: readonly string[];
}

/**
 * Every distribution in a tree, sorted by name.
 * @param pins sha256 and address of the wheels that were installed, by normalised name ("typing-extensions")
 */
export async function findWheels(
  tree: Tree,
  pins: ReadonlyMap<string, { readonly sha256: string; readonly url?: string }> = new Map(),
): Promise<readonly Wheel[]> {
  const wheels: Wheel[] = [];
  for (const [path, entry] of tree.entries) {
    if (entry.kind !== 'file') continue;
    const folder = /^(?:.*\/)?[^/]+\.dist-info(?=\/METADATA$)/.exec(path)?.[0];
    if (folder !== undefined) {
      const wheel = readMetadata(Buffer.from(await entry.read()).toString(), licenceFiles(tree, folder));
      if (wheel) wheels.push({ ...wheel, ...pins.get(normalised(wheel.name)) });
    }
    const [, name, version] = /(?:^|\/)([^/-]+)-([^/-]+)(?:-[^/-]+){3,4}\.whl$/.exec(path) ?? [];
    if (name !== undefined && version !== undefined) {
      const sha256 = createHash('sha256')
        .update(await entry.read())
        .digest('hex');
      wheels.push({ name, version, sha256 });
    }
  }
  return wheels.sort((a, b) => (normalised(a.name) < normalised(b.name) ? -1 : 1));
}

/** PEP 503 */
export const normalised = (name: string): string => name.toLowerCase().replace(/[-_.]+/g, '-');

function readMetadata(text: string, texts: readonly string[]): Wheel | undefined {
  // Headers end at the first empty line; continuation lines belong to fields that are not read here.
  const headers = text.split(/\r?\n\r?\n/, 1)[0]?.split(/\r?\n/) ?? [];
  const all = (field: string): string[] =>
    headers.flatMap((line) =>
      line.toLowerCase().startsWith(`${field.toLowerCase()}:`) ? [line.slice(field.length + 1).trim()] : [],
    );
  const [[name], [version], [licence], [words]] = [
    all('Name'),
    all('Version'),
    all('License-Expression'),
    all('License'),
  ];
  if (!name || !version) return undefined;
  const classifier = all('Classifier').find((one) => one.startsWith('License :: '));
  const licenceWords = words || classifier?.split(' :: ').at(-1);
  return {
    name,
    version,
    texts,
    ...(licence ? { licence } : licenceWords ? { licenceWords } : {}),
  };
}

/** dist-info/licenses/ since metadata 2.4, dist-info/LICENSE and its like before. */
function licenceFiles(tree: Tree, folder: string): string[] {
  const below = [...tree.entries.keys()].filter((path) => path.startsWith(`${folder}/`));
  return below.filter((path) =>
    /^(licenses\/.+|(LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*)$/i.test(path.slice(folder.length + 1)),
  );
}
