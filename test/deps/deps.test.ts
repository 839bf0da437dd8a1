// `make-runtime deps` as a user gets it wrong: before anything is fetched, with a code and a remedy.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exitStatus } from '../../build/lib/errors.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { fileOf, linkTo, makeTree } from '../../build/tree/tree.ts';

const root = join(import.meta.dirname, '../..');
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-deps-'));
  await writeFile(join(dir, 'requirements.txt'), 'x\n');
  await mkdir(join(dir, 'src'));
  const foreign = makeTree([
    ['bootstrap', linkTo('bin/python3')],
    ['bin/python3', fileOf('#!/bin/sh\n', 0o755)],
  ]);
  await writeFile(join(dir, 'foreign.zip'), await zipBytes(foreign));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test.each<[string, string[], number, string]>([
  ['no layer', ['-r', 'requirements.txt', '--for', 'none.zip'], exitStatus.ARTIFACT_NOT_FOUND, 'none.zip'],
  ['no requirements', ['--for', 'foreign.zip'], exitStatus.USAGE, 'Which packages?'],
  [
    'a layer with code',
    ['-r', 'requirements.txt', '--for', 'foreign.zip', '--layer', '--code', 'src'],
    exitStatus.USAGE,
    'A layer has packages only',
  ],
  [
    'somebody else’s layer',
    ['-r', 'requirements.txt', '--for', 'foreign.zip'],
    exitStatus.ARTIFACT_NOT_A_LAYER,
    'not built by',
  ],
  ['no --for', ['-r', 'requirements.txt'], exitStatus.USAGE, "required option '--for"],
])('%s', async (_, args, status, said) => {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [join(root, 'dist/cli.js'), 'deps', ...args], {
    cwd: dir,
    reject: false,
    env: { MAKE_RUNTIME_CACHE: join(dir, 'cache') },
  });
  expect([exitCode, stdout]).toEqual([status, '']);
  expect(stderr).toContain(said);
  expect(stderr).not.toContain('mistake in make-runtime');
});
