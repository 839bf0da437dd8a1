import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { minors } from '../../build/recipe/cpython.ts';
import type { Source } from '../../build/recipe/model.ts';
import {
  addPin,
  checkLock,
  lockError,
  lockPath,
  parseLock,
  printLock,
  pythonOrg,
  readLock,
  verifyPins,
  writeLock,
} from '../../build/source/lock.ts';
import { failure, rejection } from '../recipe/support/failure.ts';
import { testContext } from './support/context.ts';
import { pin, sha256 } from './support/pins.ts';
import { startServer, whole } from './support/server.ts';

const packageDir = fileURLToPath(new URL('../..', import.meta.url));
const bytes = Buffer.from('the bytes of a release');

const lockText = (...sources: Source[]) => printLock({ sources });

test('the lock file that ships is fresh and pins every series', async () => {
  expect(checkLock(await readFile(lockPath(packageDir), 'utf8'), minors)).toEqual([]);
});

test('the lock file that ships takes every CPython from python.org first', async () => {
  const { sources } = await readLock(packageDir);
  for (const { version, mirrors } of sources.filter(({ name }) => name === 'cpython')) {
    const upstream = pythonOrg(version).url;
    // 3.11.2 is pinned as .tgz, because that is the file Debian carries.
    expect(mirrors[0]).toBe(version === '3.11.2' ? upstream.replace('.tar.xz', '.tgz') : upstream);
  }
});

test('every library that ships is pinned with a Debian archive behind it, and names scanners know', async () => {
  const { sources } = await readLock(packageDir);
  const libraries = sources.filter(({ name }) => name !== 'cpython');
  expect(libraries.map(({ name }) => name)).toEqual([
    'bzip2',
    'libffi',
    'mpdecimal',
    'openssl',
    'sqlite',
    'util-linux',
    'xz',
    'zlib',
    'zstd',
  ]);
  for (const { name, version, mirrors, repacks = [], cpe } of libraries) {
    expect(mirrors[0]).toMatch(/^https:/);
    expect(
      [...mirrors, ...repacks.map(({ mirror }) => mirror)].filter((one) => one.startsWith('debian:')),
      name,
    ).toHaveLength(1);
    expect(cpe).toContain(`:${version}:`);
  }
});

test('pre-releases lie in the folder of their final release', () => {
  expect(pythonOrg('3.15.0rc1').url).toBe('https://www.python.org/ftp/python/3.15.0/Python-3.15.0rc1.tar.xz');
});

test('printing and parsing are inverse, and printing sorts', () => {
  const old = pin(bytes, ['https://a.example/x'], { version: '3.9.1' });
  const newer = pin(bytes, ['https://a.example/y'], { version: '3.10.1' });
  expect(parseLock(lockText(newer, old)).sources).toEqual([old, newer]);
  expect(lockText(newer, old)).toBe(lockText(old, newer));
});

test('order, layout and missing series are stale, not invalid', () => {
  const one = pin(bytes, ['https://a.example/x']);
  expect(checkLock(lockText(one), ['3.13'])).toEqual([]);
  expect(checkLock(lockText(one).replace('\n', '\n\n'), ['3.13', '3.14'])).toEqual([
    'The file is not in the layout and order that `make-runtime lock` writes.',
    'No release of CPython 3.14 is pinned, but a recipe builds it.',
  ]);
  expect(lockError([])).toBeUndefined();
  expect(lockError(['It is so.'])).toMatchObject({ code: 'LOCK_STALE', detail: 'It is so.' });
});

const broken: [string, string, RegExp][] = [
  ['not JSON', '{', /not JSON/],
  ['an unknown key', lockText().replace('"version": 1', '"version": 1, "extra": 2'), /extra/],
  ['another version of the format', lockText().replace('"version": 1', '"version": 2'), /version/],
  ['a short hash', lockText(pin(bytes, ['https://a.example/x'], { sha256: 'abc' })), /sources\[0\]\.sha256/],
  ['a size of nothing', lockText(pin(bytes, ['https://a.example/x'], { size: 0 })), /sources\[0\]\.size/],
  ['no mirror', lockText(pin(bytes, [])), /sources\[0\]\.mirrors/],
  ['a mirror that is none', lockText(pin(bytes, ['nowhere'])), /sources\[0\]\.mirrors\[0\].*not a mirror/],
  ['a mirror twice', lockText(pin(bytes, ['https://a.example/x', 'https://a.example/x'])), /one is there twice/],
  ['a pin twice', lockText(pin(bytes, ['https://a.example/x']), pin(bytes, ['https://b.example/x'])), /pinned twice/],
  ['a series for a version', lockText(pin(bytes, ['https://a.example/x'], { version: '3.13' })), /not a full version/],
  ['a file outside its folder', lockText(pin(bytes, ['https://a.example/x'], { file: '../x' })), /sources\[0\]\.file/],
];

