// The image that is to be pushed: one manifest for one platform and all that it names, out of an OCI layout in a folder
// or an archive, whoever made it. Everything is hashed before it counts. It knows no registry and no rule of Lambda's.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import {
  type Descriptor,
  type ImageConfig,
  type Index,
  Malformed,
  type Manifest,
  ociIndex,
  type RawManifest,
  readConfig,
  readManifest,
} from '../registry/oci.ts';
import type { Blob } from '../registry/push.ts';
import { NotATar, readArchive } from './archive.ts';

export interface LayerBlob extends Blob {
  readonly mediaType: string;
}

export interface ImageSource {
  /** The layout's folder or the archive, as an absolute path. */
  readonly path: string;
  /** The folder in which make-runtime puts what it states about the image. */
  readonly beside: string;
  readonly manifest: RawManifest;
  readonly config: ImageConfig;
  readonly configBlob: Blob;
  /** The lowest first. */
  readonly layers: readonly LayerBlob[];
}

/** The files of a layout. */
interface Shelf {
  readonly path: string;
  /** Undefined when there is none of that name. */
  file(name: string): Promise<{ readonly size: number; readonly open: () => AsyncIterable<Uint8Array> } | undefined>;
}

const refName = 'org.opencontainers.image.ref.name';
/** Documents, which are read whole; what is larger is none. */
const maxDocument = 4 * 1024 * 1024;

/**
 * Opens an image and reads all of it once.
 * @param spec "DIR", "DIR:TAG", "FILE.tar" or "FILE.tar:TAG"
 * @param platform "linux/amd64" or "linux/arm64"; needed where there are images for several
 * @throws ARTIFACT_NOT_FOUND, ARTIFACT_NOT_AN_IMAGE, ARTIFACT_WRONG_ARCH, ARTIFACT_CHANGED; USAGE for a platform that
 *   has to be chosen; CANCELLED
 */
export async function openImage(
  spec: string,
  platform: string | undefined,
  ctx: Pick<Context, 'signal'>,
): Promise<ImageSource> {
  const { path, tag } = await locate(spec);
  const shelf = (await stat(path)).isDirectory() ? folderShelf(path) : await archiveShelf(path, ctx);
  const text = await shelf.file('index.json');
  if (text === undefined) {
    throw notAnImage(path, 'it has no index.json', {
      remedy:
        'Name what `make-runtime image` writes, or convert: skopeo copy docker-archive:FILE oci:DIR, skopeo copy containers-storage:NAME oci:DIR.',
    });
  }
  const bytes = await collect(path, text);
  const index = parsed(path, { bytes, mediaType: ociIndex });
  if (index.kind !== 'index') throw notAnImage(path, 'its index.json is not an index');
  const chosen = await choose(shelf, named(path, index.index, tag), platform, ctx);
  const { config: configRow, layers } = chosen.manifest;
  const configBlob = await blobOf(shelf, configRow);
  const config = configOf(path, await collect(path, configBlob));
  if (platform !== undefined && platformOf(config) !== platform)
    throw wrongPlatform(path, platform, [platformOf(config)]);
  const blobs: LayerBlob[] = [];
  for (const row of layers) blobs.push({ ...(await blobOf(shelf, row)), mediaType: row.mediaType });
  for (const blob of [configBlob, ...blobs]) await confirm(path, blob, ctx);
  return { path, beside: dirname(path), manifest: chosen.raw, config, configBlob, layers: blobs };
}

/** "linux/arm64" of a configuration; a variant does not count, Lambda knows none. */
export function platformOf({ os, architecture }: Pick<ImageConfig, 'os' | 'architecture'>): string {
  return `${os}/${architecture}`;
}

async function locate(spec: string): Promise<{ path: string; tag?: string }> {
  const there = (path: string): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    );
  if (await there(spec)) return { path: resolve(spec) };
  const colon = spec.lastIndexOf(':');
  if (colon > 0 && (await there(spec.slice(0, colon))))
    return { path: resolve(spec.slice(0, colon)), tag: spec.slice(colon + 1) };
  throw new MakeRuntimeError('ARTIFACT_NOT_FOUND', `There is no ${spec}.`, {
    remedy: 'Give the folder or the image.tar that `make-runtime image` prints.',
  });
}

function folderShelf(path: string): Shelf {
  return {
    path,
    file: async (name) => {
      const file = join(path, name);
      const found = await stat(file).catch(() => undefined);
      if (found === undefined || !found.isFile()) return undefined;
      return { size: found.size, open: () => createReadStream(file, { highWaterMark: 1 << 18 }) };
    },
  };
}

async function archiveShelf(path: string, ctx: Pick<Context, 'signal'>): Promise<Shelf> {
  const files = await readArchive(path, ctx.signal).catch((error) => {
    throw error instanceof NotATar ? notAnImage(path, error.message) : error;
  });
  return {
    path,
    file: async (name) => {
      const extent = files.get(name);
      if (extent === undefined) return undefined;
      const { start, size } = extent;
      const open = (): AsyncIterable<Uint8Array> =>
        size === 0 ? none() : createReadStream(path, { start, end: start + size - 1, highWaterMark: 1 << 18 });
      return { size, open };
    },
  };
}

async function* none(): AsyncGenerator<Uint8Array, void, undefined> {}

