// Layouts from small trees: every digest, size and name in them is followed by this test itself. The programs that
// people use on images are the judges in test/slow.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { archiveImage } from '../../build/image/archive.ts';
import { type Base, openBase } from '../../build/image/base.ts';
import { type ImageInput, packageImage } from '../../build/image/image.ts';
import { runtimeTree } from '../../build/image/place.ts';
import { ociIndex } from '../../build/registry/oci.ts';
import { fileOf, linkTo, makeTree } from '../../build/tree/tree.ts';
import { digestOf, sampleImage, scriptedRegistry } from '../registry/support/scripted.ts';
import { type TestContext, testContext } from '../source/support/context.ts';
import { samplePlan } from '../verify/sample-plan.ts';
import { hostArch, otherArch } from '../verify/subjects.ts';
import { baseTar, type LayoutImage, writeLayout } from './support/layouts.ts';

const plan = samplePlan({ arch: hostArch, epoch: 1_767_225_600 });
let dir: string;
let ctx: TestContext;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-image-'));
  ctx = await testContext();
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
  await ctx[Symbol.asyncDispose]();
});

const layerTree = makeTree([
  ['bootstrap', linkTo('lang/bin/python3.13t')],
  ['bin/python3', linkTo('../lang/bin/python3.13t')],
  ['lang/bin/python3.13t', fileOf('program', 0o755)],
  ['lang/lib/python3.13t/os.py', fileOf('os')],
  ['extensions/watcher', fileOf('an addition', 0o755)],
]);
const python = { version: '3.13.15', minor: '3.13', executable: 'python3.13t' };

const input = (more: Partial<ImageInput> = {}): ImageInput => ({
  plan,
  layers: [{ about: 'Python', tree: runtimeTree(layerTree, python), folders: ['var/task'] }],
  base: undefined,
  format: 'oci',
  name: 'my/python:3.13',
  folder: join(dir, 'out', 'image'),
  ...more,
});

interface Document {
  readonly mediaType: string;
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly mediaType: string; readonly digest: string; readonly size: number }[];
  readonly rootfs: { readonly diff_ids: readonly string[] };
  readonly history: readonly unknown[];
  readonly manifests: readonly {
    readonly digest: string;
    readonly size: number;
    readonly annotations: Record<string, string>;
  }[];
}

/** Follows every digest from index.json down. */
async function followed(folder: string) {
  const blob = async (digest: string): Promise<Buffer> => {
    const bytes = await readFile(join(folder, 'blobs', 'sha256', digest.slice(7)));
    expect(`sha256:${createHash('sha256').update(bytes).digest('hex')}`).toBe(digest);
    return bytes;
  };
  const json = async (digest: string): Promise<Document> => JSON.parse((await blob(digest)).toString());
  expect(JSON.parse(await readFile(join(folder, 'oci-layout'), 'utf8'))).toEqual({ imageLayoutVersion: '1.0.0' });
  const index: Document = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8'));
  expect(index.manifests).toHaveLength(1);
  const manifest = await json(index.manifests[0]!.digest);
  expect((await blob(index.manifests[0]!.digest)).length).toBe(index.manifests[0]!.size);
  const config = await json(manifest.config.digest);
  expect(config.rootfs.diff_ids).toHaveLength(manifest.layers.length);
  expect(config.history).toHaveLength(manifest.layers.length);
  const files: string[][] = [];
  for (const [at, { digest, size }] of manifest.layers.entries()) {
    const bytes = await blob(digest);
    expect(bytes.length).toBe(size);
    const tar = gunzipSync(bytes);
    expect(digestOf(tar)).toBe(config.rootfs.diff_ids[at]);
    files.push((await execa('tar', ['-tf', '-'], { input: tar })).stdout.split('\n'));
  }
  const named = [index.manifests[0]!.digest, manifest.config.digest, ...manifest.layers.map(({ digest }) => digest)];
  expect((await readdir(join(folder, 'blobs', 'sha256'))).sort()).toEqual(named.map((one) => one.slice(7)).sort());
  return { index, manifest, config, files };
}

