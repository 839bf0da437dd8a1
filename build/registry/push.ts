// An image into a repository: blobs that are not there yet, the manifest by its digest, then the tag. Each blob goes in
// one request: ECR drops all but the first chunk of an upload in several (aws/containers-roadmap#2831). Nothing is kept
// between runs, because the registry itself knows what has arrived. It does not know where the bytes come from.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { Stumble } from '../source/http.ts';
import { notAccepted, tagTaken } from './failure.ts';
import { acceptedManifests, type Descriptor, type RawManifest } from './oci.ts';
import type { Body, Registry, RegistryAnswer } from './session.ts';

/** A blob that can be read as often as it takes. */
export interface Blob extends Pick<Descriptor, 'digest' | 'size'> {
  readonly open: () => AsyncIterable<Uint8Array>;
}

/** How many blobs are on their way at a time. Lines are rarely faster with more, and registries throttle. */
const parallel = 4;

export interface BlobsPushed {
  readonly uploaded: number;
  readonly mounted: number;
  /** Were there already. */
  readonly found: number;
  /** Bytes of what was uploaded. */
  readonly bytes: number;
}

/**
 * Brings blobs into the registry's repository, several at a time.
 * @param from repositories of the same registry that may have them: tried in order, before anything is sent
 * @throws ARTIFACT_CHANGED when a blob no longer has the bytes of its digest; REPOSITORY_MISSING, PUSH_REFUSED, and as
 *   Registry.send()
 */
export async function pushBlobs(
  registry: Registry,
  blobs: readonly Blob[],
  from: readonly string[],
  ctx: Pick<Context, 'report' | 'signal'>,
): Promise<BlobsPushed> {
  const waiting = [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
  const total = waiting.reduce((sum, { size }) => sum + size, 0);
  const counted = { uploaded: 0, mounted: 0, found: 0, bytes: 0 };
  const sent = new Map<string, number>();
  let reported = 0;
  const progress = (digest: string, bytes: number): void => {
    sent.set(digest, bytes);
    const sum = [...sent.values()].reduce((one, other) => one + other, 0);
    if (sum < total && Math.abs(sum - reported) < 1 << 20) return;
    reported = sum;
    ctx.report({ type: 'progress', stage: 'push', text: `megabytes there: ${megabytes(sum)} of ${megabytes(total)}` });
  };
  let failed = false;
  const work = async (): Promise<void> => {
    for (let blob = waiting.shift(); blob !== undefined && !failed; blob = waiting.shift()) {
      const { digest, size } = blob;
      try {
        const how = await pushBlob(registry, blob, from, (bytes) => progress(digest, bytes));
        counted[how] += 1;
        if (how === 'uploaded') counted.bytes += size;
        progress(digest, size);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: Math.min(parallel, waiting.length) }, work));
  throwIfCancelled(ctx.signal);
  for (const worker of workers) if (worker.status === 'rejected') throw worker.reason;
  return counted;
}

async function pushBlob(
  registry: Registry,
  blob: Blob,
  from: readonly string[],
  progress: (bytes: number) => void,
): Promise<'uploaded' | 'mounted' | 'found'> {
  const { digest } = blob;
  let how = 'uploaded' as 'uploaded' | 'mounted' | 'found';
  // Everything from the question on is one attempt: what a broken connection left behind is asked for anew, because the
  // blob may have arrived although its answer did not, and an upload that was begun may be gone.
  const answer = await registry.patiently(
    async () => {
      const there = await registry.once({ method: 'HEAD', path: `blobs/${digest}` });
      how = there.status === 200 ? 'found' : 'uploaded';
      // 404, but also 403 without the right to look: whether we may write is for the next request to say.
      if (there.status !== 404 && there.status !== 403) return there;
      await there.body.dump();
      const mounted = await mount(registry, digest, from);
      if (mounted === true) {
        how = 'mounted';
        return there;
      }
      const begun = mounted ?? (await registry.once({ method: 'POST', path: 'blobs/uploads/', body: nothing }));
      // ECR says 201 where the specification has 202 (aws/containers-roadmap#2831).
      if (begun.status !== 202 && begun.status !== 201) return begun;
      await begun.body.dump();
      const place = registry.place(begun);
      if (place === undefined) throw new Stumble('begins an upload without saying where');
      place.searchParams.set('digest', digest);
      how = 'uploaded';
      const ended = await registry.once({
        method: 'PUT',
        path: place,
        headers: { 'content-type': 'application/octet-stream' },
        body: bodyOf(blob, progress),
      });
      if (ended.status === 404 || ended.status === 416) {
        await ended.body.dump();
        throw new Stumble('has lost the upload');
      }
      if (ended.status === 400) {
        // What we send was hashed on its way out, so it was changed behind us: that may pass.
        const { code, text } = await registry.words(ended);
        if (/^(DIGEST|SIZE|BLOB_UPLOAD)_INVALID$/.test(code)) throw new Stumble(`received something else (${text})`);
        throw notAccepted(registry.name, ended.status, { code, text });
      }
      const says = ended.headers['docker-content-digest'];
      if (ended.status < 300 && typeof says === 'string' && says !== digest) {
        await ended.body.dump();
        throw new Stumble(`received something else (${says})`);
      }
      return ended;
    },
    `blob ${digest}`,
    (status) => how === 'mounted' || settled(status),
  );
  if (how === 'mounted') return how;
  if (answer.status >= 300) throw notAccepted(registry.name, answer.status, await registry.words(answer));
  await answer.body.dump();
  return how;
}

/** Nothing that may pass: an answer to be looked at. */
const settled = (status: number): boolean => status < 500 && status !== 408 && status !== 429;

/**
 * Asks for a blob of another repository.
 * @returns true when it is there now; the beginning of an upload when the registry rather has that; else undefined
 */
async function mount(
  registry: Registry,
  digest: string,
  from: readonly string[],
): Promise<true | RegistryAnswer | undefined> {
  for (const [at, repository] of from.entries()) {
    const query = new URLSearchParams({ mount: digest, from: repository });
    const answer = await registry.once({ method: 'POST', path: `blobs/uploads/?${query}`, body: nothing });
    if (answer.status === 201) {
      // Some say 201 to every beginning: look.
      const there = await registry.once({ method: 'HEAD', path: `blobs/${digest}` });
      await there.body.dump();
      if (there.status === 200) {
        await answer.body.dump();
        return true;
      }
      return answer;
    }
    if (answer.status === 202 && at === from.length - 1) return answer;
    // Mounting is a favour: ECR has it switched off unless an account asks for it (aws/containers-roadmap#2860).
    await answer.body.dump();
  }
  return undefined;
}

const nothing: Body = { length: 0, open: () => Buffer.alloc(0) };

/** Sends the blob and hashes what it sends, so that a file that changes under our hands is told from a bad line. */
function bodyOf({ digest, size, open }: Blob, progress: (bytes: number) => void): Body {
  const read = async function* (sent: () => void): AsyncGenerator<Uint8Array, void, undefined> {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of open()) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      if (bytes > size) break;
      yield chunk;
      sent();
      progress(bytes);
    }
    if (bytes !== size || `sha256:${hash.digest('hex')}` !== digest) throw changed(digest);
  };
  return { length: size, open: (sent) => Readable.from(read(sent), { objectMode: false }) };
}

