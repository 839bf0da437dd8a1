// `lock --upgrade` as a user runs it, against an upstream of the test's own, on a copy of the package: it writes there.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exitStatus } from '../../build/lib/errors.ts';
import { recipeNames } from '../../build/recipe/load.ts';
import { pinsOf } from '../../build/recipe/plan.ts';
import { checkLock, readLock } from '../../build/source/lock.ts';
import { type FileServer, startServer } from '../source/support/server.ts';
import { startSigstore, type TestSigstore } from '../source/support/sigstore.ts';
import { serveUpstream, type TestUpstream } from '../source/support/upstream.ts';

const root = join(import.meta.dirname, '..', '..');
const bytes = Buffer.from('the bytes of 3.14.99');
const file = 'Python-3.14.99.tar.xz';

let dir: string;
let lockFile: string;
let server: FileServer;
let upstream: TestUpstream;
let sigstore: TestSigstore;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-lock-'));
  for (const path of ['dist/cli.js', 'dist/chunks', 'recipes', 'package.json'])
    await cp(join(root, path), join(dir, path), { recursive: true });
  lockFile = join(dir, 'recipes/sources.lock.json');
  server = await startServer();
  upstream = serveUpstream(server);
  sigstore = await startSigstore();
  await writeFile(join(dir, 'trusted_root.json'), sigstore.trustedRoot);
  upstream.release('3.13.1', { 'Python-3.13.1.tar.xz': 'older than any pin' });
  upstream.release('3.14.99', { [file]: bytes, [`${file}.sigstore`]: await sigstore.sign(bytes) });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

const run = (...args: string[]) =>
  execa(process.execPath, [join(dir, 'dist/cli.js'), 'lock', ...args], {
    cwd: dir,
    reject: false,
    env: { MAKE_RUNTIME_CACHE: join(dir, 'cache'), CI: '1', no_proxy: '127.0.0.1' },
  });
const upgrade = (...args: string[]) =>
  run('--upgrade', '--upstream', upstream.url.replace(/\/$/, ''), '--trusted-root', 'trusted_root.json', ...args);

test('shows what would change and writes nothing; --check tells CI; --write pins it; then there is nothing to do', async () => {
  const before = await readFile(lockFile, 'utf8');
  const shown = await upgrade();
  expect(shown.exitCode).toBe(0);
  expect(shown.stdout).toMatch(/^3\.14 +3\.14\.\d+ +3\.14\.99 +20 +[0-9a-f]{64} +hugo@python\.org, rekor\.test \d+$/m);
  expect(shown.stdout).toMatch(/^3\.13 .* up to date$/m);
  expect(shown.stderr).toContain('Nothing was written');

  const checked = await upgrade('--check', '--json');
  expect(checked.exitCode).toBe(exitStatus.LOCK_STALE);
  const { written, series } = JSON.parse(checked.stdout);
  expect(written).toBe(false);
  expect(series.map(({ state }: { state: string }) => state).filter((state: string) => state === 'newer')).toHaveLength(
    1,
  );
  expect(JSON.parse(checked.stderr.split('\n').at(-1) ?? '')).toMatchObject({
    code: 'LOCK_STALE',
    remedy: expect.stringContaining('lock --upgrade --write'),
  });
  expect(await readFile(lockFile, 'utf8')).toBe(before);

  const wrote = await upgrade('--write');
  expect(wrote.exitCode).toBe(0);
  expect(wrote.stderr).toContain('1 release added');
  expect(checkLock(await readFile(lockFile, 'utf8'), await recipeNames(dir))).toEqual([]);
  const [pin, ...others] = pinsOf(await readLock(dir), '3.14');
  expect(pin).toMatchObject({ version: '3.14.99', size: bytes.length });
  expect(pin?.verifiedBy).toContain('hugo@python.org');
  expect(others.length).toBeGreaterThan(0);

  const after = await upgrade('--check');
  expect(after.exitCode).toBe(0);
  expect(after.stderr).toContain('Every series is pinned at its newest release.');
});

test('one that cannot be proven keeps all from being written', async () => {
  const before = await readFile(lockFile, 'utf8');
  const good = 'Python-3.15.99.tar.xz';
  upstream.release('3.15.99', { [good]: bytes, [`${good}.sigstore`]: await sigstore.sign(bytes) });
  const bad = 'Python-3.12.99.tar.xz';
  upstream.release('3.12.99', { [bad]: bytes, [`${bad}.sigstore`]: await sigstore.sign(bytes) });
  const { stdout, stderr, exitCode } = await upgrade('--write');
  expect(exitCode).toBe(exitStatus.SIGNATURE_INVALID);
  expect(stdout).toMatch(/^3\.12 .* refused: SIGNATURE_INVALID$/m);
  expect(stdout).toMatch(/^3\.15 .* hugo@python\.org/m);
  expect(stderr).toContain('expected thomas@python.org');
  expect(await readFile(lockFile, 'utf8')).toBe(before);
});

test('options that contradict each other, or make no sense alone', async () => {
  const wrong = [
    ['--write'],
    ['--upstream', 'https://mirror.example/'],
    ['--upgrade', '--check', '--write'],
    ['--upgrade', '--add', '3.14.99'],
    ['--upgrade', '--upstream', 'ftp://mirror.example/'],
    ['--upgrade', '--upstream', 'https://user:secret@mirror.example/'],
  ];
  const results = await Promise.all(wrong.map((args) => run(...args)));
  for (const { stderr, stdout, exitCode } of results) {
    expect(stderr).toContain('[USAGE]');
    expect(exitCode).toBe(exitStatus.USAGE);
    expect(stdout).toBe('');
    expect(stderr).not.toContain('secret');
  }
});

test('offline', async () => {
  const { stderr, exitCode } = await run('--upgrade', '--offline');
  expect(exitCode).toBe(exitStatus.SOURCE_UNREACHABLE);
  expect(stderr).toContain('--offline');
});
