// Several layers become one /opt, as Lambda does it: unpacked one after the other, later files win. Links files instead
// of copying where the disk allows it, because nothing ever writes to a merged layer.
import { constants } from 'node:fs';
import { chmod, copyFile, link, lstat, mkdir, mkdtemp, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** One folder with the content of all layers: the only one itself, else a merged or an empty one below `scratch`. */
export async function oneLayer(layerDirs: readonly string[], scratch: string): Promise<string> {
  if (layerDirs.length === 0) return emptyFolder(scratch);
  if (layerDirs.length === 1) return resolve(layerDirs[0]!);
  const merged = join(scratch, 'layers');
  await mergeLayers(layerDirs, merged);
  await chmod(merged, 0o755);
  return merged;
}

/** A folder of ours with nothing in it, readable for the function's user. */
export async function emptyFolder(scratch: string): Promise<string> {
  const folder = await mkdtemp(join(scratch, 'empty-'));
  await chmod(folder, 0o755);
  return folder;
}

/** Merges layer folders, in list order, into `target`, which is created. */
async function mergeLayers(layerDirs: readonly string[], target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  for (const layer of layerDirs) await overlay(layer, target);
}

async function overlay(source: string, target: string): Promise<void> {
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const from = join(source, entry.name);
    const to = join(target, entry.name);
    const there = await lstat(to).catch(() => undefined);
    if (there !== undefined && !(entry.isDirectory() && there.isDirectory())) await rm(to, { recursive: true });
    if (entry.isDirectory()) {
      await mkdir(to, { recursive: true });
      await overlay(from, to);
      // After the content: a layer's folder may be read-only.
      await chmod(to, (await lstat(from)).mode & 0o7777);
    } else if (entry.isSymbolicLink()) {
      await symlink(await readlink(from), to);
    } else if (entry.isFile()) {
      await link(from, to).catch(() => copyFile(from, to, constants.COPYFILE_FICLONE));
    }
  }
}
