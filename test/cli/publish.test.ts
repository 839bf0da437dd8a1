// publish and layers as a user runs them: what goes to stdout, what to stderr, and the exit status.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { exitStatus } from '../../build/lib/errors.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { digestFile } from '../../build/source/cache.ts';
import { fileOf, makeTree } from '../../build/tree/tree.ts';
import { type FakeAws, jsonError, startFakeAws, xmlError } from '../aws/support/fake-aws.ts';
import { FakeAccount } from '../publish/support/fake-account.ts';

const cli = join(import.meta.dirname, '../../dist/cli.js');
let dir: string;
let layer: string;
let aws: FakeAws;
let account: FakeAccount;

beforeAll(async () => {
  aws = await startFakeAws();
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-cli-publish-'));
  layer = join(dir, 'layer.zip');
  await writeFile(layer, await zipBytes(makeTree([['bootstrap', fileOf('#!/bin/sh\n')]])));
  const { sha256 } = await digestFile(layer, new AbortController().signal);
  const verdict = { artifact: layer, arch: 'x86_64', ok: true, findings: [], sha256 };
  await writeFile(join(dir, 'verdict.json'), JSON.stringify(verdict));
});
beforeEach(() => {
  account = new FakeAccount();
  aws.script = account.answer;
});
afterAll(async () => {
  await aws.close();
  await rm(dir, { recursive: true, force: true });
});

const run = (args: string[], env: Record<string, string | undefined> = {}) =>
  execa(process.execPath, [cli, ...args], {
    cwd: dir,
    reject: false,
    extendEnv: false,
    env: {
      PATH: process.env['PATH'],
      HOME: dir,
      MAKE_RUNTIME_CACHE: join(dir, 'cache'),
      CI: '1',
      AWS_ENDPOINT_URL: aws.url,
      AWS_ACCESS_KEY_ID: 'AKID',
      AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_MAX_ATTEMPTS: '2',
      ...env,
    },
  });
const publish = (...more: string[]) =>
  run(['publish', layer, '--name', 'py', '--region', 'eu-west-1,us-east-1', ...more]);
const arns = ['eu-west-1', 'us-east-1'].map((region) => `arn:aws:lambda:${region}:123456789012:layer:py:1`);

test('ARNs go to stdout, the table to stderr, and files where asked', async () => {
  const { stdout, stderr, exitCode } = await publish('--share', 'public', '--write', join(dir, 'files'));
  expect(exitCode).toBe(0);
  expect(stdout.split('\n')).toEqual(arns);
  expect(stderr).toContain(`eu-west-1  published version 1  ${arns[0]}`);
  expect(stderr).toContain('shared: public');
  expect(stderr).not.toContain('Warning');
  expect(await readFile(join(dir, 'files/layers.md'), 'utf8')).toContain(arns[1]);
  const again = await publish('--share', 'public');
  expect([again.stdout.split('\n'), again.exitCode]).toEqual([arns, 0]);
  expect(again.stderr).toContain('version 1 was there already');
});

test('--json, with a region that fails', async () => {
  aws.script = (call) =>
    call.region === 'us-east-1' && call.operation.startsWith('POST ')
      ? jsonError('AccessDeniedException', 403)
      : account.answer(call);
  const { stdout, stderr, exitCode } = await publish('--json');
  expect(exitCode).toBe(exitStatus.AWS_DENIED);
  expect(JSON.parse(stdout)).toMatchObject({
    name: 'py',
    dryRun: false,
    artifact: { path: layer, arch: 'x86_64' },
    regions: [
      { region: 'eu-west-1', ok: true, arn: arns[0], version: 1, published: true },
      { region: 'us-east-1', ok: false, code: 'AWS_DENIED', published: false },
    ],
  });
  expect(JSON.parse(stderr.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ type: 'error', code: 'AWS_DENIED' });
});

test('--dry-run: what would be done goes to stdout', async () => {
  const { stdout, exitCode } = await publish('--dry-run', '--share', 'public', '--ssm-parameter', '/p', '--keep', '1');
  expect(exitCode).toBe(0);
  expect(stdout).toBe(
    [
      'eu-west-1  would publish: there is none yet',
      '           would share: public',
      '           would set /p',
      'us-east-1  would publish: there is none yet',
      '           would share: public',
      '           would set /p',
    ].join('\n'),
  );
  expect(account.layers.size).toBe(0);
});

test('layers', async () => {
  const nothing = await run(['layers', '--region', 'eu-west-1']);
  expect([nothing.stdout, nothing.exitCode]).toEqual(['make-runtime has published no layer here.', 0]);
  await publish();
  const named = await run(['layers', '--region', 'eu-west-1,us-east-1,eu-north-1', '--name', 'py']);
  expect(named.stdout.split('\n').map((line) => line.split(/ {2,}/).slice(0, 3))).toEqual([
    ['py', 'eu-west-1', 'version 1'],
    ['py', 'us-east-1', 'version 1'],
    ['py', 'eu-north-1', 'not published'],
  ]);
  const { layers, missing } = JSON.parse(
    (await run(['layers', '--region', 'eu-west-1,eu-north-1', '--name', 'py', '--json'])).stdout,
  );
  expect(layers).toMatchObject([{ name: 'py', arn: arns[0], size: expect.any(Number), older: [] }]);
  expect(missing).toEqual([{ name: 'py', region: 'eu-north-1' }]);
});

test.each([
  ['no credentials', ['--name', 'py'], { AWS_ACCESS_KEY_ID: undefined }, 'AWS_NO_CREDENTIALS'],
  ['a profile that is not there', ['--name', 'py', '--profile', 'nobody'], {}, 'AWS_NO_CREDENTIALS'],
  ['no region', ['--name', 'py', '--region', 'europe'], {}, 'AWS_REGION_INVALID'],
  ['a name', ['--name', 'py3.13'], {}, 'LAYER_NAME_INVALID'],
  ['nobody to share with', ['--name', 'py', '--share', 'me'], {}, 'USAGE'],
  ['offline', ['--name', 'py', '--offline'], {}, 'AWS_UNREACHABLE'],
] as const)('%s', async (_what, args, env, code) => {
  const { stderr, exitCode, all } = await run(['publish', layer, '--region', 'eu-west-1', ...args], env);
  expect(stderr).toContain(`[${code}]`);
  expect(stderr).toMatch(/^try {3}\S/m);
  expect(exitCode).toBe(exitStatus[code]);
  expect(String(all)).not.toContain('wJalr');
});

test('expired credentials are told before the layer is looked at', async () => {
  aws.script = () => xmlError('ExpiredToken', 403, 'The security token included in the request is expired');
  const { stderr, exitCode } = await run(['publish', 'no-such-file.zip', '--name', 'py', '--region', 'eu-west-1']);
  expect(exitCode).toBe(exitStatus.AWS_CREDENTIALS_EXPIRED);
  expect(stderr).toContain('error The AWS credentials have expired. [AWS_CREDENTIALS_EXPIRED]');
});
