// Results that are either whole or absent. A stage fills a scratch folder beside the final one and renames it, so a
// run that was killed (even with kill -9) leaves nothing that a later run could mistake for a result.
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { explainSystemError, MakeRuntimeError } from './errors.ts';

const partial = /\.(\d+)\.partial$/;

// Builds that run side by side in this process and need the same folder: the first fills it, the others wait.
const filling = new Map<string, Promise<{ cached: boolean }>>();

/**
 * Returns `folder`, filling it with `fill(scratch)` when it is not there yet.
 * Safe for concurrent runs: each fills its own scratch folder, the first rename wins, the others discard theirs.
 *
 * @returns whether the folder was there already
 */
export async function folderOnce(
  folder: string,
  fill: (scratch: string) => Promise<void>,
): Promise<{ cached: boolean }> {
  const running = filling.get(folder);
  if (running) return running.then(() => ({ cached: true }));
  const own = fillFolder(folder, fill);
  filling.set(folder, own);
  return own.finally(() => filling.delete(folder));
}

async function fillFolder(folder: string, fill: (scratch: string) => Promise<void>): Promise<{ cached: boolean }> {
  if (await exists(folder)) return { cached: true };
  await removeAbandoned(folder);
  const scratch = `${folder}.${process.pid}.partial`;
  try {
    await rm(scratch, { recursive: true, force: true });
    await mkdir(scratch, { recursive: true });
    await fill(scratch);
    await rename(scratch, folder).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } catch (error) {
    throw explainSystemError(error, `writing ${folder}`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return { cached: false };
}

/**
 * Fills a folder anew and puts it in the place of an older one. Between the two renames there is neither, never a mix.
 * @param landmark a file that every such folder has: a folder without it is somebody else's, and is left alone
 * @throws USAGE for a folder that holds something else; DISK_FULL
 */
export async function replaceFolder(
  folder: string,
  landmark: string,
  fill: (scratch: string) => Promise<void>,
): Promise<void> {
  const there = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new MakeRuntimeError('USAGE', `${folder} is not a folder that can be written.`, {
      remedy: 'Choose another --output.',
      cause: error,
    });
  });
  if (there !== undefined && there.length > 0 && !there.includes(landmark)) {
    throw new MakeRuntimeError('USAGE', `${folder} holds something else, which is not overwritten.`, {
      remedy: 'Choose another --output, or remove the folder.',
    });
  }
  await removeAbandoned(folder);
  const scratch = `${folder}.${process.pid}.partial`;
  const old = `${folder}.old.${process.pid}.partial`;
  try {
    await rm(scratch, { recursive: true, force: true });
    await mkdir(scratch);
    await fill(scratch);
    if (there !== undefined) await rename(folder, old);
    await rename(scratch, folder).catch(async (error) => {
      if (there !== undefined) await rename(old, folder);
      throw error;
    });
    await rm(old, { recursive: true, force: true });
  } catch (error) {
    throw explainSystemError(error, `writing ${folder}`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Writes a file whole: a reader sees the old content or the new, never a part. Throws DISK_FULL. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await replaceFile(path, (partial) => writeFile(partial, content));
  } catch (error) {
    throw explainSystemError(error, `writing ${path}`);
  }
}

/** The same for content that is written piece by piece: `write` gets a scratch path, which then takes the file's place. */
export async function replaceFile(path: string, write: (partial: string) => Promise<void>): Promise<void> {
  const partial = `${path}.${randomBytes(6).toString('hex')}.part`;
  try {
    await write(partial);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Removes scratch folders for the same result whose process is gone. */
async function removeAbandoned(folder: string): Promise<void> {
  const siblings = await readdir(dirname(folder)).catch(() => []);
  for (const name of siblings) {
    const pid = partial.exec(name)?.[1];
    if (pid === undefined || !name.startsWith(`${basename(folder)}.`) || isRunning(Number(pid))) continue;
    await rm(join(dirname(folder), name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return pid !== process.pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
