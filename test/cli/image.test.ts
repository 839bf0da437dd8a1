// `make-runtime image`, as far as it gets without a runtime: wrong usage and wrong input. The rest is in test/slow.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, expect, test } from 'vitest';
import { type ErrorCode, exitStatus } from '../../build/lib/errors.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { stableJson } from '../../build/recipe/canonical.ts';
import { fileOf, makeTree } from '../../build/tree/tree.ts';
import { samplePlan } from '../verify/sample-plan.ts';
import { hostArch } from '../verify/subjects.ts';

const dir = await mkdtemp(join(tmpdir(), 'make-runtime-image-cli-'));
afterAll(() => rm(dir, { recursive: true, force: true }));

const record = { format: 1, plan: samplePlan({ arch: hostArch }), ledger: { rows: [] } };
await writeFile(join(dir, 'foreign.zip'), await zipBytes(makeTree([['bootstrap', fileOf('#!/bin/sh\n', 0o755)]])));
await writeFile(join(dir, 'empty.zip'), await zipBytes(makeTree([['lang/build.json', fileOf(stableJson(record))]])));

test.each<[string[], ErrorCode, string]>([
  [[], 'USAGE', 'missing required argument'],
  [['x.zip', '--format', 'tar'], 'USAGE', 'Allowed choices are oci, docker'],
  [['x.zip', '--base', 'scratch'], 'ARTIFACT_NOT_FOUND', 'x.zip'],
  [['foreign.zip', '--base', 'scratch'], 'ARTIFACT_NOT_A_LAYER', 'not a layer that make-runtime built'],
  [['empty.zip', '--base', 'scratch'], 'ARTIFACT_NOT_A_LAYER', 'neither a bootstrap nor a Python'],
  [['empty.zip', '--base', 'A b'], 'REFERENCE_INVALID', '"A b" is not an image reference'],
  [['empty.zip', '--base', 'layout:none'], 'BASE_NOT_FOUND', 'There is no OCI image layout'],
  [['empty.zip', '--base', 'localhost:1/x', '--offline'], 'REGISTRY_UNREACHABLE', '--offline'],
  [['x.zip', '--name', 'Not A Name'], 'REFERENCE_INVALID', 'Not A Name'],
  [['x.zip', '--name', `a@sha256:${'0'.repeat(64)}`], 'REFERENCE_INVALID', 'names a digest'],
  [['3.99'], 'RECIPE_UNKNOWN', '3.99'],
])('image %j: %s', async (args, code, words) => {
  const cli = join(import.meta.dirname, '../../dist/cli.js');
  const result = await execa(process.execPath, [cli, 'image', ...args, '--output', 'out'], {
    cwd: dir,
    reject: false,
    env: { MAKE_RUNTIME_CACHE: join(dir, 'cache'), CI: '1' },
  });
  expect(result.stderr).toContain(words);
  expect(result.exitCode).toBe(exitStatus[code]);
  expect(result.stdout).toBe('');
  expect(await readdir(join(dir, 'out')).catch(() => [])).toEqual([]);
});
