// Archives that a lenient reader would take: each is a sound one with one thing changed.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isMakeRuntimeError } from '../../build/lib/errors.ts';
import { openZip, readZip } from '../../build/package/unzip.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { fileOf, linkTo, makeTree } from '../../build/tree/tree.ts';

const tree = makeTree([
  ['aa', fileOf('first '.repeat(50))],
  ['bb', fileOf('second '.repeat(50))],
  ['cc', linkTo('aa')],
]);
const sound = await zipBytes(tree);
const directory = sound.readUInt32LE(sound.length - 6);
const central = (index: number) => directory + index * 48;

/** The sound archive with bytes of the row `index` of its directory changed, at offsets as APPNOTE 4.3.12 has them. */
function changed(index: number, write: (row: Buffer, whole: Buffer) => void): Buffer {
  const copy = Buffer.from(sound);
  write(copy.subarray(central(index)), copy);
  return copy;
}

const rename = (index: number, name: string) =>
  changed(index, (row, whole) => {
    row.write(name, 46);
    whole.write(name, row.readUInt32LE(42) + 30);
  });

function oneRowTooMany(): Buffer {
  const copy = Buffer.from(sound);
  copy.writeUInt16LE(4, sound.length - 14);
  copy.writeUInt16LE(4, sound.length - 12);
  return copy;
}

async function readAll(bytes: Uint8Array): Promise<string[]> {
  const found: string[] = [];
  for (const [path, entry] of (await readZip(bytes)).entries) {
    if (entry.kind === 'file') await entry.read();
    found.push(path);
  }
  return found;
}

test('the archive that the others are made from is sound', async () => {
  expect(await readAll(sound)).toEqual(['aa', 'bb', 'cc']);
});

const bad: [string, Buffer, RegExp][] = [
  ['nothing at all', Buffer.alloc(0), /not a zip file/],
  ['text', Buffer.from('#!/bin/sh\necho hello\n'.repeat(10)), /not a zip file/],
  ['half an archive', sound.subarray(0, sound.length / 2), /not a zip file, or its end is missing/],
  ['bytes before it', Buffer.concat([Buffer.from('MZ'), sound]), /directory is not where it should be/],
  ['bytes after it', Buffer.concat([sound, Buffer.from('tail')]), /not a zip file, or its end/],
  ['a name twice', rename(1, 'aa'), /holds "aa" twice/],
  ['an absolute name', rename(0, '/a'), /"\/a" is absolute/],
  ['a parent segment', rename(0, '..'), /"\.\." has a "\.\." segment/],
  ['a backslash', rename(0, '\\a'), /backslashes/],
  ['a name that is not UTF-8', changed(0, (row) => row.set([0xff, 0xfe], 46)), /not UTF-8/],
  [
    'another name in the local header',
    changed(0, (_, whole) => whole.write('zz', 30)),
    /header of "aa" does not match/,
  ],
  ['an encrypted member', changed(0, (row) => row.writeUInt16LE(1, 8)), /"aa" is encrypted/],
  ['another compression', changed(0, (row) => row.writeUInt16LE(93, 10)), /method 93/],
  ['zip64 sizes', changed(0, (row) => row.writeUInt32LE(0xffffffff, 24)), /zip64/],
  ['zip64 as a whole', changed(0, (_, whole) => whole.writeUInt16LE(0xffff, sound.length - 12)), /zip64/],
  ['a wrong checksum', changed(0, (row) => row.writeUInt32LE(1, 16)), /"aa" is damaged/],
  ['more data than it declares', changed(0, (row) => row.writeUInt32LE(10, 24)), /does not unpack to the 10 bytes/],
  ['less data than it declares', changed(0, (row) => row.writeUInt32LE(1000, 24)), /has 300 bytes, not 1000/],
  ['a bomb by its own words', changed(0, (row) => row.writeUInt32LE(2_000_000_000, 24)), /four times what Lambda/],
  ['members that overlap', changed(1, (row) => row.writeUInt32LE(0, 42)), /overlaps/],
  ['data beyond the end', changed(0, (row) => row.writeUInt32LE(1_000_000, 42)), /beyond the archive/],
  ['a device', changed(0, (row) => row.writeUInt32LE((0o060644 << 16) >>> 0, 38)), /device/],
  ['one row too many', oneRowTooMany(), /damaged/],
];

test.each(bad)('refused: %s', async (_, bytes, reason) => {
  const error = await readAll(bytes).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: 'ARTIFACT_NOT_A_LAYER', message: expect.stringMatching(reason) });
});

test('a file below a symlink is refused before anything is written through it', async () => {
  const archive = await zipBytes(
    makeTree([
      ['a', linkTo('/etc')],
      ['b/passwd', fileOf('x')],
    ]),
  );
  const at = archive.indexOf('b/passwd');
  archive.write('a', at);
  archive.write('a', archive.indexOf('b/passwd'));
  await expect(readZip(archive)).rejects.toThrow('"a" is a file, and "a/passwd" lies below it');
});

test('a path that is not there, a folder, and a file that is read piece by piece', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'unzip-'));
  try {
    await expect(openZip(join(folder, 'no.zip'))).rejects.toMatchObject({ code: 'ARTIFACT_NOT_FOUND' });
    await expect(openZip(folder)).rejects.toMatchObject({ code: 'ARTIFACT_NOT_A_LAYER' });
    const path = join(folder, 'layer.zip');
    await writeFile(path, sound);
    const zip = await openZip(path);
    expect(zip.size).toBe(sound.length);
    const entry = zip.tree.entries.get('bb');
    expect(entry?.kind === 'file' && Buffer.from(await entry.read()).toString()).toBe('second '.repeat(50));
    await writeFile(path, sound.subarray(0, 40));
    await expect(entry?.kind === 'file' && entry.read()).rejects.toThrow('ends too early');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('an archive without Unix modes is read, and says that it has none', async () => {
  const zip = await openZip(changed(0, (row) => row.writeUInt16LE(20, 4)));
  expect(zip.members[0]).toMatchObject({ path: 'aa', mode: undefined, kind: 'file' });
});

test('damage is always told as damage', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(sound.length - 1), fc.nat(255), async (at, byte) => {
      const bytes = Buffer.from(sound);
      bytes[at] = byte;
      const error = await readAll(bytes).then(
        () => undefined,
        (caught: unknown) => caught,
      );
      if (error !== undefined && !isMakeRuntimeError(error)) throw error;
    }),
    { numRuns: 300 },
  );
});
