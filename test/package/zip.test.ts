// Judges: Info-ZIP and Python's zipfile. The golden hash says that nothing but the tree decides the bytes.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openZip, readZip } from '../../build/package/unzip.ts';
import { zipBytes, zipChunks } from '../../build/package/zip.ts';
import { deflate } from '../../build/recipe/plan.ts';
import { type Entry, fileOf, linkTo, makeTree, pathProblem, type Tree } from '../../build/tree/tree.ts';
import { fixture, sha256 } from './pack-fixture.ts';

/** Changes only together with `deflateName`, and then every artifact anybody has built changes with it. */
const golden = 'a335eb73bfab9d5ce6feed5e85c9a4ff044c832b7b53fd3dcbac8a57ff375f72';

const scratch = mkdtempSync(join(tmpdir(), 'zip-'));
const path = join(scratch, 'fixture.zip');
let bytes: Buffer;
beforeAll(async () => {
  bytes = await zipBytes(fixture);
  writeFileSync(path, bytes);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function works(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const contents = async (tree: Tree) => {
  const all = [...tree.entries].map(async ([name, entry]) =>
    entry.kind === 'link' ? [name, entry.target] : [name, entry.mode, Buffer.from(await entry.read()).toString('hex')],
  );
  return Promise.all(all);
};

test('the bytes are the golden ones', () => {
  expect(sha256(bytes)).toBe(golden);
});

test('the compressor that is named is the one that is installed', () => {
  const manifest = readFileSync(new URL('../../node_modules/fflate/package.json', import.meta.url), 'utf8');
  expect(deflate).toBe(`fflate@${JSON.parse(manifest).version}/9`);
});

test('neither time zone nor umask nor the way through a folder changes a byte', async () => {
  const script = fileURLToPath(new URL('pack-fixture.ts', import.meta.url));
  const run = async (zone: string, umask: string) => {
    const env = { ...process.env, TZ: zone };
    return (await promisify(execFile)(process.execPath, ['--import', 'tsx', script, umask], { env })).stdout;
  };
  expect(await Promise.all([run('UTC', '022'), run('Asia/Tokyo', '077')])).toEqual([golden, golden]);
});

describe.skipIf(!works('zipinfo', '-h'))('Info-ZIP', () => {
  test('finds nothing wrong and sees the modes, the link and the date', () => {
    execFileSync('unzip', ['-tqq', path]);
    const listing = execFileSync('zipinfo', ['-T', path], { encoding: 'utf8', env: { LC_ALL: 'C.UTF-8' } });
    const rows = listing
      .split('\n')
      .flatMap((line) => /^([-lrwx]{10}) .* (\d{8}\.\d{6}) (.+)$/.exec(line)?.slice(1).join(' ') ?? []);
    expect(rows).toEqual([
      'lrwxrwxrwx 19800101.000000 bootstrap',
      '-rwxr-xr-x 19800101.000000 lang/bin/python3.13t',
      '-rw-r--r-- 19800101.000000 lang/empty',
      '-rw-r--r-- 19800101.000000 lang/lib/noise.bin',
      '-rw-r--r-- 19800101.000000 lang/lib/runs.txt',
      '-rw-r--r-- 19800101.000000 lang/lib/übung.py',
    ]);
  });

  test('unpacks to the same tree', async () => {
    const out = join(scratch, 'unpacked');
    execFileSync('unzip', ['-qq', path, '-d', out], { env: { LC_ALL: 'C.UTF-8' } });
    const { readTree } = await import('../../build/tree/tree.ts');
    expect(await contents(await readTree(out))).toEqual(await contents(fixture));
  });
});

test.skipIf(!works('python3', '-c', ''))("Python's zipfile reads it", async () => {
  const code = `
import sys, zipfile, json
with zipfile.ZipFile(sys.argv[1]) as z:
    assert z.testzip() is None
    print(json.dumps([[i.filename, oct(i.external_attr >> 16), i.date_time, z.read(i).hex()] for i in z.infolist()]))`;
  const rows: [string, string, number[], string][] = JSON.parse(
    execFileSync('python3', ['-c', code, path], { encoding: 'utf8' }),
  );
  expect(rows.map(([name, mode]) => `${mode} ${name}`).slice(0, 3)).toEqual([
    '0o120777 bootstrap',
    '0o100755 lang/bin/python3.13t',
    '0o100644 lang/empty',
  ]);
  expect(rows.every(([, , date]) => date.join() === '1980,1,1,0,0,0')).toBe(true);
  const expected = await contents(fixture);
  expect(rows.slice(1).map(([, , , hex]) => hex)).toEqual(expected.slice(1).map(([, , hex]) => hex));
});

test('what is packed is read back, whatever it is', async () => {
  const segment = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }).filter((text) => !/[/\\\0]/.test(text));
  const name = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => segments.join('/'));
  // Lone surrogates have no UTF-8, so no file system and no archive can have them in a name.
  const sound = (text: string) => pathProblem(text) === undefined && Buffer.from(text).toString() === text;
  const entry: fc.Arbitrary<Entry> = fc.oneof(
    fc
      .tuple(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(0o644 as const, 0o755 as const))
      .map(([data, mode]) => fileOf(data, mode)),
    fc.tuple(fc.nat(40_000), fc.nat(255)).map(([length, byte]) => fileOf(Buffer.alloc(length, byte))),
    name.filter(sound).map(linkTo),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name.filter(sound), entry), { maxLength: 8 }), async (entries) => {
      let tree: Tree;
      try {
        tree = makeTree(entries);
      } catch {
        return; // A file that is also a folder: not a tree to begin with.
      }
      const packed = await zipBytes(tree);
      expect(await contents(await readZip(packed))).toEqual(await contents(tree));
      const { members } = await openZip(packed);
      expect(members.every((member) => member.date === '1980-01-01 00:00:00')).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('it can be stopped between two files, and files may not change while they are packed', async () => {
  const controller = new AbortController();
  const chunks = zipChunks(fixture, controller.signal);
  await chunks.next();
  controller.abort();
  await chunks.next();
  await expect(chunks.next()).rejects.toMatchObject({ code: 'CANCELLED' });
  const growing = makeTree([['a', { ...fileOf('1234'), size: 3 }]]);
  await expect(zipBytes(growing)).rejects.toThrow('a has 4 bytes, not 3');
});

test('more files than a zip can count are refused', async () => {
  const many = makeTree(Array.from({ length: 65_535 }, (_, index) => [`${index}`, linkTo('x')]));
  await expect(zipBytes(many)).rejects.toMatchObject({ code: 'PACK_TOO_LARGE' });
});