describe('a layout', () => {
  test('from scratch, with everything where an image has it', async () => {
    const image = await packageImage(input(), ctx);
    const { index, manifest, files } = await followed(image.path);
    expect(image).toMatchObject({ kind: 'image', digest: index.manifests[0]!.digest, base: undefined });
    expect(index.manifests[0]!.annotations).toEqual({
      'io.containerd.image.name': 'docker.io/my/python:3.13',
      'org.opencontainers.image.ref.name': '3.13',
    });
    expect(manifest.mediaType).toBe('application/vnd.oci.image.manifest.v1+json');
    expect(files[0]).toEqual([
      'lambda-entrypoint.sh',
      'opt/',
      'opt/extensions/',
      'opt/extensions/watcher',
      'var/',
      'var/lang/',
      'var/lang/bin/',
      'var/lang/bin/python',
      'var/lang/bin/python3',
      'var/lang/bin/python3.13',
      'var/lang/bin/python3.13t',
      'var/lang/lib/',
      'var/lang/lib/python3.13t/',
      'var/lang/lib/python3.13t/os.py',
      'var/runtime/',
      'var/runtime/bootstrap',
      'var/task/',
    ]);
  });

  test('in Docker’s media types', async () => {
    const { path } = await packageImage(input({ format: 'docker' }), ctx);
    const { manifest } = await followed(path);
    expect(manifest).toMatchObject({
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: { mediaType: 'application/vnd.docker.container.image.v1+json' },
      layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip' }],
    });
  });

  test('the same input, the same digest; another one, another', async () => {
    const { digest } = await packageImage(input(), ctx);
    expect((await packageImage(input({ folder: join(dir, 'elsewhere') }), ctx)).digest).toBe(digest);
    const other = { ...plan, epoch: plan.epoch + 1 };
    expect((await packageImage(input({ plan: other, folder: join(dir, 'other') }), ctx)).digest).not.toBe(digest);
  });

  test('replaces an older one, and nothing else', async () => {
    const older = await packageImage(input(), ctx);
    const newer = await packageImage(input({ format: 'docker' }), ctx);
    expect(newer.digest).not.toBe(older.digest);
    await followed(newer.path);
    expect(await readdir(join(dir, 'out'))).toEqual(['image']);

    const folder = join(dir, 'precious');
    await mkdir(folder);
    await writeFile(join(folder, 'diary.txt'), 'x');
    await expect(packageImage(input({ folder }), ctx)).rejects.toMatchObject({ code: 'USAGE' });
    await expect(packageImage(input({ folder: join(folder, 'diary.txt') }), ctx)).rejects.toMatchObject({
      code: 'USAGE',
    });
    expect(await readdir(folder)).toEqual(['diary.txt']);
  });

  test('a run that is stopped half-way leaves the older one', async () => {
    const older = await packageImage(input(), ctx);
    const abort = new AbortController();
    const report = () => abort.abort();
    const stopped = packageImage(input({ format: 'docker' }), { report, signal: abort.signal });
    await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' });
    const { index } = await followed(older.path);
    expect(index.manifests[0]!.digest).toBe(older.digest);
    expect(await readdir(join(dir, 'out'))).toEqual(['image']);
  });

  test('what a killed run left is cleared away by the next', async () => {
    const dead = join(dir, 'out', 'image.999999999.partial');
    await mkdir(dead, { recursive: true });
    await packageImage(input(), ctx);
    expect(await readdir(join(dir, 'out'))).toEqual(['image']);
  });
});

describe('an archive', () => {
  test('is the layout, and what docker load wants beside it', async () => {
    const image = await packageImage(input(), ctx);
    const target = join(dir, 'out', 'image.tar');
    await archiveImage(image, target, { name: 'my/python:3.13', epoch: plan.epoch }, ctx);
    const folder = join(dir, 'back');
    await mkdir(folder);
    await execa('tar', ['-xf', target, '-C', folder]);
    const docker = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
    expect(docker).toEqual([
      { Config: expect.any(String), RepoTags: ['my/python:3.13'], Layers: [expect.any(String)] },
    ]);
    for (const path of [docker[0].Config, ...docker[0].Layers])
      expect((await stat(join(folder, path))).isFile()).toBe(true);
    await rm(join(folder, 'manifest.json'));
    await followed(folder);
    const again = join(dir, 'again.tar');
    await archiveImage(image, again, { name: 'my/python:3.13', epoch: plan.epoch }, ctx);
    expect((await readFile(again)).equals(await readFile(target))).toBe(true);
  });
});

