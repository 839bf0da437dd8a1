import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { writeBlob, writeGzip } from '../../build/image/blob.ts';

const dir = await mkdtemp(join(tmpdir(), 'make-runtime-blob-'));
afterAll(() => rm(dir, { recursive: true, force: true }));

const { signal } = new AbortController();
const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Neither all the same nor all different, the same everywhere. */
function sample(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = 1;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[at] = (state >>> 16) % 37 < 20 ? 0x20 : (state >>> 20) & 0xff;
  }
  return bytes;
}

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('a blob has its hash as its name', async () => {
  const bytes = sample(100_000);
  const written = await writeBlob(cut(bytes, 999), dir, signal);
  expect(written).toEqual({ digest: digestOf(bytes), size: 100_000 });
  expect((await readFile(join(dir, written.digest.slice(7)))).equals(bytes)).toBe(true);
});

test.each([0, 1, 65_535, 65_536, 65_537, 500_000])('%i bytes: zlib reads what was compressed', async (size) => {
  const bytes = sample(size);
  const { diffId, ...written } = await writeGzip(cut(bytes, 10_007), dir, signal);
  expect(diffId).toBe(digestOf(bytes));
  const compressed = await readFile(join(dir, written.digest.slice(7)));
  expect(written).toEqual({ digest: digestOf(compressed), size: compressed.length });
  expect(gunzipSync(compressed).equals(bytes)).toBe(true);
});

test('how the content arrives does not matter', async () => {
  const bytes = sample(300_000);
  const digests = [];
  for (const size of [1 << 20, 65_536, 512, 1009])
    digests.push((await writeGzip(cut(bytes, size), dir, signal)).digest);
  expect(new Set(digests).size).toBe(1);
});

test('the compressed bytes are the same on every Node and processor', async () => {
  // Change it with the version of fflate, and only then.
  const { digest } = await writeGzip(cut(sample(300_000), 4096), dir, signal);
  expect(digest).toMatchInlineSnapshot(`"sha256:7abca235d8ee22ba9cb4ef035d2d422b7130a7e2ea10c4e745af06fab22e8cf2"`);
});

test('a run that is stopped leaves no blob', async () => {
  const folder = await mkdtemp(join(dir, 'stopped-'));
  const abort = new AbortController();
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield sample(1000);
    abort.abort();
    yield sample(1000);
  }
  await expect(writeBlob(chunks(), folder, abort.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
  expect((await readdir(folder)).filter((name) => !name.startsWith('.'))).toEqual([]);
});