function changed(digest: string): MakeRuntimeError {
  return new MakeRuntimeError('ARTIFACT_CHANGED', 'The image changed while it was being pushed.', {
    remedy: 'Make it again with `make-runtime image`, and push it when that has ended.',
    detail: `${digest} has other bytes now`,
  });
}

/**
 * Puts a manifest under its digest, and moves no tag.
 * @returns the digest that the registry says an artifact refers to, where it understands that it does (OCI-Subject)
 * @throws PUSH_REFUSED, REPOSITORY_MISSING, and as Registry.send()
 */
export async function pushManifest(
  registry: Registry,
  manifest: Pick<RawManifest, 'mediaType' | 'digest' | 'bytes'>,
): Promise<{ readonly subject: string | undefined }> {
  const answer = await put(registry, manifest, manifest.digest);
  const { headers } = answer;
  await answer.body.dump();
  const subject = headers['oci-subject'];
  return { subject: typeof subject === 'string' ? subject : undefined };
}

/**
 * Moves a tag to a manifest, and reads back what it leads to, where that is allowed.
 * @throws TAG_TAKEN for a tag that may not be moved; PUSH_REFUSED, and as Registry.send()
 */
export async function moveTag(
  registry: Registry,
  manifest: Pick<RawManifest, 'mediaType' | 'digest' | 'bytes'>,
  tag: string,
): Promise<void> {
  const answer = await put(registry, manifest, tag);
  const says = answer.headers['docker-content-digest'];
  await answer.body.dump();
  const found = await tagDigest(registry, tag).catch((error) => {
    // Whoever may only write has the registry's word alone.
    if (!isMakeRuntimeError(error) || error.code !== 'REGISTRY_DENIED') throw error;
    return typeof says === 'string' ? says : manifest.digest;
  });
  if (found === manifest.digest) return;
  throw new MakeRuntimeError('PUSH_REFUSED', `${registry.name}:${tag} leads to another image than was pushed.`, {
    remedy: 'If nobody else pushes to this tag now, the registry, or a proxy before it, is damaged.',
    detail: `pushed ${manifest.digest}\nfound  ${found ?? 'nothing'}`,
  });
}

async function put(
  registry: Registry,
  { mediaType, bytes }: Pick<RawManifest, 'mediaType' | 'bytes'>,
  under: string,
): Promise<RegistryAnswer> {
  const answer = await registry.send(
    {
      method: 'PUT',
      path: `manifests/${under}`,
      headers: { 'content-type': mediaType },
      body: { length: bytes.length, open: () => bytes },
    },
    settled,
  );
  if (answer.status < 300) return answer;
  const said = await registry.words(answer);
  if (/immutable/i.test(said.text)) throw tagTaken(`${registry.name}:${under}`, said);
  throw notAccepted(registry.name, answer.status, said);
}

/**
 * The digest of what a tag leads to, of the bytes themselves and not of what a header says.
 * @returns undefined when there is no such tag, or no such repository
 */
export async function tagDigest(registry: Registry, tag: string): Promise<string | undefined> {
  const bytes = await readManifestBytes(registry, tag);
  return bytes === undefined ? undefined : `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A manifest's bytes as the registry has them now; undefined when there is none. */
export async function readManifestBytes(registry: Registry, tag: string): Promise<Buffer | undefined> {
  let bytes: Buffer | undefined;
  const answer = await registry.patiently(async () => {
    const got = await registry.once({ path: `manifests/${tag}`, headers: { accept: acceptedManifests.join(', ') } });
    if (got.status === 200) bytes = Buffer.from(await got.body.arrayBuffer());
    return got;
  }, `manifests/${tag}`);
  if (answer.status === 200) return bytes;
  await answer.body.dump();
  return undefined;
}

function megabytes(bytes: number): string {
  return String(Math.round(bytes / 1e6));
}
