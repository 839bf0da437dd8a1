// Artifacts that refer to a manifest (OCI 1.1): each a manifest of its own whose `subject` is the image, found through
// the referrers API, or through the index under the tag "sha256-<hex>" where a registry has none. The image's own tag
// never changes for them. https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#referrers-tag-schema
import { createHash } from 'node:crypto';
import type { Context } from '../lib/context.ts';
import { type ErrorCode, isMakeRuntimeError } from '../lib/errors.ts';
import { mediaTypes, ociIndex, type RawManifest } from './oci.ts';
import { moveTag, pushBlobs, pushManifest, readManifestBytes } from './push.ts';
import type { Registry } from './session.ts';

export interface Artifact {
  /** Media type of the content, and what kind of artifact it is. */
  readonly type: string;
  /** A file name, for who downloads it. */
  readonly title: string;
  readonly bytes: Buffer;
}

export interface Attached {
  /** Digests of the artifacts' manifests. */
  readonly digests: readonly string[];
  /** How they are found; undefined when the registry takes none. */
  readonly through: 'referrers' | 'tag' | undefined;
  /** The registry's reason where it takes none. */
  readonly refusal?: string;
}

/** Of one who may push the image, that artifacts are not wanted or may not be looked up. */
const refusals: readonly ErrorCode[] = ['PUSH_REFUSED', 'TAG_TAKEN', 'REGISTRY_DENIED'];

/** What an artifact without configuration has as one (OCI image specification 1.1, "Guidance for an Empty Descriptor"). */
const empty = Buffer.from('{}');
const emptyType = 'application/vnd.oci.empty.v1+json';

/**
 * Attaches artifacts to a manifest that is in the repository. The same artifacts give the same digests, so doing it
 * again changes nothing.
 * @throws as pushBlobs(); a registry that does not take artifacts is no error
 */
export async function attach(
  registry: Registry,
  subject: RawManifest,
  artifacts: readonly Artifact[],
  ctx: Pick<Context, 'report' | 'signal'>,
): Promise<Attached> {
  if (artifacts.length === 0) return { digests: [], through: undefined };
  try {
    const blobs = [empty, ...artifacts.map(({ bytes }) => bytes)].map((bytes) => ({
      ...descriptorOf(bytes),
      open: () => one(bytes),
    }));
    await pushBlobs(registry, blobs, [], ctx);
    const manifests = artifacts.map((artifact) => manifestOf(artifact, subject));
    let understood = true;
    for (const { raw } of manifests) {
      const answer = await pushManifest(registry, raw);
      understood &&= answer.subject === subject.digest;
    }
    // A registry that knows the API says that it understood (OCI-Subject); some only have the API: ask.
    const listed = understood || (await hasReferrers(registry, subject.digest));
    if (!listed) await addToTag(registry, subject.digest, manifests);
    return { digests: manifests.map(({ raw }) => raw.digest), through: listed ? 'referrers' : 'tag' };
  } catch (error) {
    // An image without statements is worth more than none: only its own failures end a push.
    if (!isMakeRuntimeError(error) || !refusals.includes(error.code)) throw error;
    return { digests: [], through: undefined, refusal: error.detail ?? error.message };
  }
}

/** What refers to a manifest, by the media type of the artifact. */
async function hasReferrers(registry: Registry, digest: string): Promise<boolean> {
  const answer = await registry.send(
    { path: `referrers/${digest}`, headers: { accept: ociIndex } },
    (status) => status < 500 && status !== 429 && status !== 408,
  );
  const found = answer.status === 200 && String(answer.headers['content-type']).startsWith(ociIndex);
  await answer.body.dump();
  return found;
}

interface ArtifactManifest {
  readonly raw: RawManifest;
  readonly row: object;
}

function manifestOf({ type, title, bytes }: Artifact, subject: RawManifest): ArtifactManifest {
  const annotations = { 'org.opencontainers.image.title': title };
  const document = {
    schemaVersion: 2,
    mediaType: mediaTypes.oci.manifest,
    artifactType: type,
    config: { mediaType: emptyType, ...descriptorOf(empty) },
    layers: [{ mediaType: type, ...descriptorOf(bytes), annotations }],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.bytes.length },
    annotations,
  };
  const text = Buffer.from(JSON.stringify(document));
  const { digest, size } = descriptorOf(text);
  const { mediaType } = document;
  return { raw: { mediaType, digest, bytes: text }, row: { mediaType, digest, size, artifactType: type, annotations } };
}

/** Read, add, write: the specification has no better way. What somebody else attached stays. */
async function addToTag(registry: Registry, digest: string, manifests: readonly ArtifactManifest[]): Promise<void> {
  const tag = digest.replace(':', '-');
  const ours = new Set(manifests.map(({ raw }) => raw.digest));
  const there = rowsOf(await readManifestBytes(registry, tag));
  const known = new Set(there.map((row) => row.digest));
  if ([...ours].every((one) => known.has(one))) return;
  const rows = [...there.filter((row) => !ours.has(row.digest)), ...manifests.map(({ row }) => row)];
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: rows }));
  const { digest: indexDigest } = descriptorOf(bytes);
  await moveTag(registry, { mediaType: ociIndex, digest: indexDigest, bytes }, tag);
}

function rowsOf(bytes: Buffer | undefined): { digest: string }[] {
  try {
    const { manifests } = JSON.parse(bytes?.toString() ?? '{}');
    return Array.isArray(manifests) ? manifests.filter((row) => typeof row?.digest === 'string') : [];
  } catch {
    return [];
  }
}

function descriptorOf(bytes: Buffer): { digest: string; size: number } {
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, size: bytes.length };
}

async function* one(bytes: Buffer): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
