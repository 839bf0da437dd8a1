// The content-addressed store below the cache folder: a file's name is its sha256. Knows no network.
// Several processes may work in it at once: a finished file appears by rename, unfinished ones have names of their own.
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { throwIfCancelled } from '../lib/errors.ts';

/** `<cacheDir>/sha256/ab/cdef...` */
export function cachePath(cacheDir: string, sha256: string): string {
  return join(cacheDir, 'sha256', sha256.slice(0, 2), sha256.slice(2));
}

/** Size in bytes and sha256 of a file. */
export async function digestFile(path: string, signal: AbortSignal): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    throwIfCancelled(signal);
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return { size, sha256: hash.digest('hex') };
}

/** 'right' when the cached file has the bytes its name says; 'wrong' when not; 'absent' when there is none. */
export async function inspectCached(
  cacheDir: string,
  sha256: string,
  signal: AbortSignal,
): Promise<'right' | 'wrong' | 'absent'> {
  const path = cachePath(cacheDir, sha256);
  if ((await sizeOf(path)) === undefined) return 'absent';
  return (await digestFile(path, signal)).sha256 === sha256 ? 'right' : 'wrong';
}

/**
 * A file of this process's own to download into. What a killed run left behind for the same content is taken over, so
 * that the download goes on from there; the process number in the name tells leftovers from downloads under way.
 */
export async function openPart(cacheDir: string, sha256: string): Promise<string> {
  const folder = join(cacheDir, 'part');
  await mkdir(folder, { recursive: true });
  const mine = join(folder, `${sha256}.${hostname()}.${process.pid}.${randomBytes(4).toString('hex')}.part`);
  own.add(basename(mine));
  for (const name of await readdir(folder)) {
    if (!isLeftover(name, sha256)) continue;
    const path = join(folder, name);
    try {
      await rename(path, mine);
      await rename(`${path}.json`, `${mine}.json`).catch(() => {});
      return mine;
    } catch (error) {
      // Another run was quicker; there may be a further one.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return mine;
}

/** Names this process has given out: anything else under its number is from an earlier process of that number. */
const own = new Set<string>();

/** Puts a finished download in its place; the last of two runs that finish at once wins, with equal bytes. */
export async function keepPart(part: string, cacheDir: string, sha256: string): Promise<string> {
  const path = cachePath(cacheDir, sha256);
  await mkdir(dirname(path), { recursive: true });
  await rename(part, path);
  await rm(`${part}.json`, { force: true });
  return path;
}

/** Leaves a part behind for a later run, which may be one of this process. */
export function leavePart(part: string): void {
  own.delete(basename(part));
}

export async function dropPart(part: string): Promise<void> {
  await rm(part, { force: true });
  await rm(`${part}.json`, { force: true });
}

/** Bytes in a file, or undefined when there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isLeftover(name: string, sha256: string): boolean {
  const prefix = `${sha256}.${hostname()}.`;
  if (!name.startsWith(prefix) || !name.endsWith('.part')) return false;
  const pid = Number(name.slice(prefix.length).split('.')[0]);
  if (!Number.isInteger(pid) || own.has(name)) return false;
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    // EPERM: it runs, as somebody else.
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
