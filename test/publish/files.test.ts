// The files people commit: that they say what is published, and keep what a run did not reach. Whether their own parsers
// take them is test/slow/publish-files.test.ts's question.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeFiles } from '../../build/publish/files.ts';
import type { LayerVersionContent } from '../../build/publish/layer-region.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-files-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function version(name: string, region: string, number: number): LayerVersionContent {
  return {
    version: number,
    arn: `arn:aws:lambda:${region}:123456789012:layer:${name}:${number}`,
    created: '2026-11-21T18:00:00.000+0000',
    codeSha256: 'AAAA',
    size: 12,
    location: 'https://signed.example.com/?X-Amz-Signature=no',
    metadata: { description: 'ours | plan', runtimes: ['provided.al2023'], architectures: ['arm64'], licence: 'MIT' },
  };
}
const all = async (folder: string): Promise<Record<string, string>> =>
  Object.fromEntries(
    await Promise.all((await readdir(folder)).map(async (name) => [name, await readFile(join(folder, name), 'utf8')])),
  );

test('what is published, in every notation; signed addresses in none', async () => {
  const folder = join(dir, 'one');
  const regions = ['us-east-1', 'eu-west-1'];
  const paths = await writeFiles(folder, 'py', new Map(regions.map((region) => [region, version('py', region, 3)])));
  const files = await all(folder);
  expect(paths.map((path) => path.slice(folder.length + 1)).sort()).toEqual(Object.keys(files).sort());
  for (const [name, text] of Object.entries(files)) {
    for (const region of regions) expect(text, name).toContain(`arn:aws:lambda:${region}:123456789012:layer:py:3`);
    expect(text.indexOf('eu-west-1'), name).toBeLessThan(text.indexOf('us-east-1'));
    expect(text).not.toContain('Signature');
  }
});

test('a later run brings up to date what it reached, and keeps the rest', async () => {
  const folder = join(dir, 'two');
  await writeFiles(
    folder,
    'py',
    new Map(['us-east-1', 'eu-west-1'].map((region) => [region, version('py', region, 3)])),
  );
  await writeFiles(folder, 'py', new Map([['us-east-1', version('py', 'us-east-1', 4)]]));
  await writeFiles(folder, 'other', new Map([['us-east-1', version('other', 'us-east-1', 1)]]));
  const before = await all(folder);
  await writeFiles(folder, 'other', new Map([['us-east-1', version('other', 'us-east-1', 1)]]));
  expect(await all(folder)).toEqual(before);
  for (const [name, text] of Object.entries(before)) {
    for (const arn of ['us-east-1:123456789012:layer:py:4', 'eu-west-1:123456789012:layer:py:3', 'layer:other:1'])
      expect(text, name).toContain(arn);
    expect(text, name).not.toContain('us-east-1:123456789012:layer:py:3');
  }
});

test('names that come to the same logical id', async () => {
  const folder = join(dir, 'three');
  for (const name of ['a-b', 'a_b', 'A-b', '1']) {
    await writeFiles(folder, name, new Map([['us-east-1', version(name, 'us-east-1', 1)]]));
  }
  const { 'layers.mapping.yaml': yaml = '' } = await all(folder);
  const ids = [...yaml.matchAll(/^ {2}(\w+):$/gm)].map(([, id]) => id);
  expect(new Set(ids).size).toBe(4);
  expect(ids.every((id) => /^[A-Za-z0-9]+$/.test(id ?? ''))).toBe(true);
});

test.each(['not json', '{"layers": {"x": {"y": {"arn": 1}}}}', '[]', 'null', '{"layers": {"x": null}}'])(
  'a layers.json that is not ours is left alone: %s',
  async (text) => {
    const folder = await mkdtemp(join(dir, 'foreign-'));
    await writeFile(join(folder, 'layers.json'), text);
    await expect(writeFiles(folder, 'py', new Map())).rejects.toMatchObject({ code: 'USAGE' });
    expect(await all(folder)).toEqual({ 'layers.json': text });
  },
);
