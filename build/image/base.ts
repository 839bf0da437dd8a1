// The image below ours: from a registry, from an OCI layout folder, or none ("scratch"). Ends with the one manifest of
// the right platform, its configuration, and its layers as files, or with the reason why Lambda would not take it.
import { open, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Arch } from '../recipe/model.ts';
import {
  acceptedManifests,
  type Descriptor,
  type ImageConfig,
  type Index,
  Malformed,
  type Manifest,
  type RawManifest,
  readConfig,
  readManifest,
} from '../registry/oci.ts';
import { fetchBlob, fetchManifest } from '../registry/pull.ts';
import { parseReference, printReference } from '../registry/reference.ts';
import { Registry, type RegistryOptions } from '../registry/session.ts';
import { digestFile } from '../source/cache.ts';
import { ociArchitecture } from './config.ts';

export interface BaseLayer {
  readonly digest: string;
  readonly size: number;
  readonly diffId: string;
  /** False for a bare tar, which Lambda has refused (bazel-contrib/rules_oci#777): it has to be compressed. */
  readonly compressed: boolean;
  readonly path: string;
}

export interface Base {
  /** As messages call it. */
  readonly name: string;
  /** Of its manifest, "sha256:...". */
  readonly digest: string;
  readonly config: ImageConfig;
  readonly layers: readonly BaseLayer[];
}

/** Where manifests and blobs are: a registry or a folder. */
interface Shelf extends Disposable {
  readonly name: string;
  /** What the base's name leads to, or the manifest of a digest. */
  manifest(digest?: string): Promise<RawManifest>;
  /** The path of a file with exactly these bytes. */
  blob(descriptor: Descriptor): Promise<string>;
}

/** The base of an image when none is named: AWS's own for OS-only runtimes. */
export const defaultBase = 'public.ecr.aws/lambda/provided:al2023';

/**
 * Opens a base image and fetches all of it.
 * @param spec an image reference, "layout:DIR", "layout:DIR:TAG" or "scratch"
 * @returns undefined for "scratch"
 * @throws REFERENCE_INVALID, BASE_NOT_FOUND, BASE_UNSUPPORTED, BASE_WRONG_ARCH, BASE_DAMAGED, REGISTRY_UNREACHABLE,
 *   REGISTRY_DENIED, REGISTRY_THROTTLED, DISK_FULL, CANCELLED
 */
export async function openBase(
  spec: string,
  arch: Arch,
  ctx: Context,
  options: RegistryOptions = {},
): Promise<Base | undefined> {
  if (spec === 'scratch') return undefined;
  using shelf = spec.startsWith('layout:')
    ? await folderShelf(spec.slice('layout:'.length), ctx)
    : registryShelf(spec, ctx, options);
  const { digest, manifest } = await chooseManifest(shelf, arch);
  const config = await loadConfig(shelf, manifest);
  refuseForeign(shelf, config, arch);
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length)
    throw unsupported(shelf.name, `it has ${manifest.layers.length} layers, but says that it has ${diffIds.length}`);
  for (const { mediaType } of manifest.layers) refuseLayerType(shelf, mediaType);
  const layers: BaseLayer[] = [];
  for (const [at, descriptor] of manifest.layers.entries()) {
    const path = await shelf.blob(descriptor);
    const compressed = await isCompressed(shelf, path);
    layers.push({ digest: descriptor.digest, size: descriptor.size, diffId: diffIds[at]!, compressed, path });
  }
  return { name: shelf.name, digest, config, layers };
}

function registryShelf(spec: string, ctx: Context, options: RegistryOptions): Shelf {
  const reference = parseReference(spec);
  const registry = new Registry(reference, ctx, options);
  return {
    name: printReference(reference),
    manifest: (digest) => fetchManifest(registry, ctx, digest),
    blob: (descriptor) => fetchBlob(registry, descriptor, ctx),
    [Symbol.dispose]: () => registry[Symbol.dispose](),
  };
}

