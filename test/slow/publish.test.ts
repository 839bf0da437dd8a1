// Publishing to moto's server, which is an implementation of Lambda, S3, SSM and STS that knows nothing of us, and looked at
// with boto3: several regions, a run that is killed in the middle of each step, 34 regions at once.
// See judges/aws.ts for what moto leaves out.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { exitStatus } from '../../build/lib/errors.ts';
import { zipBytes } from '../../build/package/zip.ts';
import { digestFile } from '../../build/source/cache.ts';
import { fileOf, makeTree } from '../../build/tree/tree.ts';
import { type AwsCall, jsonError, type Script } from '../aws/support/fake-aws.ts';
import { type JudgedAws, judgesPython, startAws } from './judges/aws.ts';
import { build, cli, root } from './judges/layer.ts';

let dir: string;
let aws: JudgedAws;
/** What `make-runtime build 3.13t` makes. */
let layer: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-publish-'));
  aws = await startAws(await judgesPython());
  layer = await build('3.13t', join(dir, 'out'));
});
afterEach(() => {
  aws.proxy.script = () => undefined;
  aws.proxy.calls.length = 0;
});
afterAll(async () => {
  await aws?.close();
  await rm(dir, { recursive: true, force: true });
});

const start = (args: readonly string[]) =>
  execa(process.execPath, [cli, ...args], { cwd: root, reject: false, all: true, env: { ...aws.env, CI: '1' } });
const publish = (path: string, ...more: string[]) => start(['publish', path, ...more]);

const sha256Of = async (path: string): Promise<string> => (await digestFile(path, new AbortController().signal)).sha256;
const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');

/** A layer of some size that was verified, so that no sandbox is needed: what is in it is of no interest here. */
async function madeUp(name: string, bytes: number): Promise<string> {
  const path = join(dir, name, 'layer.zip');
  await mkdir(join(dir, name), { recursive: true });
  await writeFile(
    path,
    await zipBytes(
      makeTree([
        ['bootstrap', fileOf('#!/bin/sh\n')],
        ['noise', fileOf(randomBytes(bytes))],
      ]),
    ),
  );
  const verdict = { artifact: path, arch: 'x86_64', ok: true, findings: [], sha256: await sha256Of(path) };
  await writeFile(join(dir, name, 'verdict.json'), JSON.stringify(verdict));
  return path;
}

test('a layer in three regions, granted, pointed at, downloaded and run', async () => {
  const words = ['--name', 'python313t', '--region', 'eu-west-1,us-east-1,ap-southeast-2', '--share', 'public'];
  const more = ['--share', 'org:o-a1b2c3d4e5', '--ssm-parameter', '/runtimes/python313t'];
  const first = await publish(layer, ...words, ...more);
  expect(first.exitCode, first.all).toBe(0);
  const arns = ['eu-west-1', 'us-east-1', 'ap-southeast-2'].map(
    (region) => `arn:aws:lambda:${region}:123456789012:layer:python313t:1`,
  );
  expect(first.stdout.split('\n')).toEqual(arns);
  // `build` has verified these bytes: nobody needs to do it again.
  expect(first.stderr).not.toContain('interpreter');
  const again = await publish(layer, ...words, ...more);
  expect([again.exitCode, again.stdout]).toEqual([0, first.stdout]);

  const seen = await aws.look('eu-west-1', 'us-east-1', 'ap-southeast-2');
  const plan: { id: string } = JSON.parse(await readFile(join(layer, '..', 'plan.json'), 'utf8'));
  const sent = base64(await sha256Of(layer));
  for (const [at, { layers, parameters }] of Object.values(seen.regions).entries()) {
    expect(Object.keys(layers)).toEqual(['python313t']);
    expect(layers['python313t']).toMatchObject([
      {
        version: 1,
        arn: arns[at],
        description: expect.stringMatching(new RegExp(`^CPython 3\\.13\\.\\d+ free-threaded .*, plan ${plan.id}$`)),
        runtimes: ['provided.al2023'],
        architectures: [process.arch === 'arm64' ? 'arm64' : 'x86_64'],
        codeSha256: sent,
        downloaded: sent,
        grants: [
          ['make-runtime-public', expect.stringContaining('*'), undefined],
          ['make-runtime-org-o-a1b2c3d4e5', expect.stringContaining('*'), undefined],
        ].map(([id, principal]) => [id, principal, expect.toSatisfy(() => true)]),
      },
    ]);
    expect(parameters).toEqual({ '/runtimes/python313t': arns[at] });
  }

  // What Lambda would give to a function: through our own invoke, in a Lambda-like sandbox.
  // (Lambda knows get_layer_version_by_arn for this; moto ends it with a 500.)
  const script = [
    'import boto3, sys, urllib.request',
    'version = boto3.client("lambda").get_layer_version(LayerName="python313t", VersionNumber=1)',
    'urllib.request.urlretrieve(version["Content"]["Location"], sys.argv[1])',
  ].join('\n');
  const back = join(dir, 'back.zip');
  await execa(aws.python, ['-c', script, back], {
    env: { ...aws.env, AWS_ENDPOINT_URL: aws.url, AWS_DEFAULT_REGION: 'eu-west-1' },
  });
  expect(Buffer.compare(readFileSync(back), readFileSync(layer))).toBe(0);
  await mkdir(join(dir, 'code'));
  await writeFile(join(dir, 'code', 'app.py'), 'def handler(event, context):\n    return {"got": event["n"] + 1}\n');
  const ran = await start(['invoke', back, '--code', join(dir, 'code'), '--handler', 'app.handler', '-e', '{"n": 41}']);
  expect([ran.exitCode, JSON.parse(ran.stdout)]).toEqual([0, { got: 42 }]);

  const listed = await start(['layers', '--region', 'eu-west-1,us-east-1,eu-north-1', '--json']);
  expect(JSON.parse(listed.stdout)).toMatchObject({
    layers: [
      { name: 'python313t', region: 'eu-west-1', version: 1, built: { plan: plan.id }, codeSha256: sent },
      { name: 'python313t', region: 'us-east-1', version: 1 },
    ],
    missing: [{ name: 'python313t', region: 'eu-north-1' }],
  });
});

