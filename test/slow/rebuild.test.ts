// `verify --rebuild` for real: one interpreter is compiled again with nothing cached, beside a layer that was tampered
// with. That exactly the one file is found proves both, that it looks and that everything else is the same.
// MAKE_RUNTIME_TEST_CACHE as in build.test.ts.
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect } from 'vitest';
import { exitStatus } from '../../build/lib/errors.ts';
import { readZip } from '../../build/package/unzip.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { fileOf, makeTree, mergeTrees } from '../../build/tree/tree.ts';
import { thoroughTest } from '../support/thorough.ts';

const root = join(import.meta.dirname, '..', '..');
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-again-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const run = (args: string[]) =>
  execa(process.execPath, [join(root, 'dist/cli.js'), ...args], {
    cwd: dir,
    reject: false,
    input: '',
    env: { MAKE_RUNTIME_CACHE: process.env['MAKE_RUNTIME_TEST_CACHE'] ?? join(dir, 'cache'), CI: '1' },
  });

thoroughTest('a layer that was tampered with is told from the one its plan gives', async () => {
  const built = await run(['build', '3.13', '--engine', 'host', '--output', join(dir, 'out')]);
  expect(built.exitCode, built.stderr).toBe(0);
  const layer = built.stdout.trim();
  const image = await run(['image', layer, '--base', 'scratch', '--output', join(dir, 'out')]);
  expect(image.exitCode, image.stderr).toBe(0);
  const other = join(dir, 'tampered');
  await cp(dirname(layer), other, { recursive: true });
  // A text that no check looks into.
  const path = 'lang/lib/python3.13/LICENSE.txt';
  const tampered = mergeTrees(await readZip(layer), makeTree([[path, fileOf('Do as you like.\n')]]));
  await writeFile(join(other, 'layer.zip'), await zipBytes(tampered));

  const result = await run(['--json', 'verify', '--rebuild', join(other, 'layer.zip')]);
  expect(result.stderr).toContain('REBUILD_DIFFERS');
  expect(result.exitCode).toBe(exitStatus.REBUILD_DIFFERS);
  const { rebuild } = JSON.parse(result.stdout);
  expect(rebuild.differences).toEqual([expect.stringMatching(/^lang\/lib\/python3\.13\/LICENSE\.txt: \d+ bytes, /)]);
  const same = rebuild.files.filter((one: { sha256: string; again: string }) => one.sha256 === one.again);
  expect(same.map(({ file }: { file: string }) => file)).toEqual([
    'sbom.cdx.json',
    'sbom.spdx.json',
    'provenance.json',
    'ledger.json',
    'plan.json',
    'image',
    'image-statements/sbom.cdx.json',
    'image-statements/sbom.spdx.json',
    'image-statements/provenance.json',
  ]);
});
