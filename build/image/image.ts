// The image stage: the files of a runtime and a base image in, an OCI image layout out, without any daemon. The layout
// appears last and whole. One manifest for one platform: Lambda refuses an index, so attestations never go in here.

import { createReadStream } from 'node:fs';
import { constants, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { explainSystemError, throwIfCancelled } from '../lib/errors.ts';
import { replaceFolder } from '../lib/folder.ts';
import { stableJson } from '../recipe/canonical.ts';
import type { Plan } from '../recipe/model.ts';
import type { ImageFormat } from '../registry/formats.ts';
import { type Descriptor, type Manifest, mediaTypes, ociIndex } from '../registry/oci.ts';
import { parseReference, printReference } from '../registry/reference.ts';
import type { Tree } from '../tree/tree.ts';
import type { Base } from './base.ts';
import { writeBlob, writeGzip } from './blob.ts';
import { imageConfig, type OwnLayer, ociArchitecture, ociVariant } from './config.ts';
import { tarChunks, tarMembers } from './tar.ts';

export interface ImageLayer {
  /** What it holds, for `docker history`: "python 3.13.15". */
  readonly about: string;
  readonly tree: Tree;
  /** Folders that have to exist although nothing is in them. */
  readonly folders?: readonly string[];
}

export interface ImageInput {
  readonly plan: Pick<Plan, 'id' | 'name' | 'arch' | 'epoch' | 'python'>;
  /** Ours, the lowest first. */
  readonly layers: readonly ImageLayer[];
  /** Undefined for an image from scratch. */
  readonly base: Base | undefined;
  readonly format: ImageFormat;
  /** "name:tag"; the tag is its name inside of the layout. */
  readonly name: string;
  /** The layout's folder; an older layout there is replaced. */
  readonly folder: string;
}

export interface Image {
  readonly kind: 'image';
  /** The layout's folder, or the archive made of it. */
  readonly path: string;
  /** Of the manifest: what a function is deployed by. */
  readonly digest: string;
  readonly mediaType: string;
  /** Of the manifest and all it names, bytes: what a push sends at most. */
  readonly size: number;
  /** Of the base, where there is one. */
  readonly base: string | undefined;
  readonly layers: readonly { readonly digest: string; readonly size: number; readonly about?: string }[];
}

interface LaidLayer extends OwnLayer {
  readonly descriptor: Descriptor;
}

/**
 * Writes an OCI image layout.
 * @throws USAGE when the folder holds something else, DISK_FULL, CANCELLED; leaves nothing half-written
 */
export async function packageImage(input: ImageInput, ctx: Pick<Context, 'report' | 'signal'>): Promise<Image> {
  const { plan, base, format, folder } = input;
  const types = mediaTypes[format];
  let image: Image | undefined;
  await mkdir(dirname(folder), { recursive: true });
  await replaceFolder(folder, 'oci-layout', async (scratch) => {
    const blobs = join(scratch, 'blobs', 'sha256');
    await mkdir(blobs, { recursive: true });
    const below = base === undefined ? [] : await layBase(base, types.layer, blobs, ctx);
    const own: LaidLayer[] = [];
    for (const { about, tree, folders } of input.layers) {
      ctx.report({ type: 'progress', stage: 'image', text: `compressing ${about}` });
      const chunks = tarChunks(tarMembers(tree, folders), plan.epoch, ctx.signal);
      const { diffId, ...blob } = await writeGzip(chunks, blobs, ctx.signal);
      own.push({ about, diffId, descriptor: { mediaType: types.layer, ...blob } });
    }
    const config = imageConfig(plan, base && { ...base, layers: base.layers.length }, own);
    const configBlob = await writeBlob([Buffer.from(stableJson(config))], blobs, ctx.signal);
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: types.manifest,
      config: { mediaType: types.config, ...configBlob },
      layers: [...below, ...own.map(({ descriptor }) => descriptor)],
    };
    const manifestBlob = await writeBlob([Buffer.from(manifestJson(manifest))], blobs, ctx.signal);
    await writeFile(join(scratch, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}\n');
    const root = {
      mediaType: types.manifest,
      ...manifestBlob,
      platform: {
        architecture: ociArchitecture[plan.arch],
        os: 'linux',
        ...(ociVariant[plan.arch] === undefined ? {} : { variant: ociVariant[plan.arch] }),
      },
      annotations: {
        // What containerd, and podman since 4.0, name an image that they load (containers/podman#12560).
        'io.containerd.image.name': printReference(parseReference(input.name)),
        'org.opencontainers.image.ref.name': parseReference(input.name).tag ?? 'latest',
      },
    };
    await writeFile(
      join(scratch, 'index.json'),
      stableJson({ schemaVersion: 2, mediaType: ociIndex, manifests: [root] }),
    );
    const sizes = [manifestBlob, configBlob, ...manifest.layers].map(({ size }) => size);
    image = {
      kind: 'image',
      path: folder,
      digest: manifestBlob.digest,
      mediaType: types.manifest,
      size: sizes.reduce((sum, size) => sum + size, 0),
      base: base?.digest,
      layers: [
        ...below.map(({ digest, size }) => ({ digest, size })),
        ...own.map(({ about, descriptor: { digest, size } }) => ({ digest, size, about })),
      ],
    };
  }).catch((error) => {
    throw explainSystemError(error, `writing ${folder}`);
  });
  return image!;
}

/** The base's layers as files of the layout: as they are, or compressed where they are not. */
async function layBase(
  base: Base,
  mediaType: string,
  blobs: string,
  { report, signal }: Pick<Context, 'report' | 'signal'>,
): Promise<Descriptor[]> {
  const laid: Descriptor[] = [];
  for (const { digest, size, compressed, path } of base.layers) {
    throwIfCancelled(signal);
    if (compressed) {
      await copyFile(path, join(blobs, digest.slice('sha256:'.length)), constants.COPYFILE_FICLONE);
      laid.push({ mediaType, digest, size });
      continue;
    }
    report({ type: 'progress', stage: 'image', text: `compressing a layer of ${base.name}` });
    const written = await writeGzip(createReadStream(path), blobs, signal);
    laid.push({ mediaType, digest: written.digest, size: written.size });
  }
  return laid;
}

/**
 * Keys in the specification's order and no line breaks: Lambda is said to want manifests below 25,400 bytes
 * (docs/images.md), and a base may have many layers.
 */
function manifestJson({ schemaVersion, mediaType, config, layers }: Manifest): string {
  const row = ({ mediaType, size, digest }: Descriptor) => ({ mediaType, size, digest });
  return JSON.stringify({ schemaVersion, mediaType, config: row(config), layers: layers.map(row) });
}