test('over 50 MB: through a bucket in each region, which is made, closed and left empty', async () => {
  const large = await madeUp('large', 53 << 20);
  const words = ['--name', 'large', '--region', 'eu-central-1,us-east-1'];
  const refused = await publish(large, ...words);
  expect(refused.exitCode, refused.all).toBe(exitStatus.BUCKET_MISSING);
  const done = await publish(large, ...words, '--create-bucket');
  expect(done.exitCode, done.all).toBe(0);
  const { regions, buckets } = await aws.look('eu-central-1', 'us-east-1');
  const sent = base64(await sha256Of(large));
  for (const region of ['eu-central-1', 'us-east-1']) {
    expect(regions[region]?.layers['large']).toMatchObject([{ version: 1, codeSha256: sent, downloaded: sent }]);
    expect(buckets[`make-runtime-123456789012-${region}`]).toEqual({
      region: region === 'us-east-1' ? null : region, // S3's own way to say us-east-1.
      closed: ['BlockPublicAcls', 'BlockPublicPolicy', 'IgnorePublicAcls', 'RestrictPublicBuckets'],
      objects: [],
    });
  }
});

describe('killed (kill -9) and run again', () => {
  interface Step {
    readonly name: string;
    readonly at: (call: AwsCall) => boolean;
    readonly large?: boolean;
  }
  const steps: readonly Step[] = [
    { name: 'listing', at: ({ operation }) => /^GET .*\/versions\?/.test(operation) },
    { name: 'publishing', at: ({ operation }) => /^POST .*\/versions$/.test(operation) },
    { name: 'sharing', at: ({ operation }) => /^POST .*\/policy$/.test(operation) },
    { name: 'pointing', at: ({ operation }) => operation === 'PutParameter' },
    { name: 'pruning', at: ({ operation }) => /^DELETE .*\/versions\/\d+$/.test(operation) },
    { name: 'bucket', at: ({ operation }) => /^PUT \/[\w-]+\/?(\?x-id=\w+)?$/.test(operation), large: true },
    { name: 'closing', at: ({ operation }) => /^PUT .*publicAccessBlock/.test(operation), large: true },
    { name: 'uploading', at: ({ operation }) => /^PUT .*\.zip/.test(operation), large: true },
    { name: 'publishing-object', at: ({ operation }) => /^POST .*\/versions$/.test(operation), large: true },
    { name: 'cleaning', at: ({ operation }) => /^DELETE .*\.zip/.test(operation), large: true },
  ];
  const region = 'eu-west-3';

  test('in the middle of each step, before it is done and after', async () => {
    const paths = { small: await madeUp('small', 4000), large: await madeUp('large-killed', 53 << 20) };
    const cases = steps.flatMap((step) => (['before', 'after'] as const).map((moment) => ({ ...step, moment })));
    for (const { name, at, large, moment } of cases) {
      const layerName = `${name}-${moment}`;
      const words = [
        ...['--name', layerName, '--region', region, '--share', 'public', '--ssm-parameter', `/killed/${layerName}`],
        ...['--keep', '1', '--create-bucket', '--s3-bucket', `killed-${layerName}`],
      ];
      const path = large ? paths.large : paths.small;
      // Something to prune.
      if (!large) expect((await publish(path, ...words, '--description', 'old')).exitCode).toBe(0);
      const running = publish(path, ...words);
      let killed = 0;
      const kill = () => {
        killed += 1;
        running.kill('SIGKILL');
      };
      aws.proxy.script = ((call) => {
        if (killed > 0 || !at(call)) return undefined;
        if (moment === 'after') return { after: kill };
        kill();
        return new Promise<never>(() => {}); // Not passed on: this request has not happened.
      }) satisfies Script;
      const { signal } = await running;
      expect([layerName, killed, signal]).toEqual([layerName, 1, 'SIGKILL']);
      aws.proxy.script = () => undefined;
      aws.proxy.calls.length = 0;
      const again = await publish(path, ...words);
      expect(again.exitCode, `${layerName}: ${again.all}`).toBe(0);
      // What was uploaded whole is not uploaded again.
      const uploads = aws.proxy.calls.filter(({ operation }) => /^PUT .*\.zip/.test(operation)).length;
      const needed = ['bucket', 'closing'].includes(name) || layerName === 'uploading-before';
      expect([layerName, uploads]).toEqual([layerName, needed ? 1 : 0]);
    }

    const { regions, buckets } = await aws.look(region);
    const { layers, parameters } = regions[region] ?? { layers: {}, parameters: {} };
    expect(Object.keys(layers).length).toBe(cases.length);
    for (const { name, large, moment } of cases) {
      const layerName = `${name}-${moment}`;
      const sent = base64(await sha256Of(large ? paths.large : paths.small));
      const number = large ? 1 : 2;
      const arn = `arn:aws:lambda:${region}:123456789012:layer:${layerName}:${number}`;
      expect(layers[layerName], layerName).toMatchObject([
        { version: number, arn, downloaded: sent, grants: [['make-runtime-public', expect.any(String), null]] },
      ]);
      expect(parameters[`/killed/${layerName}`]).toBe(arn);
      if (large)
        expect(buckets[`killed-${layerName}`], layerName).toMatchObject({ closed: { length: 4 }, objects: [] });
    }
  });

  test('between two regions', async () => {
    const path = await madeUp('regions', 4000);
    const words = ['--name', 'regions', '--region', 'eu-west-1,eu-north-1,eu-south-1', '--concurrency', '1'];
    const running = publish(path, ...words);
    aws.proxy.script = (call) => {
      if (call.region !== 'eu-north-1' || call.service !== 'lambda') return undefined;
      running.kill('SIGKILL');
      return 'break';
    };
    expect((await running).signal).toBe('SIGKILL');
    aws.proxy.script = () => undefined;
    expect((await publish(path, ...words)).exitCode).toBe(0);
    const { regions } = await aws.look('eu-west-1', 'eu-north-1', 'eu-south-1');
    for (const [name, { layers }] of Object.entries(regions)) {
      expect([name, layers['regions']?.map(({ version }) => version)]).toEqual([name, [1]]);
    }
  });
});

