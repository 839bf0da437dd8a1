// Manifests and blobs out of a registry into the content-addressed cache. What is handed out was hashed in this run.
import { createHash } from 'node:crypto';
import { appendFileSync, closeSync, openSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import type { Context } from '../lib/context.ts';
import { explainSystemError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import {
  cachePath,
  digestFile,
  dropPart,
  inspectCached,
  keepPart,
  leavePart,
  openPart,
  sizeOf,
} from '../source/cache.ts';
import { networkReason, pause, Stumble } from '../source/http.ts';
import { notThere } from './failure.ts';
import { acceptedManifests, type Descriptor, type RawManifest } from './oci.ts';
import { printReference } from './reference.ts';
import type { Registry, RegistryAnswer } from './session.ts';

/** What registries take as a manifest at most (OCI distribution specification 1.1, "Pushing Manifests"). */
const maxManifest = 4 * 1024 * 1024;

/**
 * Fetches a manifest or an index.
 * @param wanted the digest of one, when not what the registry's reference names
 * @throws BASE_NOT_FOUND, BASE_DAMAGED, and as Registry.send()
 */
export async function fetchManifest(registry: Registry, ctx: Context, wanted?: string): Promise<RawManifest> {
  const { reference } = registry;
  const digest = wanted ?? reference.digest;
  if (digest !== undefined) {
    const cached = await cachedManifest(digest, ctx);
    if (cached) return cached;
  }
  const answer = await registry.send({
    path: `manifests/${digest ?? reference.tag}`,
    headers: { accept: acceptedManifests.join(', ') },
  });
  if (answer.status !== 200) {
    await answer.body.dump();
    throw notThere(wanted === undefined ? reference : { ...reference, digest: wanted });
  }
  const bytes = await readLimited(answer, registry, ctx);
  const actual = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  // Without a digest to hold it to, the registry's own word shows at least a damaged answer.
  const expected = digest ?? answer.headers['docker-content-digest'];
  if (typeof expected === 'string' && expected.startsWith('sha256:') && expected !== actual)
    throw damaged(`the manifest of ${printReference(reference)}`, `expected ${expected}\nreceived ${actual}`);
  const mediaType = String(answer.headers['content-type'] ?? '')
    .split(';')[0]!
    .trim();
  await keep(bytes, actual, ctx);
  return { mediaType, digest: actual, bytes };
}

/**
 * Fetches a blob, going on where an earlier run stopped.
 * @returns its path in the cache
 * @throws BASE_NOT_FOUND, BASE_DAMAGED, DISK_FULL, and as Registry.send()
 */
export async function fetchBlob(registry: Registry, descriptor: Descriptor, ctx: Context): Promise<string> {
  const sha256 = descriptor.digest.slice('sha256:'.length);
  const path = cachePath(ctx.cacheDir, sha256);
  const cached = await inspectCached(ctx.cacheDir, sha256, ctx.signal);
  if (cached === 'right') return path;
  if (cached === 'wrong') await rm(path, { force: true });
  const part = await openPart(ctx.cacheDir, sha256);
  try {
    await receive(registry, descriptor, part, ctx);
    return await keepPart(part, ctx.cacheDir, sha256);
  } catch (error) {
    throw explainSystemError(error, `pulling ${printReference(registry.reference)}`);
  } finally {
    leavePart(part);
  }
}

async function receive(registry: Registry, descriptor: Descriptor, part: string, ctx: Context): Promise<void> {
  const what = `${descriptor.digest} of ${registry.name}`;
  const { attempts, delay } = registry.patience;
  for (let number = 1; ; number++) {
    const have = (await sizeOf(part)) ?? 0;
    let reason: string | undefined;
    if (have < descriptor.size) {
      const answer = await registry.send({
        path: `blobs/${descriptor.digest}`,
        headers: have > 0 ? { range: `bytes=${have}-` } : {},
      });
      if (answer.status === 404) {
        await answer.body.dump();
        throw damaged(what, 'the manifest names it, but the registry does not have it');
      }
      if (answer.status === 416) await answer.body.dump();
      else reason = await append(answer, part, have, descriptor, ctx);
    }
    const got = await digestFile(part, ctx.signal).catch(() => ({ size: 0, sha256: '' }));
    if (`sha256:${got.sha256}` === descriptor.digest && got.size === descriptor.size) return;
    // Short: the next attempt asks for the rest. Full length and wrong: what was here before may be to blame, once.
    const short = got.size < descriptor.size;
    if (!short) await dropPart(part);
    const last = number >= attempts || (!short && have === 0);
    if (last) {
      await dropPart(part);
      const lines = short
        ? [
            `expected ${descriptor.size} bytes`,
            `received ${got.size} bytes${reason === undefined ? '' : `: ${reason}`}`,
          ]
        : [
            `expected ${descriptor.digest}, ${descriptor.size} bytes`,
            `received sha256:${got.sha256}, ${got.size} bytes`,
          ];
      throw damaged(what, lines.join('\n'));
    }
    if (short) await pause(delay * 2 ** (number - 1), ctx.signal);
    throwIfCancelled(ctx.signal);
  }
}

/** Writes a body behind what is there. A connection that breaks is told as a reason: what came is kept. */
async function append(
  { status, headers, body }: RegistryAnswer,
  part: string,
  have: number,
  { size, digest }: Descriptor,
  ctx: Context,
): Promise<string | undefined> {
  const resumed = status === 206 && String(headers['content-range']).startsWith(`bytes ${have}-`);
  const file = openSync(part, resumed ? 'a' : 'w');
  let written = resumed ? have : 0;
  let reported = written;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      throwIfCancelled(ctx.signal);
      written += chunk.length;
      appendFileSync(file, chunk);
      if (written > size) return 'it sends more than it should'; // The comparison that follows convicts it.
      if (written - reported < 1 << 20) continue;
      reported = written;
      const text = `${digest.slice(7, 19)}: ${(written / 1e6).toFixed(1)} of ${(size / 1e6).toFixed(1)} MB`;
      ctx.report({ type: 'progress', stage: 'base', text });
    }
    return undefined;
  } catch (error) {
    throwIfCancelled(ctx.signal);
    const reason = error instanceof Stumble ? error.message : networkReason(error);
    if (reason === undefined) throw error;
    return reason;
  } finally {
    closeSync(file);
  }
}

