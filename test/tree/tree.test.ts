import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  emptyTree,
  fileOf,
  filterTree,
  linkTo,
  makeTree,
  mergeTrees,
  placeTree,
  readTree,
  resolvePath,
  sizesByFolder,
  subTree,
  treeSize,
  writeTree,
} from '../../build/tree/tree.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tree-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const paths = (tree: { entries: ReadonlyMap<string, unknown> }) => [...tree.entries.keys()];

test('paths are sorted by their bytes, as LC_ALL=C sort does', () => {
  // By UTF-16 unit the emoji (a surrogate pair, d83d) would come before U+FF21; by byte it comes after.
  const tree = makeTree(
    ['a/b', 'a-b', 'a', 'B', '\u{1f40d}', 'Ａ', 'z'].filter((p) => p !== 'a').map((p) => [p, fileOf('')]),
  );
  expect(paths(tree)).toEqual(['B', 'a-b', 'a/b', 'z', 'Ａ', '\u{1f40d}']);
});

test.each(['', '/etc/passwd', 'a//b', './a', 'a/../b', 'a/', 'nul\0'])('the path %j is refused', (path) => {
  expect(() => makeTree([[path, fileOf('')]])).toThrow(/The path .* (is|has|holds)/);
});

test('a file cannot also be a folder', () => {
  expect(() =>
    makeTree([
      ['a', linkTo('/etc')],
      ['a-', fileOf('')],
      ['a/passwd', fileOf('')],
    ]),
  ).toThrow('a is a file');
});

test('what is written is what was read, with exact modes under any umask, and links as links', async () => {
  const before = process.umask(0o077);
  try {
    const tree = makeTree([
      ['bin/run', fileOf('#!/bin/sh\n', 0o755)],
      ['lib/data.txt', fileOf('text')],
      ['lib/link', linkTo('data.txt')],
      ['lib/dangling', linkTo('../nowhere')],
    ]);
    const folder = join(scratch, 'written');
    await writeTree(tree, folder);
    expect((await stat(join(folder, 'bin/run'))).mode & 0o777).toBe(0o755);
    expect((await stat(join(folder, 'lib/data.txt'))).mode & 0o777).toBe(0o644);
    expect((await stat(join(folder, 'lib'))).mode & 0o777).toBe(0o755);
    expect((await stat(folder)).mode & 0o777).toBe(0o755);
    expect(await readlink(join(folder, 'lib/dangling'))).toBe('../nowhere');
    const again = await readTree(folder);
    expect(paths(again)).toEqual(paths(tree));
    const file = again.entries.get('lib/data.txt');
    expect(file).toMatchObject({ kind: 'file', mode: 0o644, size: 4 });
    expect(file?.kind === 'file' && Buffer.from(await file.read()).toString()).toBe('text');
  } finally {
    process.umask(before);
  }
});

test('reading normalises modes: any execute bit is 0755', async () => {
  const folder = join(scratch, 'modes');
  await mkdir(join(folder, 'empty'), { recursive: true });
  await writeFile(join(folder, 'odd'), '', { mode: 0o701 });
  await writeFile(join(folder, 'secret'), '', { mode: 0o600 });
  await symlink('odd', join(folder, 'link'));
  const { entries } = await readTree(folder);
  expect([...entries].map(([path, entry]) => [path, entry.kind === 'file' ? entry.mode : entry.target])).toEqual([
    ['link', 'odd'],
    ['odd', 0o755],
    ['secret', 0o644],
  ]);
});

test('a write that fails or is stopped leaves nothing behind', async () => {
  const parent = join(scratch, 'atomic');
  const broken = { ...fileOf('x'), read: () => Promise.reject(new Error('gone')) };
  await expect(
    writeTree(
      makeTree([
        ['a', fileOf('a')],
        ['b', broken],
      ]),
      join(parent, 'out'),
    ),
  ).rejects.toThrow('gone');
  const stopped = AbortSignal.abort();
  await expect(writeTree(makeTree([['a', fileOf('a')]]), join(parent, 'out'), stopped)).rejects.toMatchObject({
    code: 'CANCELLED',
  });
  expect(await readdir(parent)).toEqual([]);
});

test('a folder with something in it is not written over', async () => {
  const folder = join(scratch, 'full');
  await mkdir(folder);
  await writeFile(join(folder, 'mine'), 'kept');
  await expect(writeTree(makeTree([['a', fileOf('a')]]), folder)).rejects.toThrow(/ENOTEMPTY|EEXIST/);
  expect(await readFile(join(folder, 'mine'), 'utf8')).toBe('kept');
});

test('merge, place, sub and filter give new trees', () => {
  const tree = makeTree([
    ['bin/x', fileOf('old')],
    ['lib/y', fileOf('y')],
  ]);
  const merged = mergeTrees(tree, makeTree([['bin/x', fileOf('newer')]]));
  expect(merged.entries.get('bin/x')).toMatchObject({ size: 5 });
  expect(tree.entries.get('bin/x')).toMatchObject({ size: 3 });
  const placed = placeTree(tree, 'lang');
  expect(paths(placed)).toEqual(['lang/bin/x', 'lang/lib/y']);
  expect(paths(subTree(placed, 'lang/lib'))).toEqual(['y']);
  expect(paths(filterTree(tree, (path) => path.startsWith('lib/')))).toEqual(['lib/y']);
  expect(treeSize(emptyTree)).toEqual({ files: 0, bytes: 0 });
});

test('sizes by folder are cut to a depth, biggest first, and add up', () => {
  const tree = makeTree([
    ['top', fileOf('12')],
    ['a/b/c/deep', fileOf('12345')],
    ['a/b/other', fileOf('1234567')],
    ['z/link', linkTo('top')],
  ]);
  expect(sizesByFolder(tree, 2)).toEqual([
    { folder: 'a/b', files: 2, bytes: 12 },
    { folder: 'z', files: 1, bytes: 3 },
    { folder: '.', files: 1, bytes: 2 },
  ]);
  expect(treeSize(tree)).toEqual({ files: 4, bytes: 17 });
});

test('links are followed inside the tree and not out of it', () => {
  const tree = makeTree([
    ['lang/bin/python', fileOf('', 0o755)],
    ['lang/alias', linkTo('bin')],
    ['bootstrap', linkTo('lang/alias/python')],
    ['bin/python3', linkTo('../lang/bin/python')],
    ['absolute', linkTo('/opt/bootstrap')],
    ['outside', linkTo('/bin/sh')],
    ['above', linkTo('../../etc/passwd')],
    ['prefix', linkTo('/optional/x')],
    ['loop', linkTo('loop')],
    ['nowhere', linkTo('missing')],
  ]);
  for (const path of ['bootstrap', 'bin/python3', 'absolute', 'lang/bin/python']) {
    expect(resolvePath(tree, path)).toBe('lang/bin/python');
  }
  for (const path of ['outside', 'above', 'prefix', 'loop', 'nowhere', 'lang/bin']) {
    expect(resolvePath(tree, path)).toBeUndefined();
  }
});
