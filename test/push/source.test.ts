// What is pushed, out of layouts and archives of several makers, sound and not.
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openImage } from '../../build/push/source.ts';
import { baseTar, writeLayout } from '../image/support/layouts.ts';
import { sha256 } from '../registry/support/writable.ts';
import { makeImage } from './support.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'push-source-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));
const ctx = { signal: new AbortController().signal };
const open = (spec: string, platform?: string) => openImage(spec, platform, ctx);
const index = async (): Promise<{ manifests: { digest: string }[] }> =>
  JSON.parse(await readFile(join(dir, 'image', 'index.json'), 'utf8'));

test('a folder, and the same in an archive', async () => {
  const { path, digest } = await makeImage(dir);
  const folder = await open(path);
  expect(folder).toMatchObject({ path, beside: dir, manifest: { digest } });
  await execa('tar', ['-C', path, '-cf', join(dir, 'image.tar'), '.']);
  const archive = await open(join(dir, 'image.tar'));
  expect(archive.manifest).toEqual(folder.manifest);
  expect(archive.beside).toBe(dir);
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive.layers[0]!.open()) chunks.push(chunk);
  expect(sha256(Buffer.concat(chunks))).toBe(folder.layers[0]!.digest);
});

describe('several images', () => {
  test('by name', async () => {
    await writeLayout(join(dir, 'image'), [{ tag: 'a' }, { tag: 'b', more: { author: 'b' } }]);
    const [first, second] = (await index()).manifests;
    expect((await open(`${join(dir, 'image')}:a`)).manifest.digest).toBe(first?.digest);
    expect((await open(`${join(dir, 'image')}:b`)).manifest.digest).toBe(second?.digest);
    await expect(open(join(dir, 'image'))).rejects.toMatchObject({
      code: 'USAGE',
      remedy: expect.stringContaining(':TAG'),
    });
    await expect(open(`${join(dir, 'image')}:c`)).rejects.toMatchObject({
      code: 'ARTIFACT_NOT_FOUND',
      remedy: 'It has: a, b.',
    });
  });

  test('by platform, or refused', async () => {
    await writeLayout(join(dir, 'image'), [{ architecture: 'amd64' }, { architecture: 'arm64' }]);
    const image = await open(join(dir, 'image'), 'linux/arm64');
    expect(image.config.architecture).toBe('arm64');
    await expect(open(join(dir, 'image'))).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('linux/amd64 and linux/arm64'),
      remedy: expect.stringContaining('--platform linux/amd64'),
    });
  });

  test('an index with an attestation, as docker buildx makes it, has one image', async () => {
    await writeLayout(join(dir, 'image'), [{ nested: true }]);
    expect((await open(join(dir, 'image'))).layers).toHaveLength(1);
  });

  test('another platform than asked for', async () => {
    const { path } = await makeImage(dir, { architecture: 'amd64' });
    await expect(open(path, 'linux/arm64')).rejects.toMatchObject({
      code: 'ARTIFACT_WRONG_ARCH',
      detail: 'it has linux/amd64',
    });
  });
});

describe('damage', () => {
  const layer = () => join(dir, 'image', 'blobs', 'sha256');
  test.each<[string, (folder: string, digest: string) => Promise<unknown>]>([
    ['a blob with more bytes', (folder, name) => appendFile(join(folder, name), '!')],
    [
      'a blob with other bytes',
      async (folder, name) => {
        const bytes = await readFile(join(folder, name));
        bytes[20]! ^= 1;
        await writeFile(join(folder, name), bytes);
      },
    ],
    ['a blob that is gone', (folder, name) => rm(join(folder, name))],
  ])('%s: changed since it was made', async (_, change) => {
    const { path } = await makeImage(dir);
    const image = await open(path);
    await change(layer(), image.layers[0]!.digest.slice(7));
    await expect(open(path)).rejects.toMatchObject({ code: 'ARTIFACT_CHANGED' });
  });

  test('nothing there, no layout, no image', async () => {
    await expect(open(join(dir, 'none'))).rejects.toMatchObject({ code: 'ARTIFACT_NOT_FOUND' });
    await expect(open(dir)).rejects.toMatchObject({
      code: 'ARTIFACT_NOT_AN_IMAGE',
      remedy: expect.stringContaining('skopeo'),
    });
    await writeFile(join(dir, 'x.tar'), baseTar);
    await expect(open(join(dir, 'x.tar'))).rejects.toMatchObject({ code: 'ARTIFACT_NOT_AN_IMAGE' });
    await writeFile(join(dir, 'x.tar'), 'x'.repeat(5000));
    await expect(open(join(dir, 'x.tar'))).rejects.toMatchObject({ message: expect.stringContaining('it is no tar') });
    await writeLayout(join(dir, 'image'), []);
    await expect(open(join(dir, 'image'))).rejects.toMatchObject({
      message: expect.stringContaining('names no image'),
    });
    await writeLayout(join(dir, 'image'), [{ manifest: '{"schemaVersion":1}' }]);
    await expect(open(join(dir, 'image'))).rejects.toMatchObject({ code: 'ARTIFACT_NOT_AN_IMAGE' });
  });
});
