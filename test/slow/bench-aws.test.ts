// `bench --on-aws` against moto's server: what is deployed, with which tags, and that nothing is left, also after Ctrl-C and
// when removing fails. moto runs no function here: REPORT lines are given by the proxy in front of it, with figures that
// each function is known by. Real figures of Lambda were never seen by a test.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Result } from '../../build/bench/result.ts';
import { exitStatus } from '../../build/lib/errors.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { fileOf, makeTree } from '../../build/tree/tree.ts';
import { jsonError, type Script } from '../aws/support/fake-aws.ts';
import { type JudgedAws, judgesPython, startAws } from './judges/aws.ts';
import { build, cli } from './judges/layer.ts';

const region = 'eu-west-1';
let dir: string;
let aws: JudgedAws;
let layer: string;
let role: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-bench-aws-'));
  layer = process.env['MAKE_RUNTIME_TEST_LAYERS']?.split(':')[0] || (await build('3.13t', join(dir, 'out')));
  aws = await startAws(await judgesPython());
  role = await boto3(`
policy = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'lambda.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]})
answer = boto3.client('iam').create_role(RoleName='bench', AssumeRolePolicyDocument=policy)['Role']['Arn']`);
});
afterEach(() => {
  aws.proxy.script = () => undefined;
  aws.proxy.calls.length = 0;
});
afterAll(async () => {
  await aws?.close();
  await rm(dir, { recursive: true, force: true });
});

/** What a person with boto3 sees: the value of `answer`. */
async function boto3<T = string>(script: string): Promise<T> {
  const { stdout } = await execa(aws.python, ['-c', `import boto3, json\n${script}\nprint(json.dumps(answer))`], {
    env: { ...aws.env, AWS_ENDPOINT_URL: aws.url, AWS_DEFAULT_REGION: region },
  });
  return JSON.parse(stdout) as T;
}

const there = (): Promise<{ functions: string[]; layers: string[] }> =>
  boto3(`
client = boto3.client('lambda')
answer = {
  'functions': [f['FunctionName'] for f in client.list_functions()['Functions']],
  'layers': [l['LayerName'] for l in client.list_layers()['Layers']],
}`);

const start = (more: readonly string[] = [], options = {}) =>
  execa(process.execPath, [cli, 'bench', '--on-aws', '--region', region, ...more], {
    cwd: dir,
    reject: false,
    env: { ...aws.env, CI: '1' },
    ...options,
  });
const measured = (...more: string[]) => start([layer, '--role', role, '--memory', '128,1769', '--runs', '2', ...more]);

/** Lambda's answer to Invoke with LogType Tail. Ours starts in 20 ms, AWS's in 80; the first after an update is cold. */
function lambda(): Script {
  const warm = new Set<string>();
  return ({ operation, headers }) => {
    const updated = /^PUT \/2015-03-31\/functions\/([^/]+)\/configuration/.exec(operation)?.[1];
    if (updated !== undefined) warm.delete(updated);
    const name = /^POST \/2015-03-31\/functions\/([^/]+)\/invocations/.exec(operation)?.[1];
    if (name === undefined) return undefined;
    expect(headers['x-amz-log-type']).toBe('Tail');
    const init = warm.has(name) ? '' : `\tInit Duration: ${/-0-\w+-\d+$/.test(name) ? '20.00' : '80.00'} ms`;
    warm.add(name);
    const line = `REPORT RequestId: 1\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 31 MB${init}\t\n`;
    const log = Buffer.from(`START RequestId: 1 Version: $LATEST\nEND RequestId: 1\n${line}`).toString('base64');
    return { headers: { 'x-amz-log-result': log }, body: {} };
  };
}

