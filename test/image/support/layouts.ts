// OCI layouts to be bases, sound or with one thing wrong.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { ociIndex } from '../../../build/registry/oci.ts';
import { digestOf, sampleImage } from '../../registry/support/scripted.ts';

/** A tar with one file, base.txt. */
export const baseTar: Buffer = Buffer.from(
  execaSync(
    'sh',
    [
      '-c',
      'd=$(mktemp -d); echo base > "$d/base.txt"; touch -d @0 "$d/base.txt"; tar -C "$d" -cf - base.txt; rm -r "$d"',
    ],
    {
      encoding: 'buffer',
    },
  ).stdout,
);

export type LayoutImage = NonNullable<Parameters<typeof sampleImage>[1]> & {
  readonly tag?: string;
  /** In place of the manifest. */
  readonly manifest?: string;
  /** Through an index inside of the layout, as `docker save` of a multi-platform image does it. */
  readonly nested?: boolean;
};

export async function writeLayout(folder: string, images: readonly LayoutImage[]): Promise<void> {
  const blobs = join(folder, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const put = async (bytes: Buffer): Promise<{ digest: string; size: number }> => {
    await writeFile(join(blobs, digestOf(bytes).slice(7)), bytes);
    return { digest: digestOf(bytes), size: bytes.length };
  };
  const manifests: unknown[] = [];
  for (const { tag, manifest, nested, ...options } of images) {
    const image = sampleImage(baseTar, options);
    await put(image.config);
    await put(image.layer);
    const annotations = tag === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': tag } };
    const row = {
      mediaType: image.mediaType,
      ...(await put(manifest === undefined ? image.manifest : Buffer.from(manifest))),
    };
    if (!nested) {
      manifests.push({ ...row, ...annotations });
      continue;
    }
    const { architecture, os } = JSON.parse(image.config.toString());
    const unknown = { os: 'unknown', architecture: 'unknown' };
    const inner = {
      schemaVersion: 2,
      manifests: [
        { ...row, platform: unknown },
        { ...row, platform: { architecture, os } },
      ],
    };
    manifests.push({ mediaType: ociIndex, ...(await put(Buffer.from(JSON.stringify(inner)))), ...annotations });
  }
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
}
