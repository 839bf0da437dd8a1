// Compiled results that know their own content: a cached one that was changed by hand, or by a failing disk, is not
// used. Guards against accidents and careless edits; whoever can write the cache can also write its digest.
import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import { exists, folderOnce } from '../lib/folder.ts';

const digestFile = 'content.sha256';

/** As folderOnce(); a folder whose content is not what was written is reported, removed and filled again. */
export async function contentOnce(
  folder: string,
  ctx: Pick<Context, 'report' | 'signal'>,
  fill: (scratch: string) => Promise<void>,
): Promise<{ cached: boolean }> {
  if ((await exists(folder)) && !(await isIntact(folder, ctx.signal))) {
    ctx.report({ type: 'warn', message: `${folder} is not what was written there; it is made again.` });
    await rm(folder, { recursive: true, force: true });
  }
  return folderOnce(folder, async (scratch) => {
    await fill(scratch);
    await writeFile(join(scratch, digestFile), await contentDigest(scratch, ctx.signal));
  });
}

async function isIntact(folder: string, signal: AbortSignal): Promise<boolean> {
  const written = await readFile(join(folder, digestFile), 'utf8').catch(() => undefined);
  return written !== undefined && written === (await contentDigest(folder, signal));
}

/** sha256 over every path, kind, executable bit and content below a folder; dates and owners are no content. */
async function contentDigest(folder: string, signal: AbortSignal): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const hash = createHash('sha256');
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => ({ entry, path: relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/') }))
    .filter(({ path }) => path !== digestFile)
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const { entry, path } of files) {
    throwIfCancelled(signal);
    const full = join(folder, path);
    if (entry.isSymbolicLink()) {
      hash.update(`link\0${path}\0${await readlink(full)}\0`);
      continue;
    }
    const content = await readFile(full);
    const executable = ((await stat(full)).mode & 0o111) !== 0;
    hash.update(`${executable ? 'program' : 'file'}\0${path}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}