async function folderShelf(spec: string, ctx: Context): Promise<Shelf> {
  const { folder, tag } = await splitTag(spec);
  const name = `the layout ${folder}`;
  const text = await readFile(join(folder, 'index.json')).catch((cause) => {
    throw new MakeRuntimeError('BASE_NOT_FOUND', `There is no OCI image layout in ${folder}.`, {
      remedy: 'Name a folder that has an index.json, such as `skopeo copy docker://IMAGE oci:DIR:TAG` writes.',
      cause,
    });
  });
  const blob = async ({ digest, size }: Pick<Descriptor, 'digest' | 'size'>): Promise<string> => {
    const path = join(folder, 'blobs', 'sha256', digest.slice('sha256:'.length));
    const got = await digestFile(path, ctx.signal).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ENOENT') throw cause;
      throw damaged(name, `${digest} is missing`);
    });
    if (`sha256:${got.sha256}` === digest && got.size === size) return path;
    throw damaged(name, `expected ${digest}, ${size} bytes\n   found sha256:${got.sha256}, ${got.size} bytes`);
  };
  const root = parsed(name, { mediaType: acceptedManifests[2]!, bytes: text });
  if (root.kind !== 'index') throw unsupported(name, 'its index.json is not an index');
  const all = root.index.manifests;
  const named = (wanted: string) => all.filter(({ annotations }) => annotations?.[refName] === wanted);
  const chosen = tag === undefined ? all : named(tag);
  if (chosen.length === 0) {
    const names = all.flatMap(({ annotations }) => annotations?.[refName] ?? []);
    throw new MakeRuntimeError('BASE_NOT_FOUND', `There is no image ${tag ?? ''} in ${name}.`.replace('  ', ' '), {
      remedy: names.length === 0 ? 'Its images have no names: leave the tag out.' : `It has: ${names.join(', ')}.`,
    });
  }
  return {
    name: tag === undefined ? name : `${tag} in ${name}`,
    // Several images in one folder are like an index of them.
    manifest: async (digest) => {
      const one = digest === undefined && chosen.length === 1 ? chosen[0]! : all.find((row) => row.digest === digest);
      if (digest === undefined && one === undefined) {
        const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: chosen }));
        return { mediaType: acceptedManifests[2]!, digest: '', bytes };
      }
      const path = one === undefined ? undefined : await blob(one);
      if (one !== undefined && path !== undefined) return { ...one, bytes: await readFile(path) };
      // Named by an index inside of the layout: its size is not known here, its digest is what counts.
      const nested = join(folder, 'blobs', 'sha256', digest!.slice('sha256:'.length));
      const { size } = await stat(nested).catch(() => {
        throw damaged(name, `${digest} is missing`);
      });
      return { mediaType: '', digest: digest!, bytes: await readFile(await blob({ digest: digest!, size })) };
    },
    blob,
    [Symbol.dispose]: () => {},
  };
}

const refName = 'org.opencontainers.image.ref.name';

/** "DIR" or "DIR:TAG"; a folder may have a colon in its name. */
async function splitTag(spec: string): Promise<{ folder: string; tag?: string }> {
  const isFolder = (path: string) =>
    stat(path)
      .then((found) => found.isDirectory())
      .catch(() => false);
  const colon = spec.lastIndexOf(':');
  if (colon > 0 && !(await isFolder(spec)) && (await isFolder(spec.slice(0, colon))))
    return { folder: resolve(spec.slice(0, colon)), tag: spec.slice(colon + 1) };
  return { folder: resolve(spec) };
}

/** Follows indexes (an index may name another) to the manifest for the architecture. */
async function chooseManifest(shelf: Shelf, arch: Arch): Promise<{ digest: string; manifest: Manifest }> {
  let raw = await shelf.manifest();
  for (let depth = 0; depth < 4; depth++) {
    const document = parsed(shelf.name, raw);
    if (document.kind === 'manifest') return { digest: raw.digest, manifest: document.manifest };
    raw = await shelf.manifest(await choosePlatform(shelf, document.index, arch));
  }
  throw unsupported(shelf.name, 'its indexes name one another without end');
}

