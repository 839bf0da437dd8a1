import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Lock } from '../../build/recipe/model.ts';
import { cachePath } from '../../build/source/cache.ts';
import { parseLock, printLock, pythonOrg } from '../../build/source/lock.ts';
import { readTrustRoot } from '../../build/source/sigstore-root.ts';
import { applyUpgrades, findUpgrades, upgradeError } from '../../build/source/upgrade.ts';
import { newestReleases, parseListing } from '../../build/source/upstream.ts';
import { rejection } from '../recipe/support/failure.ts';
import { type TestContext, testContext } from './support/context.ts';
import { pin, sha256 } from './support/pins.ts';
import { cutAt, type FileServer, startServer, status } from './support/server.ts';
import { hugo, startSigstore, type TestSigstore } from './support/sigstore.ts';
import { serveUpstream, type TestUpstream } from './support/upstream.ts';

const bytes = Buffer.from('the bytes of 3.14.9');
const quick = { attempts: 2, delay: 1, silence: 2000 };
const pinned: Lock = {
  sources: [
    pin(Buffer.from('old'), ['https://a.example/x'], { version: '3.13.15' }),
    pin(Buffer.from('older'), ['https://a.example/y'], { version: '3.14.8' }),
  ],
};

let dir: string;
let trustRoot: string;
let sigstore: TestSigstore;
let bundle: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'upgrade-'));
  sigstore = await startSigstore();
  trustRoot = join(dir, 'trusted_root.json');
  await writeFile(trustRoot, sigstore.trustedRoot);
  bundle = await sigstore.sign(bytes);
});
afterAll(() => rm(dir, { recursive: true }));

let server: FileServer;
let upstream: TestUpstream;
let ctx: TestContext;
beforeEach(async () => {
  server = await startServer();
  upstream = serveUpstream(server);
  ctx = await testContext();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await ctx[Symbol.asyncDispose]();
});

const find = (series = ['3.13', '3.14'], lock = pinned) =>
  findUpgrades(lock, series, ctx, { upstream: upstream.url, trustRoot, patience: quick });
const tarball = 'Python-3.14.9.tar.xz';
const signed = () => ({ [tarball]: bytes, [`${tarball}.sigstore`]: bundle, [`${tarball}.spdx.json`]: '{}' });
const current = () => upstream.release('3.13.15', { 'Python-3.13.15.tar.xz': 'x' });

describe('what upstream has', () => {
  const newest = async (...series: string[]) => {
    const found = await newestReleases(series, ctx, upstream.url, quick);
    return Object.fromEntries([...found].map(([one, { version }]) => [one, version]));
  };

  test('the newest final release by number, not by letter', async () => {
    upstream.release('3.14.9', { [tarball]: 'x' });
    upstream.release('3.14.10', { 'Python-3.14.10.tar.xz': 'x' });
    upstream.release('3.13.15', { 'Python-3.13.15.tar.xz': 'x' });
    expect(await newest('3.13', '3.14', '3.16')).toEqual({ '3.13': '3.13.15', '3.14': '3.14.10' });
  });

  test('a folder without a tarball is no release yet', async () => {
    upstream.release('3.14.9', { [tarball]: 'x' });
    upstream.release('3.14.10', { 'Python-3.14.10-docs.zip': 'x', 'Python-3.14.11.tar.xz': 'x' });
    expect(await newest('3.14')).toEqual({ '3.14': '3.14.9' });
  });

  test('pre-releases only where the series has no final', async () => {
    upstream.release('3.14.9', { [tarball]: 'x' });
    upstream.release('3.14.10', { 'Python-3.14.10rc1.tar.xz': 'x' });
    upstream.release('3.16.0', {
      'Python-3.16.0a10.tar.xz': 'x',
      'Python-3.16.0a9.tar.xz': 'x',
      'Python-3.16.0.tgz': '',
    });
    expect(await newest('3.14', '3.16')).toEqual({ '3.14': '3.14.9', '3.16': '3.16.0a10' });
  });

  test.each([
    ['nginx', '<a href="../">../</a>\n<a href="3.14.9/">3.14.9/</a> 01-Jan', ['3.14.9']],
    ['Apache', '<a href="?C=N;O=D">Name</a><a href="/ftp/">Parent</a><td><a href="3.14.9/">x</a>', ['3.14.9']],
    [
      'absolute links',
      "<A class=x HREF='/ftp/python/3.14.9/'>x</A><a href=/ftp/python/3.14.8/>x</a>",
      ['3.14.9', '3.14.8'],
    ],
    ['whole addresses', '<a href="https://up.example/ftp/python/3.14.9/">', ['3.14.9']],
    [
      'elsewhere',
      '<a href="https://other.example/ftp/python/3.14.9/"><a href="//x/3.14.9/"><a href="javascript:a">',
      [],
    ],
    [
      'deeper, or upward',
      '<a href="3.14.9/x"><a href="../3.14.9/"><a href="..%2f3.14.9/"><a href="%2e%2e/"><a href="%zz">',
      [],
    ],
    ['no listing', '<html><h1>Sign in to the network</h1></html>', []],
  ])('listings: %s', (_, html, names) => {
    expect(parseListing(html, 'https://up.example/ftp/python/')).toEqual(names);
  });
});