test('Ctrl-C: says what is done, and the next run does the rest', async () => {
  const path = await madeUp('stopped', 4000);
  const words = ['--name', 'stopped', '--region', 'eu-west-1,eu-north-1,eu-south-1', '--concurrency', '1'];
  const running = publish(path, ...words);
  aws.proxy.script = ({ region, operation }) => {
    if (region === 'eu-north-1' && operation.startsWith('POST')) running.kill('SIGINT');
    return undefined;
  };
  const { exitCode, stderr, stdout } = await running;
  expect(exitCode).toBe(exitStatus.CANCELLED);
  expect(stderr).toContain('Stopped: stopped is done in');
  expect(stdout.split('\n').filter((line) => line.includes(':layer:stopped:1')).length).toBeGreaterThanOrEqual(1);
  aws.proxy.script = () => undefined;
  const again = await publish(path, ...words);
  expect([again.exitCode, again.stdout.split('\n').length]).toEqual([0, 3]);
  const { regions } = await aws.look('eu-west-1', 'eu-north-1', 'eu-south-1');
  for (const { layers } of Object.values(regions))
    expect(layers['stopped']?.map(({ version }) => version)).toEqual([1]);
});

test('an answer that got lost on its way does not make a second version', async () => {
  const path = await madeUp('lost', 4000);
  let lost = 0;
  aws.proxy.script = ({ operation }) => {
    if (!/^POST .*\/versions$/.test(operation) || lost > 0) return undefined;
    lost += 1;
    return { after: () => aws.proxy.breakAll() };
  };
  const { exitCode, all } = await publish(path, '--name', 'lost', '--region', 'eu-west-1');
  expect([lost, exitCode], all).toEqual([1, 0]);
  const { regions } = await aws.look('eu-west-1');
  expect(regions['eu-west-1']?.layers['lost']?.map(({ version }) => version)).toEqual([1]);
});

