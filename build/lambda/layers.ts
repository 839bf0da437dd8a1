// Several layers become one /opt, as Lambda does it: unpacked one after the other, later files win. Links files instead
// of copying where the disk allows it, because nothing ever writes to a merged layer.
import { constants } from 'node:fs';
import { chmod, copyFile, link, lstat, mkdir, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Merges layer folders, in list order, into `target`, which is created. */
export async function mergeLayers(layerDirs: readonly string[], target: string): Promise<void> {
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
