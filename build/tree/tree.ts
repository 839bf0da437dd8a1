// Files as values: a Tree maps paths to files and symlinks, and is never changed, only replaced by another Tree.
// Contents are read when asked for. It knows nothing of Python, Lambda or archives; owners, dates, hard links and
// empty folders do not exist here, which is what makes two trees with the same files the same artifact.
import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, open, readdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { setImmediate as pause } from 'node:timers/promises';
import { explainSystemError, throwIfCancelled } from '../lib/errors.ts';

export type Mode = 0o644 | 0o755;

export interface FileEntry {
  readonly kind: 'file';
  readonly mode: Mode;
  /** Bytes. */
  readonly size: number;
  /** The content; every call reads it anew. */
  readonly read: () => Promise<Uint8Array>;
}

export interface LinkEntry {
  readonly kind: 'link';
  /** As stored: relative to the link's own folder, or absolute. */
  readonly target: string;
}

export type Entry = FileEntry | LinkEntry;

export interface Tree {
  /** Sorted by the bytes of the path. Paths are relative, with '/' between segments. */
  readonly entries: ReadonlyMap<string, Entry>;
}

/** What is wrong with a path as a tree's key, or undefined when nothing is. */
export function pathProblem(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (path.startsWith('/')) return 'is absolute';
  if (path.includes('\0')) return 'holds a NUL byte';
  for (const segment of path.split('/')) {
    if (segment === '') return 'has an empty segment';
    if (segment === '.' || segment === '..') return `has a "${segment}" segment`;
  }
  return undefined;
}

/** The first path that lies below another path of the same set, with that other one: no file can also be a folder. */
export function folderClash(paths: ReadonlySet<string> | ReadonlyMap<string, unknown>): [string, string] | undefined {
  for (const path of paths.keys()) {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      const parent = path.slice(0, slash);
      if (paths.has(parent)) return [parent, path];
    }
  }
  return undefined;
}

/**
 * A tree of these entries, sorted. A path given twice keeps its last entry.
 * Throws a plain Error (a bug of the caller) for a path that no tree can have.
 */
export function makeTree(entries: Iterable<readonly [string, Entry]>): Tree {
  const unsorted = new Map(entries);
  for (const path of unsorted.keys()) {
    const problem = pathProblem(path);
    if (problem !== undefined) throw new Error(`The path ${JSON.stringify(path)} ${problem}.`);
  }
  const clash = folderClash(unsorted);
  if (clash) throw new Error(`${clash[0]} is a file, so ${clash[1]} cannot lie below it.`);
  // By bytes and not by UTF-16 unit, so that the order is the one `LC_ALL=C sort` gives.
  const keyed = [...unsorted].map(([path, entry]) => ({ key: Buffer.from(path), path, entry }));
  keyed.sort((a, b) => Buffer.compare(a.key, b.key));
  return { entries: new Map(keyed.map(({ path, entry }) => [path, entry])) };
}

export const emptyTree: Tree = makeTree([]);

/** A file whose content is at hand. Text becomes UTF-8. */
export function fileOf(content: string | Uint8Array, mode: Mode = 0o644): FileEntry {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return { kind: 'file', mode, size: bytes.byteLength, read: async () => bytes };
}

/** One file of the disk as an entry, read when asked for. */
export async function fileAt(path: string): Promise<FileEntry> {
  const { mode, size } = await lstat(path);
  return { kind: 'file', mode: mode & 0o111 ? 0o755 : 0o644, size, read: () => readFile(path) };
}

export function linkTo(target: string): LinkEntry {
  return { kind: 'link', target };
}

/**
 * The files and symlinks below a folder; contents are read later, when asked for.
 * Any execute bit makes 0755, everything else is 0644. Folders as such are left out.
 * Throws what the file system throws, and an Error for sockets, devices and the like.
 */
export async function readTree(folder: string): Promise<Tree> {
  const found: [string, Entry][] = [];
  const walk = async (below: string): Promise<void> => {
    for (const item of await readdir(join(folder, below), { withFileTypes: true })) {
      const path = below === '' ? item.name : `${below}/${item.name}`;
      const full = join(folder, path);
      if (item.isDirectory()) await walk(path);
      else if (item.isSymbolicLink()) found.push([path, linkTo(await readlink(full))]);
      else if (item.isFile()) found.push([path, await fileAt(full)]);
      else throw new Error(`${full} is neither a file, a folder nor a symbolic link.`);
    }
  };
  await walk('');
  return makeTree(found);
}

/**
 * Writes the tree as a folder that appears whole or not at all: it is filled under a temporary name beside it.
 * @param folder must not exist yet, or be empty. Its parents are made.
 * Throws CANCELLED and DISK_FULL; modes are exact whatever the umask is.
 */
