// One image to one target: everything it needs, then the manifest, then what refers to it, and the tag last of all, so
// that whoever asks for the tag never gets half an image. It knows no AWS.
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError } from '../lib/errors.ts';
import { tagTaken } from '../registry/failure.ts';
import { type BlobsPushed, moveTag, pushBlobs, pushManifest, tagDigest } from '../registry/push.ts';
import { type Attached, attach } from '../registry/referrers.ts';
import type { Registry } from '../registry/session.ts';
import type { ImageSource } from './source.ts';
import type { Found } from './statements.ts';
import type { Target } from './target.ts';

export interface DeliverOptions {
  /** Leave a tag alone that has another image. */
  readonly immutable: boolean;
  /** Repositories of the same registry to mount blobs from. */
  readonly mount: readonly string[];
  readonly statements: Found | undefined;
}

export interface Delivered {
  /** "host/repository:tag" */
  readonly target: string;
  readonly digest: string;
  /** "host/repository@sha256:...": what a function is given. */
  readonly uri: string;
  /** What the tag led to before; undefined when there was none. */
  readonly before: string | undefined;
  readonly blobs: BlobsPushed;
  readonly statements: Attached | undefined;
}

/** What a delivery would do. */
export interface Foreseen {
  readonly target: string;
  readonly digest: string;
  readonly uri: string;
  readonly before: string | undefined;
  /** Bytes that are not in the repository yet; mounting may spare some. */
  readonly missing: number;
}

type Teller = Pick<Context, 'report' | 'signal'>;

/** @throws TAG_TAKEN, and as pushBlobs(), pushManifest(), attach() and moveTag() */
export async function deliver(
  image: ImageSource,
  target: Target,
  registry: Registry,
  { immutable, mount, statements }: DeliverOptions,
  ctx: Teller,
): Promise<Delivered> {
  const { manifest, configBlob, layers } = image;
  const before = await currentDigest(registry, target, manifest.digest, immutable);
  const blobs = await pushBlobs(registry, [...layers, configBlob], mount, ctx);
  await pushManifest(registry, manifest);
  if (statements?.missing !== undefined)
    ctx.report({ type: 'note', message: `no SBOM and provenance with it: ${statements.missing}` });
  const attached = statements && (await attach(registry, manifest, statements.artifacts, ctx));
  if (attached?.refusal !== undefined)
    ctx.report({ type: 'warn', message: `${registry.name} takes no SBOM and provenance: ${attached.refusal}` });
  if (before !== manifest.digest) await moveTag(registry, manifest, target.tag);
  return { ...named(target, manifest.digest), before, blobs, statements: attached };
}

/** Only asks: a push afterwards does what this says, unless somebody else was quicker. */
export async function foresee(
  image: ImageSource,
  target: Target,
  registry: Registry,
  { immutable }: Pick<DeliverOptions, 'immutable'>,
): Promise<Foreseen> {
  const before = await currentDigest(registry, target, image.manifest.digest, immutable);
  let missing = 0;
  for (const { digest, size } of [...image.layers, image.configBlob]) {
    const there = await registry.send({ method: 'HEAD', path: `blobs/${digest}` });
    await there.body.dump();
    if (there.status !== 200) missing += size;
  }
  return { ...named(target, image.manifest.digest), before, missing };
}

async function currentDigest(
  registry: Registry,
  target: Target,
  digest: string,
  immutable: boolean,
): Promise<string | undefined> {
  const before = await tagDigest(registry, target.tag).catch((error) => {
    // Whoever may only write learns nothing of what was there; a promise about it needs more.
    if (immutable || !isMakeRuntimeError(error) || error.code !== 'REGISTRY_DENIED') throw error;
    return undefined;
  });
  if (immutable && before !== undefined && before !== digest)
    throw tagTaken(target.name, { code: '', text: `it leads to ${before}` });
  return before;
}

function named({ name, reference: { registry, repository } }: Target, digest: string) {
  return { target: name, digest, uri: `${registry}/${repository}@${digest}` };
}