test.each(broken)('%s is LOCK_INVALID', (_, text, detail) => {
  const error = failure(() => parseLock(text));
  expect(error.code).toBe('LOCK_INVALID');
  expect(error.detail).toMatch(detail);
});

test('a folder without a lock file', async () => {
  await using ctx = await testContext();
  expect((await rejection(readLock(ctx.cacheDir))).code).toBe('LOCK_INVALID');
});

test('pins are compared with what mirrors have; being out of reach is no complaint', async () => {
  await using server = await startServer();
  await using ctx = await testContext();
  const good = pin(bytes, [server.serve('/good', whole(bytes))], { version: '3.13.1' });
  const other = Buffer.from('other bytes of that length');
  const wrong = pin(Buffer.from('x'), [server.serve('/wrong', whole(other))], { version: '3.13.2' });
  const away = pin(Buffer.from('y'), [server.url('/away')], { version: '3.13.3' });
  const checks = await verifyPins({ sources: [good, wrong, away] }, ctx);
  expect(checks.map(({ state }) => state)).toEqual(['verified', 'wrong', 'unreachable']);
  const error = lockError([], checks);
  expect(error).toMatchObject({
    code: 'LOCK_INVALID',
    message: '1 pin in the lock file does not match what the mirrors have.',
  });
  expect(lockError([], [checks[0]!, checks[2]!])).toBeUndefined();
});

test('a release is added with what was received, in its place, and the file is written whole', async () => {
  await using server = await startServer();
  await using ctx = await testContext();
  const proxied = 'https://www.python.org/ftp/python/3.13.9/Python-3.13.9.tar.xz';
  const mirror = server.serve('/3.13.9', whole(bytes));
  const before = { sources: [pin(bytes, ['https://a.example/x'], { version: '3.13.15' })] };
  // No way to python.org in this test: its name resolves to a proxy that answers 404 to everything.
  const env = { https_proxy: server.url(''), no_proxy: '127.0.0.1' };
  const after = await addPin(before, '3.13.9', { ...ctx, env }, [mirror]);
  expect(after.sources.map(({ version }) => version)).toEqual(['3.13.9', '3.13.15']);
  expect(after.sources[0]).toMatchObject({
    file: 'Python-3.13.9.tar.xz',
    size: bytes.length,
    sha256: sha256(bytes),
    mirrors: [proxied, mirror],
    purl: 'pkg:generic/python@3.13.9',
    verifiedBy: expect.stringContaining(mirror),
  });

  await mkdir(join(ctx.cacheDir, 'recipes'));
  await writeLock(ctx.cacheDir, after);
  expect(await readLock(ctx.cacheDir)).toEqual(after);
  expect(await readdir(join(ctx.cacheDir, 'recipes'))).toEqual(['sources.lock.json']);
});

test('a pin that is there gains a mirror, but never another hash', async () => {
  await using server = await startServer();
  await using ctx = await testContext();
  const good = server.serve('/good', whole(bytes));
  const bad = server.serve('/bad', whole(Buffer.from('something else')));
  const one = pin(bytes, [server.url('/none')], { version: '3.13.9' });
  const after = await addPin({ sources: [one] }, '3.13.9', ctx, [good]);
  expect(after.sources).toEqual([{ ...one, mirrors: [server.url('/none'), good] }]);

  await using fresh = await testContext();
  const error = await rejection(addPin({ sources: [one] }, '3.13.9', fresh, [bad]));
  expect(error.code).toBe('SOURCE_HASH_MISMATCH');
});

test('a version that is none', async () => {
  await using ctx = await testContext();
  expect((await rejection(addPin({ sources: [] }, '3.13', ctx))).code).toBe('USAGE');
});