async function readLimited({ body }: RegistryAnswer, registry: Registry, ctx: Context): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxManifest) throw damaged(`the manifest of ${printReference(registry.reference)}`, 'it has no end');
      chunks.push(chunk);
    }
  } catch (error) {
    throwIfCancelled(ctx.signal);
    const reason = networkReason(error);
    if (reason === undefined) throw error;
    throw damaged(`the manifest of ${printReference(registry.reference)}`, reason);
  }
  return Buffer.concat(chunks);
}

/** A manifest's media type is mostly inside it; where it is not, its shape tells (readManifest). */
async function cachedManifest(digest: string, ctx: Context): Promise<RawManifest | undefined> {
  const sha256 = digest.slice('sha256:'.length);
  if ((await inspectCached(ctx.cacheDir, sha256, ctx.signal)) !== 'right') return undefined;
  return { mediaType: '', digest, bytes: await readFile(cachePath(ctx.cacheDir, sha256)) };
}

async function keep(bytes: Buffer, digest: string, ctx: Context): Promise<void> {
  const sha256 = digest.slice('sha256:'.length);
  const part = await openPart(ctx.cacheDir, sha256);
  try {
    await writeFile(part, bytes);
    await keepPart(part, ctx.cacheDir, sha256);
  } catch (error) {
    throw explainSystemError(error, 'keeping a manifest');
  } finally {
    leavePart(part);
  }
}

function damaged(what: string, detail: string): MakeRuntimeError {
  return new MakeRuntimeError('BASE_DAMAGED', `What came as ${what} is not what it should be, and was thrown away.`, {
    remedy: 'Run again: a broken download heals. If it stays, the registry, or a proxy before it, is damaged.',
    detail,
  });
}
