// A folder of code as it is at one moment: which files with which content, and a copy of it that later edits do not
// touch, because an environment that was started on some code finishes on it. Files that did not change are links to
// the previous copy, so a copy costs what changed. Knows nothing of when or why.
import { constants, fstatSync } from 'node:fs';
import { copyFile, link, lstat, mkdir, readdir, readlink, symlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';

interface Found {
  readonly kind: 'file' | 'link' | 'folder';
  /** Changes when the content may have. */
  readonly signature: string;
  readonly mode: number;
}

/** Path below the folder -> what is there; parents before children. */
export type Listing = ReadonlyMap<string, Found>;

/** Folders that are no part of a function, and may be large. */
const leftOut = new Set(['.git', '.hg', '.svn', '.venv', '.mypy_cache', '.pytest_cache', '.ruff_cache', '.tox']);

/** Files that editors put beside the one that is edited. */
const editors = /(~|\.sw[a-z]|^4913|^#.*#|^\.#.*|\.kate-swp|___jb_(tmp|old)___)$/;

/**
 * Lists a folder. What vanishes while it is listed is left out, and what this process writes to: a log that is redirected
 * into the folder would otherwise be a change of the code at each of its own lines.
 */
export async function listFolder(folder: string): Promise<Listing> {
  const written = [1, 2].map((fd) => fstatSync(fd, { bigint: true }));
  const found = new Map<string, Found>();
  const visit = async (below: string): Promise<void> => {
    const entries = await readdir(join(folder, below), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (leftOut.has(entry.name) || editors.test(entry.name)) continue;
      const path = join(below, entry.name);
      const facts = await lstat(join(folder, path), { bigint: true }).catch(() => undefined);
      if (facts === undefined || written.some((own) => own?.ino === facts.ino && own.dev === facts.dev)) continue;
      const mode = Number(facts.mode) & 0o7777;
      const signature = `${facts.mtimeNs}:${facts.size}:${facts.ino}:${mode}`;
      if (facts.isDirectory()) {
        found.set(path, { kind: 'folder', signature: String(mode), mode });
        await visit(path);
      } else if (facts.isFile()) found.set(path, { kind: 'file', signature, mode });
      else if (facts.isSymbolicLink()) found.set(path, { kind: 'link', signature, mode });
    }
  };
  await visit('');
  return found;
}

/** What differs between two listings, sorted. What Python compiles by itself is no change of the code. */
export function changes(before: Listing, after: Listing): string[] {
  const paths = new Set([...before.keys(), ...after.keys()]);
  return [...paths]
    .filter((path) => !`/${path}/`.includes('/__pycache__/'))
    .filter((path) => before.get(path)?.signature !== after.get(path)?.signature)
    .sort();
}

/**
 * Copies `folder`, as listed, to `target`, which is created. Times are kept, because compiled Python files are valid for
 * one time of their source only.
 * @param previous an earlier copy, with its listing
 */
export async function copyFolder(
  folder: string,
  listing: Listing,
  target: string,
  previous?: { readonly folder: string; readonly listing: Listing },
): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o755 });
  for (const [path, { kind, signature, mode }] of listing) {
    const to = join(target, path);
    if (kind === 'folder') await mkdir(to, { mode: mode | 0o700 });
    else if (kind === 'link') await symlink(await readlink(join(folder, path)), to).catch(ignoreGone);
    else {
      const same = previous?.listing.get(path)?.signature === signature;
      const linked = same && previous !== undefined && (await linkOf(join(previous.folder, path), to));
      if (!linked) await copy(join(folder, path), to);
    }
  }
}

async function copy(from: string, to: string): Promise<void> {
  try {
    await mkdir(dirname(to), { recursive: true });
    const { atime, mtime } = await lstat(from);
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    await utimes(to, atime, mtime);
  } catch (error) {
    ignoreGone(error as NodeJS.ErrnoException);
  }
}

async function linkOf(from: string, to: string): Promise<boolean> {
  return link(from, to).then(
    () => true,
    () => false,
  );
}

/** A file may vanish between listing and copying; the next change tells. */
function ignoreGone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
