// Where files are in a tar: GNU tar is asked for the same. Damage never gets past the reader unnoticed.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { NotATar, readArchive } from '../../build/push/archive.ts';

const dir = await mkdtemp(join(tmpdir(), 'push-archive-'));
afterAll(() => rm(dir, { recursive: true, force: true }));
const { signal } = new AbortController();
const long = `${'d'.repeat(90)}/${'e'.repeat(90)}/${'f'.repeat(90)}`;

test.each(['gnu', 'posix', 'ustar'])('%s: every file, and where it is', async (format) => {
  const folder = join(dir, format);
  const files: Record<string, string> = { 'index.json': '{}', 'blobs/sha256/aa': 'x'.repeat(1000), empty: '' };
  if (format !== 'ustar') files[`${long}/file`] = 'deep';
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const tar = join(dir, `${format}.tar`);
  await execa('tar', ['--format', format, '-C', folder, '-cf', tar, '.']);
  const found = await readArchive(tar, signal);
  const bytes = await readFile(tar);
  const read = [...found].map(([path, { start, size }]) => [path, bytes.toString('utf8', start, start + size)]);
  expect(Object.fromEntries(read)).toEqual(files);
});

test.each<[string, (tar: Buffer) => Buffer, string]>([
  ['no tar', () => Buffer.alloc(2048, 'x'), 'it is no tar'],
  ['gzip', () => Buffer.concat([Buffer.from('1f8b0800', 'hex'), Buffer.alloc(2048, 1)]), 'gunzip'],
  ['cut', (tar) => tar.subarray(0, 1500), 'ends in the middle'],
  ['without an end', (tar) => tar.subarray(0, 1024), 'ends in the middle'],
  [
    'a header that was changed',
    (tar) => Buffer.concat([tar.subarray(0, 1), Buffer.from('!'), tar.subarray(2)]),
    'it is no tar',
  ],
])('%s', async (_, change, words) => {
  await writeFile(join(dir, 'one'), 'x'.repeat(600));
  const { stdout } = await execa('tar', ['-C', dir, '-cf', '-', 'one'], {
    encoding: 'buffer',
    stripFinalNewline: false,
  });
  const path = join(dir, 'bad.tar');
  await writeFile(path, change(Buffer.from(stdout)));
  await expect(readArchive(path, signal)).rejects.toThrow(words);
});

test('any bytes end in files within the archive or in NotATar', async () => {
  await writeFile(join(dir, 'two'), 'y'.repeat(700));
  const { stdout } = await execa('tar', ['--format', 'posix', '-C', dir, '-cf', '-', 'two'], {
    encoding: 'buffer',
    stripFinalNewline: false,
  });
  const sound = Buffer.from(stdout);
  const path = join(dir, 'any.tar');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(2047), fc.nat(255)), { maxLength: 6 }),
      fc.boolean(),
      async (changes, mend) => {
        const bytes = Buffer.from(sound);
        for (const [at, value] of changes) bytes[at] = value;
        // With a right checksum, the fields themselves are reached.
        for (const at of mend ? [0, 1024] : []) {
          const sum = bytes.subarray(at, at + 512).reduce((one, byte, i) => one + (i >= 148 && i < 156 ? 32 : byte), 0);
          bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
        }
        await writeFile(path, bytes);
        try {
          for (const { start, size } of (await readArchive(path, signal)).values()) {
            expect(start + size).toBeLessThanOrEqual(bytes.length);
            expect(size).toBeGreaterThanOrEqual(0);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(NotATar);
        }
      },
    ),
    { numRuns: 200 },
  );
});
