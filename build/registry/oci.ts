// The documents of the OCI image specification 1.1 and of Docker's schema 2, which differ in the names of their media
// types only: descriptors, manifests, indexes, configurations. Checks shapes, fetches nothing.
// https://github.com/opencontainers/image-spec, https://distribution.github.io/distribution/spec/manifest-v2-2/
import { z } from 'zod';
import type { ImageFormat } from './formats.ts';

/** Media types of what we write, by format. */
export const mediaTypes = {
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
} as const satisfies Record<ImageFormat, Record<string, string>>;

export const ociIndex = 'application/vnd.oci.image.index.v1+json';
const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json';

/** What we accept where a manifest is asked for. */
export const acceptedManifests: readonly string[] = [
  mediaTypes.oci.manifest,
  mediaTypes.docker.manifest,
  ociIndex,
  dockerList,
];

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'is not a sha256 digest');

const descriptor = z.object({
  mediaType: z.string(),
  digest,
  size: z.int().nonnegative(),
  annotations: z.record(z.string(), z.string()).optional(),
});

const platform = z.object({ architecture: z.string(), os: z.string(), variant: z.string().optional() });

const manifest = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: descriptor,
  layers: z.array(descriptor),
});

const index = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  manifests: z.array(descriptor.extend({ platform: platform.optional() })),
});

const history = z.object({
  created: z.string().optional(),
  created_by: z.string().optional(),
  comment: z.string().optional(),
  empty_layer: z.boolean().optional(),
});

/** Loose: what we do not know goes through to the image that is built on it. */
const config = z.looseObject({
  architecture: z.string(),
  os: z.string(),
  variant: z.string().optional(),
  config: z
    .looseObject({
      Env: z.array(z.string()).nullish(),
      Entrypoint: z.array(z.string()).nullish(),
      Cmd: z.array(z.string()).nullish(),
      WorkingDir: z.string().nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
    })
    .nullish(),
  rootfs: z.object({ type: z.literal('layers'), diff_ids: z.array(digest) }),
  history: z.array(history).nullish(),
});

export type Descriptor = z.output<typeof descriptor>;
export type Manifest = z.output<typeof manifest>;
export type Index = z.output<typeof index>;
export type ImageConfig = z.output<typeof config>;
export type History = z.output<typeof history>;

/** A manifest as it was received: what it is depends on the media type it came with. */
export interface RawManifest {
  readonly mediaType: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

/** A document that is not what it should be; the text says how, and begins in lower case. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

export type ManifestOrIndex =
  | { readonly kind: 'manifest'; readonly manifest: Manifest }
  | { readonly kind: 'index'; readonly index: Index };

/**
 * Reads a manifest or an index by its own media type, and where it names none by its shape.
 * @throws Malformed, also for Docker's old schema 1
 */
export function readManifest({ bytes, mediaType }: Pick<RawManifest, 'bytes' | 'mediaType'>): ManifestOrIndex {
  const value = parseJson(bytes) as { schemaVersion?: unknown; mediaType?: unknown; manifests?: unknown } | null;
  if (value?.schemaVersion === 1)
    throw new Malformed('it is in Docker’s schema 1, which no registry should serve today');
  const type = typeof value?.mediaType === 'string' ? value.mediaType : mediaType;
  const isIndex =
    type === ociIndex || type === dockerList || (!acceptedManifests.includes(type) && Boolean(value?.manifests));
  return isIndex
    ? { kind: 'index', index: shaped(index, value, 'index') }
    : { kind: 'manifest', manifest: shaped(manifest, value, 'manifest') };
}

/** @throws Malformed */
export function readConfig(bytes: Buffer): ImageConfig {
  return shaped(config, parseJson(bytes), 'configuration');
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new Malformed('it is not JSON', { cause });
  }
}

function shaped<Shape extends z.ZodType>(schema: Shape, value: unknown, what: string): z.output<Shape> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const place = issue?.path.join('.') ?? '';
  throw new Malformed(`it is not an image ${what}${place === '' ? '' : ` (${place}: ${issue?.message})`}`);
}
