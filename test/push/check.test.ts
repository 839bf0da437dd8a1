import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkImage } from '../../build/push/check.ts';
import { openImage } from '../../build/push/source.ts';
import { findStatements } from '../../build/push/statements.ts';
import { verdictError } from '../../build/verify/verdict.ts';
import type { LayoutImage } from '../image/support/layouts.ts';
import { makeImage } from './support.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'push-check-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));
const ctx = { signal: new AbortController().signal, report: () => {} };
const check = async (options: Parameters<typeof makeImage>[1] = {}) => {
  const { path } = await makeImage(dir, options);
  return checkImage(await openImage(path, undefined, ctx), ctx);
};

test('a good image, with what was proven when it was made', async () => {
  const verdict = await check();
  expect(verdict.findings.map(({ check, level }) => `${check} ${level}`)).toEqual([
    'image.platform pass',
    'image.manifest pass',
    'image.layers pass',
    'image.history pass',
    'image.entrypoint pass',
    'image.runtime pass',
  ]);
  expect(verdictError(verdict)).toBeUndefined();
});

test("somebody else's image has no proof, and is told so", async () => {
  const verdict = await check({ beside: false });
  expect(verdict.ok).toBe(true);
  expect(verdict.findings).toContainEqual(expect.objectContaining({ check: 'image.runtime', level: 'note' }));
});

test.each<[string, LayoutImage & { ok?: boolean }, string, string]>([
  ['another architecture', { architecture: 's390x' }, 'ARTIFACT_WRONG_ARCH', 'linux/s390x'],
  ['another system', { os: 'windows' }, 'ARTIFACT_WRONG_ARCH', 'windows/'],
  ['zstd', { layerType: 'application/vnd.oci.image.layer.v1.tar+zstd' }, 'VERIFY_FAILED', 'zstd'],
  ['a bare tar', { layerType: 'application/vnd.oci.image.layer.v1.tar' }, 'VERIFY_FAILED', 'which Lambda refuses'],
  [
    'a foreign layer',
    { layerType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' },
    'VERIFY_FAILED',
    'foreign',
  ],
  ['gzip in name only', { compress: (bytes) => bytes }, 'VERIFY_FAILED', 'calls itself gzip and is not'],
  [
    'a truncated layer',
    { compress: (bytes) => gzipSync(bytes).subarray(0, 40) },
    'VERIFY_FAILED',
    'cannot be unpacked',
  ],
  [
    'another content than it says',
    { compress: () => gzipSync('other') },
    'VERIFY_FAILED',
    'is not what the configuration says',
  ],
  ['fewer layers than it says', { more: { rootfs: { type: 'layers', diff_ids: [] } } }, 'VERIFY_FAILED', 'says 0'],
  ['a runtime whose verdict was not good', { ok: false }, 'VERIFY_FAILED', 'It needs glibc 2.99.'],
])('%s: refused', async (_, options, code, words) => {
  const error = verdictError(await check(options));
  expect(error).toMatchObject({ code, message: expect.stringContaining(words) });
});

test('what somebody should look at', async () => {
  const verdict = await check({ more: { history: [], config: {} } });
  expect(verdict.ok).toBe(true);
  expect(verdict.findings.filter(({ level }) => level === 'warn').map(({ check }) => check)).toEqual([
    'image.history',
    'image.entrypoint',
  ]);
});

test.each([
  ['another image', JSON.stringify({ image: `sha256:${'0'.repeat(64)}`, artifact: 'x', ok: true, findings: [] })],
  ['nothing readable', '{'],
])('a verdict on %s: changed since it was verified', async (_, text) => {
  const { path } = await makeImage(dir);
  await writeFile(join(dir, 'image-verdict.json'), text);
  const image = await openImage(path, undefined, ctx);
  await expect(checkImage(image, ctx)).rejects.toMatchObject({ code: 'ARTIFACT_CHANGED' });
});

test('statements are taken along when they are about this image, else it is said why not', async () => {
  const { path } = await makeImage(dir);
  const image = await openImage(path, undefined, ctx);
  const found = await findStatements(image);
  expect(found.missing).toBeUndefined();
  expect(found.artifacts.map(({ type }) => type)).toEqual([
    'application/vnd.cyclonedx+json',
    'application/spdx+json',
    'application/vnd.in-toto+json',
  ]);
  await writeFile(join(dir, 'image-statements', 'provenance.json'), '{"about":"another"}');
  expect(await findStatements(image)).toEqual({
    artifacts: [],
    missing: 'provenance.json beside the image is about another one',
  });
  await rm(join(dir, 'image-statements'), { recursive: true });
  expect(await findStatements(image)).toEqual({ artifacts: [], missing: 'there is no sbom.cdx.json beside the image' });
});