export async function writeTree(tree: Tree, folder: string, signal?: AbortSignal): Promise<void> {
  const target = resolve(folder);
  const partial = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.part`);
  const folders = new Set<string>();
  const makeFolder = async (path: string): Promise<void> => {
    if (folders.has(path)) return;
    if (path !== partial) await makeFolder(dirname(path));
    await mkdir(path, { recursive: path === partial });
    await chmod(path, 0o755);
    folders.add(path);
  };
  try {
    await makeFolder(partial);
    let unyielded = 0;
    for (const [path, entry] of tree.entries) {
      if (signal) throwIfCancelled(signal);
      const full = join(partial, path);
      await makeFolder(dirname(full));
      if (entry.kind === 'link') {
        await symlink(entry.target, full);
        continue;
      }
      const file = await open(full, 'wx', entry.mode);
      try {
        await file.writeFile(await entry.read());
        await file.chmod(entry.mode);
      } finally {
        await file.close();
      }
      // A tree in memory resolves without ever reaching the event loop's timers, where Ctrl-C arrives.
      if (++unyielded % 64 === 0) await pause();
    }
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw explainSystemError(error, `writing ${folder}`);
  }
}

/** All entries of all trees; where two have the same path, the later tree wins. */
export function mergeTrees(...trees: readonly Tree[]): Tree {
  return makeTree(trees.flatMap((tree) => [...tree.entries]));
}

/** The same files one or more folders further down: placeTree(tree, 'lang') turns bin/x into lang/bin/x. */
export function placeTree(tree: Tree, under: string): Tree {
  return makeTree([...tree.entries].map(([path, entry]) => [`${under}/${path}`, entry]));
}

/** What lies below a folder, with paths relative to it: the inverse of placeTree. */
export function subTree(tree: Tree, folder: string): Tree {
  const prefix = `${folder}/`;
  const below = [...tree.entries].filter(([path]) => path.startsWith(prefix));
  return makeTree(below.map(([path, entry]) => [path.slice(prefix.length), entry]));
}

export function filterTree(tree: Tree, keep: (path: string, entry: Entry) => boolean): Tree {
  return makeTree([...tree.entries].filter(([path, entry]) => keep(path, entry)));
}

export interface Size {
  readonly files: number;
  readonly bytes: number;
}

/** Files (links count as files) and bytes. A link weighs what its target's name weighs, as in an archive. */
export function treeSize(tree: Tree): Size {
  let bytes = 0;
  for (const entry of tree.entries.values()) bytes += entrySize(entry);
  return { files: tree.entries.size, bytes };
}

export function entrySize(entry: Entry): number {
  return entry.kind === 'file' ? entry.size : Buffer.byteLength(entry.target);
}

/**
 * Sizes of the folders, the biggest first. Every entry is counted once, in its folder cut to `depth` segments, so
 * that the rows add up to the whole tree. Files at the top are under '.'.
 */
export function sizesByFolder(tree: Tree, depth: number): ({ readonly folder: string } & Size)[] {
  const sizes = new Map<string, { files: number; bytes: number }>();
  for (const [path, entry] of tree.entries) {
    const folder = path.split('/').slice(0, -1).slice(0, depth).join('/') || '.';
    const size = sizes.get(folder) ?? { files: 0, bytes: 0 };
    size.files += 1;
    size.bytes += entrySize(entry);
    sizes.set(folder, size);
  }
  const rows = [...sizes].map(([folder, size]) => ({ folder, ...size }));
  return rows.sort((a, b) => b.bytes - a.bytes || (a.folder < b.folder ? -1 : 1));
}

/**
 * Follows symlinks inside the tree, of the path itself and of the folders on its way, as if it were mounted at `root`.
 * @returns where the path leads, whether or not something is there; undefined out of the tree or round in circles.
 */
export function followLinks(tree: Tree, path: string, root = '/opt'): string | undefined {
  const pending = path.split('/');
  let at: string[] = [];
  // The kernel's own limit on links in one path (path_resolution(7)).
  for (let links = 0; links <= 40; ) {
    const segment = pending.shift();
    if (segment === undefined) return at.join('/');
    if (segment === '' || segment === '.') continue;
    if (segment === '..') {
      if (at.pop() === undefined) return undefined;
      continue;
    }
    const entry = tree.entries.get([...at, segment].join('/'));
    if (entry?.kind !== 'link') {
      at.push(segment);
      continue;
    }
    links += 1;
    if (entry.target.startsWith('/')) {
      if (!`${entry.target}/`.startsWith(`${root}/`)) return undefined;
      at = [];
      pending.unshift(...entry.target.slice(root.length).split('/'));
    } else pending.unshift(...entry.target.split('/'));
  }
  return undefined;
}

/** The file of the tree that a path leads to through any links, or undefined when there is none. */
export function resolvePath(tree: Tree, path: string, root = '/opt'): string | undefined {
  const target = followLinks(tree, path, root);
  return target !== undefined && tree.entries.get(target)?.kind === 'file' ? target : undefined;
}