/** The rows of index.json that a name leads to. */
function named(path: string, { manifests }: Index, tag: string | undefined): Index['manifests'] {
  if (tag === undefined) return manifests;
  const rows = manifests.filter(({ annotations }) => annotations?.[refName] === tag);
  if (rows.length > 0) return rows;
  const names = manifests.flatMap(({ annotations }) => annotations?.[refName] ?? []);
  throw new MakeRuntimeError('ARTIFACT_NOT_FOUND', `There is no image ${tag} in ${path}.`, {
    remedy: names.length === 0 ? 'Its images have no names: leave the tag out.' : `It has: ${names.join(', ')}.`,
  });
}

interface Chosen {
  readonly raw: RawManifest;
  readonly manifest: Manifest;
}

/** The one image for the platform, through indexes inside of the layout where there are any. */
async function choose(
  shelf: Shelf,
  rows: Index['manifests'],
  platform: string | undefined,
  ctx: Pick<Context, 'signal'>,
): Promise<Chosen> {
  const found = new Map<string, Chosen & { readonly platform: string }>();
  const visit = async (rows: Index['manifests'], depth: number): Promise<void> => {
    if (depth > 4) throw notAnImage(shelf.path, 'its indexes name one another without end');
    for (const row of rows) {
      // Attestations of BuildKit call themselves unknown/unknown; referrers say what they refer to.
      if (row.platform?.os === 'unknown') continue;
      const blob = await blobOf(shelf, row);
      await confirm(shelf.path, blob, ctx);
      const raw = { mediaType: row.mediaType, digest: row.digest, bytes: await collect(shelf.path, blob) };
      const document = parsed(shelf.path, raw);
      if (document.kind === 'index') {
        await visit(document.index.manifests, depth + 1);
        continue;
      }
      if (JSON.parse(raw.bytes.toString()).subject !== undefined) continue;
      const { config } = document.manifest;
      const read = configOf(shelf.path, await collect(shelf.path, await blobOf(shelf, config)));
      found.set(row.digest, { raw, manifest: document.manifest, platform: platformOf(read) });
    }
  };
  await visit(rows, 0);
  const all = [...found.values()];
  const fitting = platform === undefined ? all : all.filter((one) => one.platform === platform);
  const platforms = [...new Set(all.map((one) => one.platform))];
  if (all.length === 0) throw notAnImage(shelf.path, 'it names no image');
  if (fitting.length === 0) throw wrongPlatform(shelf.path, platform!, platforms);
  if (fitting.length === 1) return fitting[0]!;
  if (platforms.length > 1 && platform === undefined) {
    throw new MakeRuntimeError(
      'USAGE',
      `${shelf.path} has images for ${platforms.join(' and ')}, and Lambda takes one.`,
      {
        remedy: `Choose: --platform ${platforms[0]}, or push each under a tag of its own.`,
      },
    );
  }
  throw new MakeRuntimeError('USAGE', `${shelf.path} has several images.`, {
    remedy: `Name one behind a colon, as in index.json: ${shelf.path}:TAG.`,
  });
}

async function blobOf({ path, file }: Shelf, { digest, size }: Descriptor): Promise<Blob> {
  const found = await file(`blobs/sha256/${digest.slice('sha256:'.length)}`);
  if (found === undefined) throw changed(path, `${digest} is missing`);
  if (found.size !== size) throw changed(path, `expected ${digest}, ${size} bytes\n   found ${found.size} bytes`);
  return { digest, size, open: found.open };
}

async function confirm(path: string, { digest, open }: Blob, { signal }: Pick<Context, 'signal'>): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of open()) {
    throwIfCancelled(signal);
    hash.update(chunk);
  }
  const actual = `sha256:${hash.digest('hex')}`;
  if (actual !== digest) throw changed(path, `expected ${digest}\n   found ${actual}`);
}

async function collect(path: string, { size, open }: Pick<Blob, 'size' | 'open'>): Promise<Buffer> {
  if (size > maxDocument) throw notAnImage(path, 'one of its documents has no end');
  const chunks: Uint8Array[] = [];
  for await (const chunk of open()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function parsed(path: string, raw: Pick<RawManifest, 'bytes' | 'mediaType'>): ReturnType<typeof readManifest> {
  try {
    return readManifest(raw);
  } catch (error) {
    throw error instanceof Malformed ? notAnImage(path, `of its manifest, ${error.message}`) : error;
  }
}

function configOf(path: string, bytes: Buffer): ImageConfig {
  try {
    return readConfig(bytes);
  } catch (error) {
    throw error instanceof Malformed ? notAnImage(path, `of its configuration, ${error.message}`) : error;
  }
}

function notAnImage(path: string, why: string, { remedy }: { remedy?: string } = {}): MakeRuntimeError {
  return new MakeRuntimeError('ARTIFACT_NOT_AN_IMAGE', `${path} is not an image that can be pushed: ${why}.`, {
    remedy: remedy ?? 'Make it again with `make-runtime image`.',
  });
}

function changed(path: string, detail: string): MakeRuntimeError {
  return new MakeRuntimeError('ARTIFACT_CHANGED', `${path} is not what it was when it was made.`, {
    remedy: 'Make it again with `make-runtime image`: nothing was pushed.',
    detail,
  });
}

function wrongPlatform(path: string, wanted: string, there: readonly string[]): MakeRuntimeError {
  return new MakeRuntimeError('ARTIFACT_WRONG_ARCH', `${path} has no image for ${wanted}.`, {
    remedy: 'Choose another --platform, or make the image for this one.',
    detail: `it has ${there.join(', ')}`,
  });
}