test('functions for each runtime, size and handler, their figures, and nothing left', async () => {
  aws.proxy.script = lambda();
  const out = join(dir, 'aws.json');
  const result = await measured('--json', '--out', out);
  expect(result.exitCode, result.stderr).toBe(0);
  const { scenarios, runtimes } = JSON.parse(await readFile(out, 'utf8')) as Result;
  expect(runtimes.map(({ name }) => name)).toEqual(['make-runtime', expect.stringMatching(/^AWS’s python3\.\d+$/)]);
  expect(scenarios.map(({ scenario, conditions }) => [scenario, conditions.memory])).toEqual([
    ['aws-echo', 128],
    ['aws-compute', 128],
    ['aws-echo', 1769],
    ['aws-compute', 1769],
  ]);
  for (const { subjects, goals } of scenarios) {
    expect(subjects[0]?.samples).toEqual({
      init: [20, 20],
      first: [1.5, 1.5],
      billed: [2, 2],
      duration: [1.5, 1.5],
      used: [31, 31],
    });
    expect(goals[0]).toMatchObject({ what: expect.stringContaining('init / AWS'), measured: 0.25 });
  }
  const created = aws.proxy.calls
    .filter(({ operation }) => operation === 'POST /2015-03-31/functions')
    .map(({ body }) => JSON.parse(body.toString()));
  expect(created).toHaveLength(2 * 2 * 2);
  for (const { Tags, Role, Runtime, Layers = [], FunctionName } of created) {
    expect(Tags).toEqual({ 'make-runtime-bench': expect.any(String) });
    expect(Role).toBe(role);
    expect(FunctionName).toMatch(/^make-runtime-bench-/);
    expect(Layers).toHaveLength(Runtime === 'provided.al2023' ? 1 : 0);
  }
  expect(await there()).toEqual({ functions: [], layers: [] });
});

test('Ctrl-C in the middle leaves nothing', async () => {
  const answer = lambda();
  const stop = new AbortController();
  aws.proxy.script = (call) => {
    if (call.operation.endsWith('/invocations')) stop.abort();
    return answer(call);
  };
  const result = await start([layer, '--role', role, '--runs', '50'], {
    cancelSignal: stop.signal,
    killSignal: 'SIGINT',
    forceKillAfterDelay: false,
  });
  expect(result.exitCode, result.stderr).toBe(exitStatus.CANCELLED);
  const times = (start: string) => aws.proxy.calls.filter(({ operation }) => operation.startsWith(start)).length;
  expect(times('POST /2015-03-31/functions')).toBeGreaterThan(1);
  expect(times('DELETE /2015-03-31/functions')).toBe(2);
  expect(await there()).toEqual({ functions: [], layers: [] });
});

test('what could not be removed is said, found by its tag later, and nothing else is touched', async () => {
  const code = (await zipBytes(makeTree([['app.py', fileOf('def handler(event, context): pass\n')]]))).toString(
    'base64',
  );
  await boto3(`
import base64
client = boto3.client('lambda')
for name, tags in [('make-runtime-bench-somebody-elses', {}), ('another', {'make-runtime-bench': 'x'})]:
    client.create_function(FunctionName=name, Runtime='python3.12', Role='${role}', Handler='app.handler', Code={'ZipFile': base64.b64decode('${code}')}, Tags=tags)
answer = None`);
  const answer = lambda();
  aws.proxy.script = (call) =>
    call.operation.startsWith('DELETE ') ? jsonError('AccessDeniedException', 403) : answer(call);
  const result = await start([layer, '--role', role, '--memory', '128', '--runs', '1']);
  expect(result.exitCode, result.stderr).toBe(exitStatus.BENCH_LEFTOVERS);
  expect(result.stderr).toContain(`make-runtime bench --on-aws --clean --region ${region}`);
  expect((await there()).functions).toHaveLength(4 + 2);
  aws.proxy.script = answer;
  const cleaned = await start(['--clean']);
  expect(cleaned.exitCode, cleaned.stderr).toBe(0);
  expect(cleaned.stdout).toContain(`5 removed in ${region}`);
  expect(await there()).toEqual({ functions: ['make-runtime-bench-somebody-elses', 'another'], layers: [] });
});

test('a role is asked for before anything is made', async () => {
  const result = await start([layer]);
  expect(result.exitCode).toBe(exitStatus.USAGE);
  expect(result.stderr).toContain('--role');
  expect(aws.proxy.calls).toEqual([]);
});
