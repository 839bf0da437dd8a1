// GNU tar is the judge: what we write, it reads back as the same files.
import { createHash } from 'node:crypto';
import { lstat, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, expect, test } from 'vitest';
import { type TarMember, tarChunks, tarMembers } from '../../build/image/tar.ts';
import { fileOf, linkTo, makeTree, readTree, type Tree } from '../../build/tree/tree.ts';

const dir = await mkdtemp(join(tmpdir(), 'make-runtime-tar-'));
afterAll(() => rm(dir, { recursive: true, force: true }));

const epoch = 1_767_225_600;

async function pack(members: Iterable<TarMember>, when = epoch): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of tarChunks(members, when)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function contents(tree: Tree): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [path, entry] of tree.entries)
    found[path] =
      entry.kind === 'link'
        ? `-> ${entry.target}`
        : `${entry.mode.toString(8)} ${Buffer.from(await entry.read()).toString('base64')}`;
  return found;
}

const long = (length: number) => 'x'.repeat(length);
const tree = makeTree([
  ['a/file', fileOf('text')],
  ['a/program', fileOf('#!/bin/sh\n', 0o755)],
  ['a/empty', fileOf('')],
  ['a/exact', fileOf(Buffer.alloc(1024, 1))],
  ['link', linkTo('a/file')],
  ['absolute', linkTo('/var/lang/bin/python3')],
  [`a/${long(98)}`, fileOf('100 bytes of name')],
  [`a/${long(99)}`, fileOf('101: split between prefix and name')],
  [`${long(155)}/${long(100)}`, fileOf('as much as the header holds')],
  [`${long(156)}/${long(100)}`, fileOf('one more')],
  [`b/${long(200)}`, fileOf('a name that cannot be split')],
  ['ünï/cödé-😀', fileOf('not ASCII')],
  [`ünï/${'ö'.repeat(80)}`, fileOf('long and not ASCII')],
  ['far', linkTo(`a/${long(150)}`)],
  ['umlaut', linkTo('ünï/cödé-😀')],
]);

test('GNU tar reads back every name, mode, link and content', async () => {
  const bytes = await pack(tarMembers(tree, ['var/task']));
  expect(bytes.length % 512).toBe(0);
  const folder = join(dir, 'back');
  await execa('mkdir', [folder]);
  await execa('tar', ['-xpf', '-', '-C', folder], { input: bytes, env: { LC_ALL: 'C.UTF-8' } });
  expect(await contents(await readTree(folder))).toEqual(await contents(tree));
  const task = await lstat(join(folder, 'var/task'));
  expect([task.isDirectory(), task.mode & 0o777, task.mtimeMs]).toEqual([true, 0o755, epoch * 1000]);
});

test('owners are numbers, folders come before what is in them, order is by bytes', async () => {
  const { stdout } = await execa('tar', ['--numeric-owner', '--utc', '-tvf', '-'], {
    input: await pack(
      tarMembers(
        makeTree([
          ['b/c', fileOf('x', 0o755)],
          ['B', linkTo('b/c')],
          ['a', fileOf('')],
        ]),
        ['z'],
      ),
    ),
  });
  expect(stdout.split('\n')).toEqual([
    expect.stringMatching(/^lrwxrwxrwx 0\/0 +0 2026-01-01 00:00 B -> b\/c$/),
    expect.stringMatching(/^-rw-r--r-- 0\/0 +0 2026-01-01 00:00 a$/),
    expect.stringMatching(/^drwxr-xr-x 0\/0 +0 2026-01-01 00:00 b\/$/),
    expect.stringMatching(/^-rwxr-xr-x 0\/0 +1 2026-01-01 00:00 b\/c$/),
    expect.stringMatching(/^drwxr-xr-x 0\/0 +0 2026-01-01 00:00 z\/$/),
  ]);
});

test('the bytes are a function of the members', async () => {
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const once = sha256(await pack(tarMembers(tree)));
  expect(sha256(await pack(tarMembers(makeTree([...tree.entries].reverse()))))).toBe(once);
  expect(sha256(await pack(tarMembers(tree), epoch + 1))).not.toBe(once);
});

test('a file of 8 GiB and more is announced in full', async () => {
  const size = 2 ** 33 + 1;
  const member: TarMember = { kind: 'file', path: 'huge', mode: 0o644, size, content: async () => Buffer.alloc(0) };
  const chunks = tarChunks([member], epoch);
  const head = Buffer.from((await chunks.next()).value as Uint8Array);
  const { stdout } = await execa('tar', ['-tvf', '-'], { input: head, reject: false });
  expect(stdout).toContain(` ${size} `);
});

test('a file that changed while it was packed is a bug, and said so', async () => {
  const member: TarMember = { kind: 'file', path: 'x', mode: 0o644, size: 5, content: async () => Buffer.from('four') };
  await expect(pack([member])).rejects.toThrow('x has 4 bytes, not 5');
});

test('stops when it is told to', async () => {
  const abort = new AbortController();
  abort.abort();
  const chunks = tarChunks(tarMembers(tree), epoch, abort.signal);
  await expect(chunks.next()).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('the own source is readable as an archive', async () => {
  const own = await readTree(join(import.meta.dirname, '../../build/image'));
  const input = await pack(tarMembers(own));
  const { stdout } = await execa('tar', ['-xOf', '-', 'tar.ts'], { input, stripFinalNewline: false });
  expect(stdout).toBe(await readFile(join(import.meta.dirname, '../../build/image/tar.ts'), 'utf8'));
});
