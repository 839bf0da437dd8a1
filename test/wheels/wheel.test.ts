// Wheels made here, installed by us; what counts is that Python and pip's rules for RECORD agree with the result.
import { createHash } from 'node:crypto';
import { mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, describe, expect, test } from 'vitest';
import { readZip } from '../../build/package/unzip.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { type Entry, fileOf, linkTo, makeTree, mergeTrees, type Tree, writeTree } from '../../build/tree/tree.ts';
import { compileBytecode } from '../../build/wheels/bytecode.ts';
import { BadWheel, installWheel, prefixLayout, withBytecode } from '../../build/wheels/wheel.ts';

const dir = await mkdtemp(join(tmpdir(), 'make-runtime-wheel-'));
afterAll(() => rm(dir, { recursive: true, force: true }));

const { stdout: found } = await execa('python3', [
  '-c',
  'import sys; print(*sys.version_info[:2], sep="."); print(sys.executable)',
]);
const [minor = '', python3 = ''] = found.split('\n');
const python = { version: `${minor}.0`, minor, executable: `python${minor}` };
const layout = prefixLayout(python);
const site = `lib/python${minor}/site-packages`;
const ctx = { signal: new AbortController().signal, env: process.env };

const wheel = (more: [string, Entry][] = []): Tree =>
  makeTree([
    ['sample/__init__.py', fileOf('def main():\n    print("hello from", __name__)\n    return 3\n')],
    ['sample/data, odd.txt', fileOf('x')],
    ['sample/broken.py', fileOf('def (:\n')],
    ['sample-1.0.dist-info/WHEEL', fileOf('Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n')],
    ['sample-1.0.dist-info/METADATA', fileOf('Metadata-Version: 2.1\nName: Sample\nVersion: 1.0\n\nName: no\n')],
    [
      'sample-1.0.dist-info/entry_points.txt',
      fileOf('[console_scripts]\nsample = sample:main\nlong-name=sample:main [extra]\n[other]\nno = sample:main\n'),
    ],
    ['sample-1.0.dist-info/RECORD', fileOf('stale')],
    ['sample-1.0.data/scripts/run', fileOf('#!python\nimport sample, sys\nprint("run", sys.argv[1:])\n')],
    ['sample-1.0.data/scripts/shell', fileOf('#!/bin/sh\necho shell\n')],
    ['sample-1.0.data/data/share/sample.txt', fileOf('shared')],
    ['sample-1.0.data/platlib/native.py', fileOf('x = 1\n')],
    ['sample-1.0.data/headers/sample.h', fileOf('')],
    ...more,
  ]);

test('files go where the format says', async () => {
  const { tree, name, version } = await installWheel(wheel(), layout);
  expect([name, version]).toEqual(['Sample', '1.0']);
  expect([...tree.entries.keys()]).toEqual([
    'bin/long-name',
    'bin/run',
    'bin/sample',
    'bin/shell',
    `include/python${minor}/Sample/sample.h`,
    `${site}/native.py`,
    `${site}/sample-1.0.dist-info/INSTALLER`,
    `${site}/sample-1.0.dist-info/METADATA`,
    `${site}/sample-1.0.dist-info/RECORD`,
    `${site}/sample-1.0.dist-info/WHEEL`,
    `${site}/sample-1.0.dist-info/entry_points.txt`,
    `${site}/sample/__init__.py`,
    `${site}/sample/broken.py`,
    `${site}/sample/data, odd.txt`,
    'share/sample.txt',
  ]);
});

describe('installed below a prefix', async () => {
  const prefix = join(dir, 'a prefix');
  const installed = await installWheel(await readZip(await zipBytes(wheel())), layout);
  const pycs = await compileBytecode(installed.tree, python3, ctx);
  const { tree } = await withBytecode(installed, layout, pycs);
  const interpreter = makeTree([[`bin/${python.executable}`, linkTo(await realpath(python3))]]);
  await writeTree(mergeTrees(tree, interpreter), prefix);
  const PYTHONPATH = join(prefix, site);

  test.each([
    ['sample', [], 'hello from sample', 3],
    ['run', ['a b', '$x'], "run ['a b', '$x']", 0],
    ['shell', [], 'shell', 0],
  ])('its command %s runs, through a link too, from wherever the prefix is', async (name, args, said, status) => {
    await symlink(join(prefix, 'bin', name), join(dir, name));
    for (const path of [join(prefix, 'bin', name), join(dir, name)]) {
      const result = await execa(path, args, { env: { PYTHONPATH }, reject: false });
      expect([result.stdout, result.exitCode]).toEqual([said, status]);
    }
  });

  test('Python sees an intact distribution', async () => {
    const program = [
      'import importlib.metadata as m, hashlib, base64, os',
      'd = m.distribution("sample")',
      'for f in d.files:',
      '    data = f.locate().read_bytes()',
      '    assert f.hash is None or f.hash.value == base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode(), f',
      '    assert f.size is None or f.size == len(data), f',
      'print(d.version, len(d.files), sorted(str(f) for f in d.files if f.hash is None), d.read_text("INSTALLER").strip())',
    ].join('\n');
    const { stdout } = await execa('python3', ['-B', '-c', program], { env: { PYTHONPATH } });
    const cached = [...pycs.entries.keys()].map((path) => path.slice(site.length + 1));
    expect(stdout).toBe(
      `1.0 ${tree.entries.size} ${JSON.stringify([...cached, 'sample-1.0.dist-info/RECORD'].sort())
        .replaceAll('"', "'")
        .replaceAll(',', ', ')} make-runtime`,
    );
  });

  test('bytecode never looks at its source, and says nothing of where it was compiled', async () => {
    expect([...pycs.entries.keys()].map((path) => path.replace(/\.cpython-\d+/, ''))).toEqual([
      `${site}/__pycache__/native.pyc`,
      `${site}/sample/__pycache__/__init__.pyc`,
    ]);
    for (const entry of pycs.entries.values()) {
      const bytes = Buffer.from(await (entry as Extract<Entry, { kind: 'file' }>).read());
      expect(bytes.readUInt32LE(4)).toBe(1);
      expect(bytes.includes('make-runtime-pyc')).toBe(false);
      expect(bytes.includes(`/opt/lang/${site}`)).toBe(true);
    }
  });

  test('twice the same bytes', async () => {
    const digest = async (one: Tree): Promise<string> =>
      createHash('sha256')
        .update(await zipBytes(one))
        .digest('hex');
    const again = await withBytecode(
      await installWheel(wheel(), layout),
      layout,
      await compileBytecode(installed.tree, python3, ctx),
    );
    expect(await digest(again.tree)).toBe(await digest(tree));
  });
});

test.each<[string, Tree, string]>([
  ['no wheel', makeTree([['x.py', fileOf('')]]), 'no .dist-info/WHEEL'],
  ['a newer format', wheel([['sample-1.0.dist-info/WHEEL', fileOf('Wheel-Version: 2.0\n')]]), 'version 2'],
  ['an unknown kind of file', wheel([['sample-1.0.data/elsewhere/x', fileOf('')]]), 'no kind that can be installed'],
  ['a symbolic link', wheel([['sample/passwd', linkTo('/etc/passwd')]]), 'symbolic link'],
])('refused: %s', async (_, tree, words) => {
  const error = await installWheel(tree, layout).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(BadWheel);
  expect((error as Error).message).toContain(words);
});
