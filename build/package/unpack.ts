// A layer zip -> a folder ready to run, kept in the cache under the zip's own hash.
import { join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { folderOnce } from '../lib/folder.ts';
import { digestFile } from '../source/cache.ts';
import { type Tree, writeTree } from '../tree/tree.ts';
import { readZip } from './unzip.ts';

/**
 * @param tree the zip's content, when the caller has read it already
 * @returns the folder that stands for /opt
 * @throws ARTIFACT_NOT_FOUND, ARTIFACT_NOT_A_LAYER, DISK_FULL
 */
export async function unpackLayer(path: string, tree: Tree | undefined, ctx: Context): Promise<string> {
  const content = tree ?? (await readZip(path));
  const { sha256 } = await digestFile(path, ctx.signal);
  const folder = join(ctx.cacheDir, 'unpacked', sha256);
  await folderOnce(folder, (scratch) => writeTree(content, join(scratch, 'opt'), ctx.signal));
  return join(folder, 'opt');
}