async function choosePlatform(shelf: Shelf, { manifests }: Index, arch: Arch): Promise<string> {
  const architecture = ociArchitecture[arch];
  const fitting = manifests.filter(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === architecture,
  );
  // arm64 is v8 where a variant is named at all.
  const best =
    fitting.find(({ platform }) => platform?.variant === undefined || platform.variant === 'v8') ?? fitting[0];
  if (best) return best.digest;
  // Layouts need not say platforms: their images do.
  const unnamed = manifests.filter(({ platform }) => platform === undefined);
  for (const { digest } of unnamed) {
    const document = parsed(shelf.name, await shelf.manifest(digest));
    if (document.kind === 'index') return digest;
    const config = await loadConfig(shelf, document.manifest);
    if (config.os === 'linux' && config.architecture === architecture) return digest;
  }
  const platforms = manifests.flatMap(({ platform }) =>
    // Attestations of BuildKit call themselves unknown/unknown.
    platform && platform.os !== 'unknown' ? `${platform.os}/${platform.architecture}` : [],
  );
  throw new MakeRuntimeError('BASE_WRONG_ARCH', `${capital(shelf.name)} has no image for linux/${architecture}.`, {
    remedy: `Choose a base for ${architecture}, or another --arch.`,
    detail: platforms.length === 0 ? 'it names no platform' : `it has ${[...new Set(platforms)].join(', ')}`,
  });
}

async function loadConfig(shelf: Shelf, { config }: Manifest): Promise<ImageConfig> {
  const path = await shelf.blob(config);
  try {
    return readConfig(await readFile(path));
  } catch (error) {
    throw error instanceof Malformed ? unsupported(shelf.name, `of its configuration, ${error.message}`) : error;
  }
}

function refuseForeign(shelf: Shelf, config: ImageConfig, arch: Arch): void {
  const architecture = ociArchitecture[arch];
  if (config.os === 'linux' && config.architecture === architecture) return;
  throw new MakeRuntimeError(
    'BASE_WRONG_ARCH',
    `${capital(shelf.name)} is for ${config.os}/${config.architecture}, and the runtime for linux/${architecture}.`,
    { remedy: `Choose a base for ${architecture}, or another --arch.` },
  );
}

function refuseLayerType(shelf: Shelf, mediaType: string): void {
  if (/zstd/.test(mediaType)) throw zstd(shelf.name);
  if (/foreign|nondistributable/.test(mediaType))
    throw unsupported(shelf.name, 'one of its layers may not be distributed (a foreign layer)');
  const known = /^application\/vnd\.(oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)([+.]gzip)?$/;
  if (!known.test(mediaType)) throw unsupported(shelf.name, `one of its layers is of the type ${mediaType}`);
}

/** By the first bytes: media types have been wrong before. */
async function isCompressed(shelf: Shelf, path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const head = Buffer.alloc(4);
    await file.read(head, 0, 4, 0);
    if (head.readUInt32LE() === 0xfd2fb528) throw zstd(shelf.name);
    return head.readUInt16BE() === 0x1f8b;
  } finally {
    await file.close();
  }
}

function parsed(name: string, raw: Pick<RawManifest, 'bytes' | 'mediaType'>): ReturnType<typeof readManifest> {
  try {
    return readManifest(raw);
  } catch (error) {
    throw error instanceof Malformed ? unsupported(name, `of its manifest, ${error.message}`) : error;
  }
}

function zstd(name: string): MakeRuntimeError {
  return new MakeRuntimeError(
    'BASE_UNSUPPORTED',
    `${capital(name)} has layers compressed with zstd, which Lambda refuses.`,
    {
      remedy:
        'Use a base with gzip layers, or convert it: skopeo copy --dest-compress-format gzip --dest-force-compress-format docker://IMAGE oci:DIR, then --base layout:DIR.',
    },
  );
}

function unsupported(name: string, why: string): MakeRuntimeError {
  return new MakeRuntimeError('BASE_UNSUPPORTED', `${capital(name)} cannot be a base: ${why}.`, {
    remedy: `Use another base; ${defaultBase} is the one that is meant for Lambda.`,
  });
}

function damaged(name: string, detail: string): MakeRuntimeError {
  return new MakeRuntimeError('BASE_DAMAGED', `${capital(name)} is damaged.`, {
    remedy: 'Make the layout again.',
    detail,
  });
}

function capital(text: string): string {
  return text.startsWith('the ') ? `The ${text.slice(4)}` : text;
}
