// Content on its way into an image layout: named by its hash, which is only known when all of it was written. Layers
// are compressed here, by fflate and not node:zlib: the same zlib call gave other bytes in other releases of Node (its
// bundled zlib changes), on other processors too, while fflate is integer arithmetic in JavaScript at a pinned version.
import { createHash, randomBytes } from 'node:crypto';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as pause } from 'node:timers/promises';
import { Gzip } from 'fflate';
import { throwIfCancelled } from '../lib/errors.ts';
import { deflate } from '../recipe/plan.ts';

const level = Number(deflate.split('/')[1]) as 9;
/** What the compressor is fed at a time, bytes. It decides where deflate blocks end, so it decides the bytes. */
const feed = 1 << 16;

export interface Written {
  /** "sha256:..." */
  readonly digest: string;
  readonly size: number;
}

/**
 * Writes a blob.
 * @param folder "<layout>/blobs/sha256"
 */
export async function writeBlob(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  folder: string,
  signal: AbortSignal,
): Promise<Written> {
  const partial = join(folder, `.${randomBytes(6).toString('hex')}.part`);
  const hash = createHash('sha256');
  let size = 0;
  const file = await open(partial, 'wx', 0o644);
  try {
    for await (const chunk of chunks) {
      throwIfCancelled(signal);
      hash.update(chunk);
      size += chunk.byteLength;
      await file.writeFile(chunk);
    }
  } finally {
    await file.close();
  }
  const name = hash.digest('hex');
  await rename(partial, join(folder, name));
  return { digest: `sha256:${name}`, size };
}

/** Compresses a layer's tar and writes it; `diffId` is the digest of what went in. */
export async function writeGzip(
  chunks: AsyncIterable<Uint8Array>,
  folder: string,
  signal: AbortSignal,
): Promise<Written & { readonly diffId: string }> {
  const hash = createHash('sha256');
  const written = await writeBlob(gzipChunks(chunks, hash), folder, signal);
  return { ...written, diffId: `sha256:${hash.digest('hex')}` };
}

async function* gzipChunks(
  chunks: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const ready: Uint8Array[] = [];
  // No name, no date: the header is the same ten bytes each time (RFC 1952).
  const gzip = new Gzip({ level, mtime: 0 }, (data) => ready.push(data));
  let pending = Buffer.alloc(0);
  for await (const chunk of chunks) {
    hash.update(chunk);
    pending = pending.byteLength === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk]);
    let at = 0;
    for (; pending.byteLength - at >= feed; at += feed) {
      gzip.push(pending.subarray(at, at + feed));
      yield* ready.splice(0);
      await pause(); // Compressing is synchronous: here Ctrl-C and the progress display get their turn.
    }
    pending = pending.subarray(at);
  }
  gzip.push(pending, true);
  yield* ready.splice(0);
}