describe('a base in a folder', () => {
  const made = async (...images: LayoutImage[]) => {
    const folder = await mkdtemp(join(dir, 'base-'));
    await writeLayout(folder, images);
    return folder;
  };
  const open = (spec: string, arch = hostArch): Promise<Base | undefined> => openBase(spec, arch, ctx);

  test('goes below our layers', async () => {
    const folder = await made({});
    const base = await open(`layout:${folder}`);
    const image = await packageImage(input({ base }), ctx);
    const { config, files } = await followed(image.path);
    expect(files.map((list) => list[0])).toEqual(['base.txt', 'lambda-entrypoint.sh']);
    expect(config).toMatchObject({ config: { Labels: { vendor: 'test' } } });
    expect(JSON.stringify(config)).not.toContain('"sh"');
    expect(JSON.stringify(config)).not.toContain(folder);
    expect(image.base).toBe(base?.digest);
  });

  test('bare tar layers are compressed, others stay as they are', async () => {
    const bare = { layerType: 'application/vnd.oci.image.layer.v1.tar', compress: (bytes: Buffer) => bytes };
    const base = await open(`layout:${await made(bare)}`);
    const { manifest } = await followed((await packageImage(input({ base }), ctx)).path);
    expect(manifest.layers[0]!.mediaType).toBe('application/vnd.oci.image.layer.v1.tar+gzip');
    expect(manifest.layers[0]!.digest).not.toBe(base?.layers[0]?.digest);
  });

  test('one without history gets one row for each layer', async () => {
    const base = await open(`layout:${await made({ more: { history: undefined } })}`);
    const { config } = await followed((await packageImage(input({ base }), ctx)).path);
    expect(config.history).toHaveLength(2);
  });

  test('several: the one for the architecture, or the one that is named', async () => {
    const foreign = { architecture: hostArch === 'arm64' ? 'amd64' : 'arm64', tag: 'theirs' };
    const folder = await made(foreign, { tag: 'ours' });
    expect((await open(`layout:${folder}`))?.config.architecture).not.toBe(foreign.architecture);
    expect((await open(`layout:${folder}`, otherArch))?.config.architecture).toBe(foreign.architecture);
    expect((await open(`layout:${folder}:ours`))?.name).toBe(`ours in the layout ${folder}`);
    await expect(open(`layout:${folder}:theirs`)).rejects.toMatchObject({ code: 'BASE_WRONG_ARCH' });
    await expect(open(`layout:${folder}:other`)).rejects.toMatchObject({
      code: 'BASE_NOT_FOUND',
      remedy: 'It has: theirs, ours.',
    });
  });

  test('an index inside of the folder is followed, attestations are not', async () => {
    const folder = await made({ nested: true });
    expect((await open(`layout:${folder}`))?.layers).toHaveLength(1);
    await expect(open(`layout:${folder}`, otherArch)).rejects.toMatchObject({
      code: 'BASE_WRONG_ARCH',
      detail: `it has linux/${hostArch === 'arm64' ? 'arm64' : 'amd64'}`,
    });
  });

  const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
  test.each<[string, LayoutImage, string, string]>([
    ['zstd by type', { layerType: 'application/vnd.oci.image.layer.v1.tar+zstd' }, 'BASE_UNSUPPORTED', 'zstd'],
    ['zstd under another name', { compress: (tar: Buffer) => Buffer.concat([magic, tar]) }, 'BASE_UNSUPPORTED', 'zstd'],
    [
      'a foreign layer',
      { layerType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' },
      'BASE_UNSUPPORTED',
      'may not be distributed',
    ],
    ['no image at all', { layerType: 'application/vnd.cncf.helm.chart' }, 'BASE_UNSUPPORTED', 'helm'],
    ['another architecture', { architecture: 's390x' }, 'BASE_WRONG_ARCH', 's390x'],
    ['another system', { os: 'windows' }, 'BASE_WRONG_ARCH', 'windows'],
    [
      'layers that are not counted',
      { more: { rootfs: { type: 'layers', diff_ids: [] } } },
      'BASE_UNSUPPORTED',
      '1 layers',
    ],
    ['no configuration', { more: { rootfs: 'none' } }, 'BASE_UNSUPPORTED', 'configuration'],
    ['schema 1', { manifest: '{"schemaVersion":1,"fsLayers":[]}' }, 'BASE_UNSUPPORTED', 'schema 1'],
    ['a manifest that is none', { manifest: '[]' }, 'BASE_UNSUPPORTED', 'manifest'],
    ['a manifest that is not JSON', { manifest: '{' }, 'BASE_UNSUPPORTED', 'not JSON'],
  ])('refused: %s', async (_, image, code, words) => {
    const error = await open(`layout:${await made(image)}`).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code, message: expect.stringContaining(words), remedy: expect.any(String) });
  });

  test('damaged and missing blobs', async () => {
    const folder = await made({});
    const blobs = join(folder, 'blobs', 'sha256');
    const { layer, config } = sampleImage(baseTar);
    for (const bytes of [layer, config]) {
      const path = join(blobs, digestOf(bytes).slice(7));
      await writeFile(path, bytes.subarray(0, -1));
      await expect(open(`layout:${folder}`)).rejects.toMatchObject({
        code: 'BASE_DAMAGED',
        detail: expect.stringContaining(`${bytes.length - 1} bytes`),
      });
      await rm(path);
      await expect(open(`layout:${folder}`)).rejects.toMatchObject({
        code: 'BASE_DAMAGED',
        detail: `${digestOf(bytes)} is missing`,
      });
      await writeFile(path, bytes);
    }
    expect(await open(`layout:${folder}`)).toBeDefined();
  });

  test.each(['layout:/nowhere', 'layout:/nowhere:tag'])('%s', async (spec) => {
    await expect(open(spec)).rejects.toMatchObject({
      code: 'BASE_NOT_FOUND',
      remedy: expect.stringContaining('skopeo'),
    });
  });
});