describe('34 regions', () => {
  const names = [
    ...['us-east-1', 'us-east-2', 'us-west-1', 'us-west-2', 'ca-central-1', 'ca-west-1', 'mx-central-1', 'sa-east-1'],
    ...[
      'eu-west-1',
      'eu-west-2',
      'eu-west-3',
      'eu-central-1',
      'eu-central-2',
      'eu-north-1',
      'eu-south-1',
      'eu-south-2',
    ],
    ...['ap-east-1', 'ap-east-2', 'ap-south-1', 'ap-south-2', 'ap-northeast-1', 'ap-northeast-2', 'ap-northeast-3'],
    ...['ap-southeast-1', 'ap-southeast-2', 'ap-southeast-3', 'ap-southeast-4', 'ap-southeast-5', 'ap-southeast-6'],
    ...['ap-southeast-7', 'af-south-1', 'il-central-1', 'me-central-1', 'me-south-1'],
  ];

  /** Runs it, and reads the most memory it ever had, kB, off the kernel. */
  async function measured(path: string, name: string, regions: readonly string[]) {
    const began = Date.now();
    const running = publish(path, '--name', name, '--region', regions.join(), '--json');
    let peak = 0;
    const timer = setInterval(() => {
      try {
        const status = readFileSync(`/proc/${running.pid}/status`, 'utf8');
        peak = Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? peak);
      } catch {
        // It has just ended.
      }
    }, 50);
    const result = await running;
    clearInterval(timer);
    return { result, peak, seconds: (Date.now() - began) / 1000 };
  }

  test('of 12 MB each, one that fails and one that throttles', async () => {
    expect(names.length).toBe(34);
    const path = await madeUp('many', 12_000_000);
    let throttled = 0;
    const trouble: Script = ({ region, service, operation }) => {
      if (service !== 'lambda') return undefined;
      if (region === 'il-central-1' && operation.startsWith('POST')) {
        return jsonError('AccessDeniedException', 403, 'explicit deny in a service control policy');
      }
      if (region === 'sa-east-1' && throttled < 3) {
        throttled += 1;
        return jsonError('TooManyRequestsException', 429, 'Rate exceeded');
      }
      return undefined;
    };
    const eight = await measured(path, 'eight', names.slice(0, 8));
    aws.proxy.script = trouble;
    const all = await measured(path, 'all', names);
    console.log(
      `34 regions of 12 MB: ${all.seconds.toFixed(1)} s, ${(all.peak / 1024).toFixed(0)} MB at most (8 regions: ${eight.seconds.toFixed(1)} s, ${(eight.peak / 1024).toFixed(0)} MB)`,
    );
    expect(eight.result.exitCode, eight.result.all).toBe(0);
    expect(all.result.exitCode).toBe(exitStatus.AWS_DENIED);
    expect(throttled).toBe(3);
    const { regions }: { regions: { region: string; ok: boolean; code?: string }[] } = JSON.parse(all.result.stdout);
    expect(regions.map(({ region }) => region)).toEqual(names);
    expect(regions.filter(({ ok }) => !ok)).toMatchObject([{ region: 'il-central-1', code: 'AWS_DENIED' }]);
    expect(all.result.stderr).toContain('1 of 34 regions failed; the other 33 are done.');
    // Flat: 26 regions more take less than two more bodies of 16 MB would.
    expect(all.peak - eight.peak).toBeLessThan(32 * 1024);

    aws.proxy.script = () => undefined;
    aws.proxy.calls.length = 0;
    const rest = await measured(path, 'all', names);
    expect(rest.result.exitCode, rest.result.all).toBe(0);
    const published = aws.proxy.calls.filter(({ operation }) => /^POST .*\/versions$/.test(operation));
    expect(published.map(({ region }) => region)).toEqual(['il-central-1']);
    const seen = await aws.look(...names);
    const sent = base64(await sha256Of(path));
    for (const [region, { layers }] of Object.entries(seen.regions)) {
      expect([region, layers['all']?.map(({ version, downloaded }) => [version, downloaded])]).toEqual([
        region,
        [[1, sent]],
      ]);
    }
  });
});