describe('a newer release', () => {
  test('is proven, shown, and pinned with how it was proven', async () => {
    current();
    upstream.release('3.14.9', signed());
    const rows = await find();
    expect(upgradeError(rows)).toBeUndefined();
    expect(rows[0]).toEqual({ series: '3.13', from: '3.13.15', to: '3.13.15' });
    expect(rows[1]).toMatchObject({
      series: '3.14',
      from: '3.14.8',
      to: '3.14.9',
      signature: { ...hugo, log: 'rekor.test' },
      pin: {
        name: 'cpython',
        version: '3.14.9',
        file: tarball,
        size: bytes.length,
        sha256: sha256(bytes),
        mirrors: [pythonOrg('3.14.9').url, `${upstream.url}3.14.9/${tarball}`],
        purl: 'pkg:generic/python@3.14.9',
        verifiedBy: expect.stringMatching(/^Sigstore: signed by hugo@python\.org \(.*\), rekor\.test index \d+, 20/),
      },
    });
    const after = parseLock(printLock(applyUpgrades(pinned, rows)));
    expect(after.sources.map(({ version }) => version)).toEqual(['3.13.15', '3.14.8', '3.14.9']);
    expect(after.sources.slice(0, 2)).toEqual(pinned.sources);
    // Shown first and written later: the tarball is not fetched twice.
    await find();
    expect(server.log.filter((line) => line.endsWith(`/3.14.9/${tarball}`))).toHaveLength(1);
  });

  test('a series without a pin, and one whose only pin is a pre-release', async () => {
    upstream.release('3.14.9', signed());
    const rc = { sources: [pin(Buffer.from('rc'), ['https://a.example/x'], { version: '3.14.10rc1' })] };
    for (const lock of [{ sources: [] }, rc]) expect((await find(['3.14'], lock))[0]?.pin?.version).toBe('3.14.9');
  });

  test('a pin that is newer than upstream, or the same with other bytes, stays', async () => {
    upstream.release('3.14.7', { 'Python-3.14.7.tar.xz': 'x' });
    upstream.release('3.13.15', { 'Python-3.13.15.tar.xz': 'other bytes than pinned' });
    const rows = await find();
    expect(rows.map(({ pin: added }) => added)).toEqual([undefined, undefined]);
    expect(applyUpgrades(pinned, rows)).toEqual(pinned);
    const forced = [{ series: '3.14', from: '3.14.8', to: '3.14.8', pin: pin(bytes, ['x'], { version: '3.14.8' }) }];
    expect(applyUpgrades(pinned, forced)).toEqual(pinned);
  });

  test('the next run uses another trust root when the first was too old', async () => {
    upstream.release('3.14.9', signed());
    const other = join(dir, 'other.json');
    await writeFile(other, (await startSigstore()).trustedRoot);
    const options = { upstream: upstream.url, patience: quick };
    const [row] = await findUpgrades(pinned, ['3.14'], ctx, { ...options, trustRoot: other });
    expect(row?.failure?.code).toBe('TRUST_ROOT_STALE');
    expect((await findUpgrades(pinned, ['3.14'], ctx, { ...options, trustRoot }))[0]?.pin?.version).toBe('3.14.9');
  });
});

