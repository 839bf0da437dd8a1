// An OCI image layout -> one tar that everybody reads: the layout as it is (podman, skopeo oci-archive:), with the
// manifest.json of `docker save` beside it (docker load of any version), as Docker itself writes it since version 25.
import { createReadStream } from 'node:fs';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { explainSystemError } from '../lib/errors.ts';
import { replaceFile } from '../lib/folder.ts';
import { stableJson } from '../recipe/canonical.ts';
import { readManifest } from '../registry/oci.ts';
import type { Image } from './image.ts';
import { type TarMember, tarChunks } from './tar.ts';

/**
 * Writes a layout as an archive, whole or not at all.
 * @param name what the image will be called after `docker load`: "name:tag"
 * @param epoch the date of every member, seconds
 * @throws DISK_FULL, CANCELLED
 */
export async function archiveImage(
  image: Pick<Image, 'path' | 'digest' | 'mediaType'>,
  target: string,
  { name, epoch }: { name: string; epoch: number },
  ctx: Pick<Context, 'signal'>,
): Promise<void> {
  const folder = image.path;
  const blob = (digest: string): string => `blobs/sha256/${digest.slice('sha256:'.length)}`;
  const bytes = await readFile(join(folder, blob(image.digest)));
  const document = readManifest({ bytes, mediaType: image.mediaType });
  if (document.kind !== 'manifest') throw new Error(`${image.digest} is an index`);
  const { config, layers } = document.manifest;
  const docker = [{ Config: blob(config.digest), RepoTags: [name], Layers: layers.map(({ digest }) => blob(digest)) }];
  const members: TarMember[] = [
    { kind: 'folder', path: 'blobs' },
    { kind: 'folder', path: 'blobs/sha256' },
  ];
  for (const file of (await readdir(join(folder, 'blobs', 'sha256'))).sort())
    members.push(await fileMember(folder, `blobs/sha256/${file}`));
  members.push(await fileMember(folder, 'index.json'));
  members.push(textMember('manifest.json', stableJson(docker)));
  members.push(await fileMember(folder, 'oci-layout'));
  try {
    await replaceFile(target, async (partial) => {
      const file = await open(partial, 'wx', 0o644);
      try {
        for await (const chunk of tarChunks(members, epoch, ctx.signal)) await file.writeFile(chunk);
      } finally {
        await file.close();
      }
    });
  } catch (error) {
    throw explainSystemError(error, `writing ${target}`);
  }
}

async function fileMember(folder: string, path: string): Promise<TarMember> {
  const { size } = await stat(join(folder, path));
  return { kind: 'file', path, mode: 0o644, size, content: () => createReadStream(join(folder, path)) };
}

function textMember(path: string, text: string): TarMember {
  const bytes = Buffer.from(text);
  return { kind: 'file', path, mode: 0o644, size: bytes.byteLength, content: async () => bytes };
}
