// `make-runtime push` on the command line: wrong usage, wrong input, and what people and machines read.
import { appendFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ErrorCode, exitStatus } from '../../build/lib/errors.ts';
import { makeImage } from '../push/support.ts';
import { type WritableRegistry, writableRegistry } from '../registry/support/writable.ts';

const dir = await mkdtemp(join(tmpdir(), 'make-runtime-push-cli-'));
const ecr = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';
let registry: WritableRegistry;
let digest: string;

beforeAll(async () => {
  registry = await writableRegistry();
  ({ digest } = await makeImage(dir));
  await mkdir(join(dir, 'changed'));
  const changed = await makeImage(join(dir, 'changed'));
  const [blob] = await readdir(join(changed.path, 'blobs', 'sha256'));
  await appendFile(join(changed.path, 'blobs', 'sha256', blob!), '!');
  await mkdir(join(dir, 'unverified'));
  await makeImage(join(dir, 'unverified'), { ok: false });
  await mkdir(join(dir, 'broken'));
  await writeFile(join(dir, 'broken', 'config.json'), '{"auths":');
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const push = (args: readonly string[], env: Record<string, string> = {}) =>
  execa(process.execPath, [join(import.meta.dirname, '../../dist/cli.js'), 'push', ...args], {
    cwd: dir,
    reject: false,
    extendEnv: false,
    // Neither the credentials of whoever runs the tests nor those of a machine in a cloud.
    env: { PATH: process.env['PATH'] ?? '', CI: '1', HOME: dir, AWS_EC2_METADATA_DISABLED: 'true', ...env },
  });

test.each<[string[], ErrorCode, string, Record<string, string>?]>([
  [['image'], 'USAGE', 'missing required argument'],
  [['image', 'Not A Name'], 'REFERENCE_INVALID', 'is not an image reference'],
  [['image', `a/b@sha256:${'0'.repeat(64)}`], 'REFERENCE_INVALID', 'names a digest'],
  [['image', 'localhost:1/y:1'], 'REGISTRY_UNREACHABLE', 'connection refused'],
  [['changed/image', 'x/y:1'], 'ARTIFACT_CHANGED', 'is not what it was'],
  [['unverified/image', 'x/y:1'], 'VERIFY_FAILED', 'glibc 2.99'],
  [['image', 'localhost:1/y:1', '--create'], 'USAGE', 'are for ECR'],
  [['image', `${ecr}/y:1`, '--alias', 'live'], 'USAGE', 'add --update-function'],
  [['image', `${ecr}/y:1`, '--share', 'public'], 'USAGE', 'account:123456789012'],
  [['image', `${ecr}/y:1`, '--update-function', 'f', '--alias', 'a', '--shift', '150%:5m'], 'USAGE', 'like 10%:5m'],
  [['image', `${ecr}/y:1`], 'AWS_NO_CREDENTIALS', 'There are no AWS credentials'],
  [['image', 'localhost:1/y:1'], 'CREDENTIALS_UNREADABLE', 'is not JSON', { DOCKER_CONFIG: 'broken' }],
])('push %j: %s', async (args, code, words, env = {}) => {
  // Credentials are only read when a registry asks for them.
  registry.rules = [
    (_, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
      return true;
    },
  ];
  const asking =
    code === 'CREDENTIALS_UNREADABLE' ? args.map((one) => one.replace('localhost:1', registry.host)) : args;
  const result = await push(asking, env);
  expect(result.stderr).toContain(words);
  expect(result.exitCode).toBe(exitStatus[code]);
  expect(result.stdout).toBe('');
});

test('what is printed: a name with a digest for machines, words for people, JSON for both', async () => {
  registry.rules = [];
  const target = `${registry.host}/app:1`;
  const dry = await push(['image', target, '--dry-run']);
  expect(dry.stdout).toBe('');
  expect(dry.stderr).toMatch(/app:1 {2}would send up to 0\.0 MB, new tag/);
  const plain = await push(['image', target]);
  expect(plain.stdout).toBe(`${registry.host}/app@${digest}`);
  expect(plain.stderr).toMatch(/✓ .*app:1 {2}0\.0 MB sent, new tag, 3 statements/);
  const json = await push(['image', target, `${registry.host}/copy:1`, '--json']);
  expect(JSON.parse(json.stdout)).toMatchObject({
    digest,
    targets: [
      { target, ok: true, before: digest, blobs: { found: 2 } },
      { target: `${registry.host}/copy:1`, ok: true, blobs: { mounted: 2 } },
    ],
  });
  for (const line of json.stderr.split('\n')) JSON.parse(line);
});

test('one target of two fails: the other is done, the status tells, JSON has both', async () => {
  registry.rules = [
    (request, response) => {
      if (!request.url?.includes('/closed/')) return false;
      response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"closed"}]}');
      return true;
    },
  ];
  const result = await push(['image', `${registry.host}/closed:1`, `${registry.host}/open:1`, '--json']);
  expect(result.exitCode).toBe(exitStatus.REGISTRY_DENIED);
  expect(JSON.parse(result.stdout).targets).toMatchObject([
    { ok: false, code: 'REGISTRY_DENIED' },
    { ok: true, digest },
  ]);
  expect(registry.manifests.has('open:1')).toBe(true);
});