describe('what cannot be proven is refused, and says nothing about the other series', () => {
  const refusal = async (files: Parameters<TestUpstream['release']>[1]) => {
    upstream.release('3.14.9', files);
    const later = Buffer.from('3.15.1');
    const file = 'Python-3.15.1.tar.xz';
    upstream.release('3.15.1', { [file]: later, [`${file}.sigstore`]: await sigstore.sign(later) });
    const rows = await find(['3.14', '3.15']);
    expect(rows[0]).toMatchObject({ series: '3.14', from: '3.14.8', to: '3.14.9', failure: expect.any(Error) });
    expect(rows[0]?.pin).toBeUndefined();
    expect(rows[1]?.pin?.version).toBe('3.15.1');
    const error = upgradeError(rows);
    expect(error?.remedy).toMatch(/\S/);
    return error;
  };

  test('no bundle in the listing, or none behind it', async () => {
    expect(await refusal({ [tarball]: bytes })).toMatchObject({
      code: 'SIGNATURE_MISSING',
      remedy: expect.stringContaining('make-runtime lock --add 3.14.9'),
    });
    expect((await refusal({ ...signed(), [`${tarball}.sigstore`]: status(404) }))?.code).toBe('SIGNATURE_MISSING');
    expect(server.log.filter((line) => line.endsWith(`/3.14.9/${tarball}`))).toEqual([]);
  });

  test('a bundle that does not come', async () => {
    expect((await refusal({ ...signed(), [`${tarball}.sigstore`]: status(403) }))?.code).toBe('SOURCE_UNREACHABLE');
    expect((await refusal({ ...signed(), [`${tarball}.sigstore`]: status(500) }))?.code).toBe('SOURCE_UNREACHABLE');
  });

  test('a bundle larger than any', async () => {
    const error = await refusal({ ...signed(), [`${tarball}.sigstore`]: 'x'.repeat(300_000) });
    expect(error).toMatchObject({ code: 'SIGNATURE_INVALID', detail: expect.stringContaining('more than 262144') });
  });

  test('a mirror with other bytes, which do not stay in the cache', async () => {
    const other = Buffer.from('not the bytes of 3.14.9');
    const error = await refusal({ ...signed(), [tarball]: other });
    expect(error).toMatchObject({ code: 'SIGNATURE_INVALID', detail: expect.stringContaining(sha256(other)) });
    await expect(readFile(cachePath(ctx.cacheDir, sha256(other)))).rejects.toThrow('ENOENT');
  });

  test('a tarball that breaks off', async () => {
    expect((await refusal({ ...signed(), [tarball]: cutAt(bytes, 5) }))?.code).toBe('SOURCE_UNREACHABLE');
  });

  test('the bundle of another release, and one by somebody else', async () => {
    const other = await sigstore.sign(Buffer.from('3.14.8'));
    expect((await refusal({ ...signed(), [`${tarball}.sigstore`]: other }))?.code).toBe('SIGNATURE_INVALID');
    const thomas = await sigstore.sign(bytes, { email: 'thomas@python.org', issuer: 'https://accounts.google.com' });
    const error = await refusal({ ...signed(), [`${tarball}.sigstore`]: thomas });
    expect(error).toMatchObject({ code: 'SIGNATURE_INVALID', detail: expect.stringContaining('thomas@python.org') });
  });

  test('a series whose release manager is not known', async () => {
    const file = 'Python-3.99.0.tar.xz';
    upstream.release('3.99.0', { [file]: bytes, [`${file}.sigstore`]: bundle });
    expect((await find(['3.99']))[0]?.failure).toMatchObject({ code: 'SIGNATURE_MISSING' });
  });

  test('several at once are one error', async () => {
    upstream.release('3.13.16', { 'Python-3.13.16.tar.xz': 'x' });
    upstream.release('3.14.9', { ...signed(), [`${tarball}.sigstore`]: '{}' });
    expect(upgradeError(await find())).toMatchObject({
      code: 'SIGNATURE_MISSING',
      detail: expect.stringMatching(/Sigstore bundle of Python-3\.14\.9\.tar\.xz is not a Sigstore bundle/),
    });
  });
});

describe('upstream out of reach', () => {
  test('offline nothing is looked for', async () => {
    ctx = { ...ctx, offline: true };
    expect((await rejection(find())).remedy).toContain('without --offline');
    expect(server.log).toEqual([]);
  });

  test('a page that is no listing, and a folder that is gone', async () => {
    ctx = { ...ctx, env: { PATH: '/nowhere' } };
    server.serve('/ftp/python/', (_, response) => response.end('<h1>Sign in</h1>'));
    const error = await rejection(find());
    expect(error).toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      detail: expect.stringContaining('not with the listing'),
    });
    expect(error.detail).toContain('Debian sid could not be asked: needs apt-get');
    server.serve('/ftp/python/', status(404));
    expect((await rejection(find())).detail).toContain('answered HTTP 404');
  });

  test('what Debian has is told, and nothing more', async () => {
    const fake = join(dir, 'apt');
    const { mkdir, chmod } = await import('node:fs/promises');
    await mkdir(fake);
    await writeFile(join(fake, 'apt-get'), '#!/bin/sh\n');
    await writeFile(
      join(fake, 'apt-cache'),
      `#!/bin/sh\nfor name; do :; done\ncase $name in python3.14)\nprintf 'Package: %s\\nVersion: 3.14.10~rc1-1\\n\\nPackage: %s\\nVersion: 3.14.9-2\\n\\nPackage: %s\\nVersion: 3.14.10-1\\n' $name $name $name;; esac\n`,
    );
    for (const name of ['apt-get', 'apt-cache']) await chmod(join(fake, name), 0o755);
    ctx = { ...ctx, env: { PATH: `${fake}:${process.env.PATH}` } };
    server.serve('/ftp/python/', status(404));
    const { detail } = await rejection(find());
    expect(detail).toContain('Debian sid has CPython 3.14.10 (pinned: 3.14.8)');
    expect(detail).toContain("--mirror 'debian:sid/python3.14=3.14.10-*/python3.14_3.14.10.orig.tar.xz'");
    expect(detail).not.toContain('3.13');
  });
});

describe('a trust root file', () => {
  test.each([
    ['no file', undefined],
    ['no JSON', 'x'],
    ['nobody in it', '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'],
  ])('%s', async (_, text) => {
    const path = join(dir, 'broken.json');
    if (text === undefined) await rm(path, { force: true });
    else await writeFile(path, text);
    expect(await rejection(readTrustRoot(path))).toMatchObject({
      code: 'TRUST_ROOT_INVALID',
      remedy: expect.stringMatching(/\S/),
    });
  });
});