describe('a base in a registry', () => {
  const image = sampleImage(baseTar);
  const other = sampleImage(Buffer.alloc(1024, 'other'), { compress: gzipSync });
  const row = (bytes: Buffer, platform: Record<string, string> | undefined) => ({
    mediaType: image.mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
    ...(platform && { platform }),
  });
  const own = hostArch === 'arm64' ? 'arm64' : 'amd64';
  const index = (rows: unknown[]) => ({
    bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: rows })),
    mediaType: ociIndex,
  });

  test('an index: the platform’s own manifest is pulled, and no other', async () => {
    await using server = await scriptedRegistry(
      {
        tag: index([
          row(other.manifest, { os: 'linux', architecture: 's390x' }),
          row(other.manifest, { os: 'unknown', architecture: 'unknown' }),
          row(image.manifest, { os: 'linux', architecture: own }),
        ]),
        ours: { bytes: image.manifest, mediaType: image.mediaType },
        theirs: { bytes: other.manifest, mediaType: image.mediaType },
      },
      [image.config, image.layer, other.config, other.layer],
    );
    const base = await openBase(`${server.host}/base:tag`, hostArch, ctx);
    expect(base).toMatchObject({ digest: digestOf(image.manifest), layers: [{ digest: digestOf(image.layer) }] });
    expect(server.seen.map(({ url }) => url)).not.toContainEqual(expect.stringContaining(digestOf(other.layer)));
    await expect(openBase(`${server.host}/base:tag`, otherArch, ctx)).rejects.toMatchObject({
      code: 'BASE_WRONG_ARCH',
      detail: `it has linux/s390x, linux/${own}`,
    });
  });

  test('pulled once, then taken from the cache, also offline when it is named by its digest', async () => {
    await using server = await scriptedRegistry({ tag: { bytes: image.manifest, mediaType: image.mediaType } }, [
      image.config,
      image.layer,
    ]);
    await openBase(`${server.host}/base:tag`, hostArch, ctx);
    const pulled = server.seen.length;
    const pinned = `${server.host}/base@${digestOf(image.manifest)}`;
    expect(await openBase(pinned, hostArch, { ...ctx, offline: true })).toMatchObject({
      layers: [{ compressed: true }],
    });
    expect(server.seen).toHaveLength(pulled);
  });
});
