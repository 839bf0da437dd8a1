// Which bytes may go out: those that a verdict covers.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { Context } from '../../build/lib/context.ts';
import type { ReportEvent } from '../../build/lib/report.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { openPublishable } from '../../build/publish/artifact.ts';
import { digestFile } from '../../build/source/cache.ts';
import { fileOf, makeTree } from '../../build/tree/tree.ts';

const dirs: string[] = [];
let dir: string;
let path: string;
let sha256: string;
let events: ReportEvent[];
let ctx: Context;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-artifact-'));
  dirs.push(dir);
  path = join(dir, 'layer.zip');
  // No runtime at all: whoever verifies it refuses it, so that what is accepted was not verified again.
  await writeFile(path, await zipBytes(makeTree([['readme.txt', fileOf('hello')]])));
  events = [];
  const signal = new AbortController().signal;
  ({ sha256 } = await digestFile(path, signal));
  ctx = {
    report: (event) => void events.push(event),
    signal,
    cacheDir: join(dir, 'cache'),
    packageDir: join(import.meta.dirname, '../..'),
    env: {},
    offline: false,
  };
});
afterAll(() => Promise.all(dirs.map((one) => rm(one, { recursive: true, force: true }))));

const verdict = (fields: object) => writeFile(join(dir, 'verdict.json'), JSON.stringify(fields));
const good = { artifact: '/elsewhere/layer.zip', arch: 'arm64', ok: true, findings: [] };
const bad = {
  ...good,
  ok: false,
  findings: [{ check: 'elf.glibc', level: 'fail', message: 'x needs GLIBC_2.38.', code: 'ARTIFACT_GLIBC_TOO_NEW' }],
};
const open = (force = false) => openPublishable(path, { force }, ctx);

describe('the verdict beside it', () => {
  test('covers these bytes: taken, also for an architecture that could not run here', async () => {
    await verdict({ ...good, sha256 });
    const { size } = await digestFile(path, ctx.signal);
    expect(await open()).toEqual({ path, sha256, size, arch: 'arm64', plan: undefined, licences: [], overridden: [] });
  });

  test('is bad: refused with its own code, or overridden by --force, which says what', async () => {
    await verdict({ ...bad, sha256 });
    await expect(open()).rejects.toMatchObject({
      code: 'ARTIFACT_GLIBC_TOO_NEW',
      message: expect.stringContaining(path),
    });
    expect((await open(true)).overridden).toEqual(['elf.glibc: x needs GLIBC_2.38.']);
    expect(events).toContainEqual({
      type: 'warn',
      message: '--force overrides:\n  elf.glibc: x needs GLIBC_2.38.',
    });
  });

  test('is about other bytes', async () => {
    await verdict({ ...good, sha256: '0'.repeat(64) });
    await expect(open()).rejects.toMatchObject({
      code: 'ARTIFACT_CHANGED',
      detail: expect.stringContaining(sha256),
      remedy: expect.stringContaining('verdict.json'),
    });
    // --force verifies these bytes; what is no layer at all stays refused.
    await expect(open(true)).rejects.toMatchObject({ code: 'ARTIFACT_NOT_A_LAYER' });
  });

  test.each([
    ['none', undefined],
    ['one that does not say which bytes', good],
    ['another kind of file', { hello: 1 }],
  ])('%s: it is verified now', async (_what, fields) => {
    if (fields) await verdict(fields);
    await expect(open()).rejects.toMatchObject({ code: 'ARTIFACT_NOT_A_LAYER' });
  });

  test('a damaged one', async () => {
    await writeFile(join(dir, 'verdict.json'), '{"ok": tr');
    await expect(open()).rejects.toMatchObject({ code: 'ARTIFACT_NOT_A_LAYER' });
  });
});

test('a file that is not there, or no zip', async () => {
  await rm(path);
  await expect(open()).rejects.toMatchObject({ code: 'ARTIFACT_NOT_FOUND' });
  await writeFile(path, await readFile(import.meta.filename));
  await expect(open()).rejects.toMatchObject({ code: 'ARTIFACT_NOT_A_LAYER' });
});
