import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundledFrom, readBundled } from '../../build/sbom/bundled.ts';
import { release } from './support/described.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bundled '));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const versions = (files: ReadonlyMap<string, string>) =>
  Object.fromEntries(bundledFrom(files).parts.map(({ name, version }) => [name, version]));

/** What 3.11 has of the files that are read: no SBOM, and code that was replaced later. */
const older = new Map([
  ['LICENSE', 'PSF'],
  ['Modules/expat/COPYING', 'Expat'],
  ['Modules/expat/expat.h', '#define XML_MAJOR_VERSION 2\n#define XML_MINOR_VERSION 5\n#define XML_MICRO_VERSION 0\n'],
  ['Modules/_decimal/libmpdec/mpdecimal.h', '/*\n * Redistribution and use\n */\n#define MPD_VERSION "2.5.1"\n'],
  ['Modules/_blake2/impl/blake2b-ref.c', '/*\n   CC0 Public Domain Dedication\n*/'],
  ['Modules/_sha3/README.txt', `tiny_sha3\ncommit ${'d'.repeat(40)}\n`],
  ['Modules/_sha3/LICENSE', 'MIT'],
  ['Modules/md5module.c', '/* MD5 module */\nint x;\n/* LibTomCrypt, modular --\n *\n * free for all purposes\n */\n'],
]);

test("upstream's own list comes first, completed by what it leaves out", async () => {
  const { parts, from } = bundledFrom(await release());
  expect(from).toBe('sbom');
  expect(Object.fromEntries(parts.map(({ name, version }) => [name, version]))).toEqual({
    expat: '2.8.2',
    'hacl-star': 'bb3d0dc8d9d15a5cd51094d5b69e70aa09005ff0',
    libb2: '0.98.1',
    macholib: '1.0',
    mimalloc: '2.1.2',
    mpdecimal: '2.5.1',
  });
  expect(parts.find(({ name }) => name === 'expat')).toMatchObject({
    cpe: 'cpe:2.3:a:libexpat_project:libexpat:2.8.2:*:*:*:*:*:*:*',
    supplier: 'Expat development team',
    source: {
      url: 'https://github.com/libexpat/libexpat/releases/download/R_2_8_2/expat-2.8.2.tar.gz',
      sha256: 'ef7d1994f533c9e7343d6c19f31064fc8ebbcbcaa144be3812b4f43052a05f4c',
    },
    text: 'Copyright (c) Expat maintainers\n',
  });
  expect(parts.find(({ name }) => name === 'macholib')).toMatchObject({
    purl: 'pkg:pypi/macholib@1.0',
    supplier: 'Ronald Oussoren',
    libFiles: expect.arrayContaining(['Lib/ctypes/macholib/dyld.py']),
  });
});

test('a release without an SBOM: its files say what is in it', () => {
  expect(bundledFrom(older).from).toBe('files');
  expect(versions(older)).toEqual({
    expat: '2.5.0',
    libb2: undefined,
    libtomcrypt: undefined,
    mpdecimal: '2.5.1',
    tiny_sha3: 'd'.repeat(40),
  });
});

test('a licence text is the comment it stands in, without its stars', () => {
  const text = bundledFrom(older).parts.find(({ name }) => name === 'libtomcrypt')?.text;
  expect(text).toBe('LibTomCrypt, modular --\n\nfree for all purposes\n');
});

test.each(['', 'not JSON', '{}', '{"spdxVersion":"SPDX-3.0","packages":[]}', '[]'])(
  'an SBOM that is none (%j) is as good as absent',
  (text) => {
    expect(bundledFrom(new Map([...older, ['Misc/sbom.spdx.json', text]])).from).toBe('files');
    expect(versions(new Map([...older, ['Misc/sbom.spdx.json', text]]))).toEqual(versions(older));
  },
);

test('a part that only upstream knows is kept as it is', () => {
  const packages = [{ SPDXID: 'SPDXRef-x', name: 'newcomer', downloadLocation: 'NOASSERTION' }];
  const text = JSON.stringify({ spdxVersion: 'SPDX-2.3', packages });
  expect(bundledFrom(new Map([['Misc/sbom.spdx.json', text]])).parts).toEqual([{ name: 'newcomer' }]);
});

const ctx = (env: Record<string, string | undefined> = process.env) => ({
  cacheDir: join(dir, 'cache'),
  env,
  signal: new AbortController().signal,
});

async function archive(name: string, files: ReadonlyMap<string, string>): Promise<string> {
  const root = join(dir, name);
  for (const [path, text] of files) {
    const file = join(root, 'Python-3.13.15', path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  execFileSync('tar', ['-cJf', `${root}.tar.xz`, '-C', root, 'Python-3.13.15']);
  return `${root}.tar.xz`;
}

const source = { version: '3.13.15', file: 'Python-3.13.15.tar.xz' };

test('the tarball is read once', async () => {
  const path = await archive('release', await release());
  const first = await readBundled({ ...source, sha256: '1' }, path, ctx());
  expect(first).toEqual(bundledFrom(await release()));
  await rm(path);
  expect(await readBundled({ ...source, sha256: '1' }, path, ctx())).toEqual(first);
});

test('a tarball that cannot be read is refused, and nothing is kept of it', async () => {
  const path = join(dir, 'broken.tar.xz');
  await writeFile(path, 'not an archive');
  const reading = (env?: Record<string, string>) => readBundled({ ...source, sha256: '2' }, path, ctx(env));
  await expect(reading()).rejects.toMatchObject({ code: 'COMPILER_MISSING', remedy: expect.stringContaining('xz') });
  const good = await archive('good', older);
  await expect(
    readBundled({ ...source, sha256: '2' }, good, ctx({ PATH: join(dir, 'nothing here') })),
  ).rejects.toMatchObject({ code: 'COMPILER_MISSING' });
  expect((await readBundled({ ...source, sha256: '2' }, good, ctx())).from).toBe('files');
});

test('stopped, it says so', async () => {
  const path = await archive('stopped', older);
  const reading = readBundled({ ...source, sha256: '3' }, path, { ...ctx(), signal: AbortSignal.abort() });
  await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
});
