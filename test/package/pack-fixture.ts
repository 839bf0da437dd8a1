// Run by zip.test.ts in another process, under another time zone and umask: writes the fixture as a folder, reads that
// folder back, packs it, and prints the sha256.
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { zipBytes } from '../../build/package/zip.ts';
import { fileOf, linkTo, makeTree, readTree, type Tree, writeTree } from '../../build/tree/tree.ts';

/** Small, and with everything that makes a difference: modes, a link, an empty file, names beyond ASCII, long runs. */
export const fixture: Tree = makeTree([
  ['bootstrap', linkTo('lang/bin/python3.13t')],
  ['lang/bin/python3.13t', fileOf('#!/bin/sh\necho not really\n', 0o755)],
  ['lang/empty', fileOf('')],
  ['lang/lib/runs.txt', fileOf('make-runtime '.repeat(20_000))],
  ['lang/lib/noise.bin', fileOf(noise(70_000))],
  ['lang/lib/übung.py', fileOf('print("grüße")\n')],
]);

/** Bytes that hardly compress and are the same everywhere (xorshift32). */
function noise(length: number): Uint8Array {
  let state = 2463534242;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
  });
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.umask(Number.parseInt(process.argv[2] ?? '', 8));
  const folder = await mkdtemp(join(tmpdir(), 'pack-'));
  try {
    await writeTree(fixture, join(folder, 'tree'));
    process.stdout.write(sha256(await zipBytes(await readTree(join(folder, 'tree')))));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
