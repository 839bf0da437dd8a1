// `make-runtime push` to ECR as users run it. moto stands for ECR's and Lambda's APIs; its ECR has no registry behind it,
// so a proxy in front of it says that the registry is Debian's docker-registry, which demands the token that moto gave.
// What moto gets wrong, and test/push/pipeline.test.ts has instead: a repository is not needed for its registry, updates
// of functions take no time and never fail, aliases have no revisions that count, a function's ResolvedImageUri is made
// up, no token expires, and nothing is forbidden.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { exitStatus } from '../../build/lib/errors.ts';
import { pushImage } from '../../build/push-pipeline.ts';
import { jsonError } from '../aws/support/fake-aws.ts';
import { makeImage } from '../push/support.ts';
import { testContext } from '../source/support/context.ts';
import { type JudgedAws, judgesPython, startAws } from './judges/aws.ts';
import { type LocalRegistry, missingPrograms, startRegistry } from './judges/containers.ts';
import { cli } from './judges/layer.ts';

const dir = await mkdtemp(join(tmpdir(), 'make-runtime-push-ecr-'));
const missing =
  process.platform === 'linux'
    ? await missingPrograms({ skopeo: 'skopeo', 'docker-registry': 'docker-registry', htpasswd: 'apache2-utils' })
    : 'these judges run on Linux';
/** What moto's GetAuthorizationToken has in it. */
const token = '123456789012-auth-token';
const host = (region = 'eu-west-1') => `123456789012.dkr.ecr.${region}.amazonaws.com`;

let aws: JudgedAws;
let registry: LocalRegistry;
let image: { path: string; digest: string };

beforeAll(async () => {
  if (missing !== undefined) return;
  image = await makeImage(dir);
  const users = join(dir, 'users');
  await writeFile(users, (await execa('htpasswd', ['-Bbn', 'AWS', token])).stdout);
  const started = await startRegistry(join(dir, 'registry'), users);
  if ('missing' in started) throw new Error(started.missing);
  registry = started;
  aws = await startAws(await judgesPython());
});
const redirected: JudgedAws['proxy']['script'] = ({ operation }) =>
  operation === 'GetAuthorizationToken'
    ? {
        body: {
          authorizationData: [
            {
              authorizationToken: Buffer.from(`AWS:${token}`).toString('base64'),
              proxyEndpoint: `http://${registry.host}`,
            },
          ],
        },
      }
    : undefined;
afterEach(() => {
  if (aws !== undefined) aws.proxy.calls.length = 0;
});
afterAll(async () => {
  await aws?.close();
  await registry?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const environment = () => ({ ...aws.env, CI: '1', HOME: dir, PATH: process.env['PATH'] ?? '' });
const run = (args: readonly string[]) =>
  execa(process.execPath, [cli, 'push', image.path, ...args], {
    cwd: dir,
    reject: false,
    extendEnv: false,
    env: environment(),
  });
async function push(...args: string[]) {
  const result = await run([...args, '--json']);
  if (result.exitCode !== 0)
    throw new Error(`${result.escapedCommand} ended with ${result.exitCode}:\n${result.stderr}`);
  return JSON.parse(result.stdout);
}

/** What boto3 sees of moto, without the proxy. */
async function look(expression: string, region = 'eu-west-1'): Promise<unknown> {
  const program = [
    'import boto3, json, sys',
    `ecr, lam, iam, cw = (boto3.client(name, endpoint_url="${aws.url}", region_name="${region}") for name in ("ecr", "lambda", "iam", "cloudwatch"))`,
    `print(json.dumps(${expression}, default=str))`,
  ].join('\n');
  const { stdout } = await execa(aws.python, ['-c', program], { env: environment() });
  return JSON.parse(stdout);
}
async function tagged(repository: string): Promise<string | undefined> {
  const options = ['--tls-verify=false', '--creds', `AWS:${token}`, `docker://${registry.host}/${repository}:1`];
  const { exitCode, stdout } = await execa('skopeo', ['inspect', ...options], { reject: false });
  return exitCode === 0 ? JSON.parse(stdout).Digest : undefined;
}
const changes = () => aws.proxy.calls.map(({ operation }) => operation).filter((name) => !/^(Get|Describe)/.test(name));

if (missing !== undefined) test('push to ECR', ({ skip }) => skip(missing));

describe.skipIf(missing !== undefined)('push to ECR', () => {
  beforeAll(() => {
    aws.proxy.script = redirected;
  });

  test('repositories made in two regions, as boto3 sees them, and the image in both', async () => {
    const targets = [`${host()}/team/python:1`, `${host('us-east-1')}/team/python-us:1`];
    const flags = ['--create', '--immutable', '--share', 'account:111111111111'];
    const { targets: pushed } = await push(...targets, ...flags);
    expect(pushed).toMatchObject(targets.map((target) => ({ target, ok: true, digest: image.digest })));
    for (const [region, name] of [
      ['eu-west-1', 'team/python'],
      ['us-east-1', 'team/python-us'],
    ] as const) {
      expect(await look('ecr.describe_repositories()["repositories"]', region)).toMatchObject([
        {
          repositoryName: name,
          imageTagMutability: 'IMMUTABLE',
          imageScanningConfiguration: { scanOnPush: true },
          encryptionConfiguration: { encryptionType: 'AES256' },
        },
      ]);
      const policy = (await look(
        `ecr.get_repository_policy(repositoryName="${name}")["policyText"]`,
        region,
      )) as string;
      expect(JSON.parse(policy).Statement.map(({ Sid }: { Sid: string }) => Sid)).toEqual([
        'LambdaECRImageRetrievalPolicy',
        'CrossAccountPermission',
        'LambdaECRImageCrossAccountRetrievalPolicy',
      ]);
      expect(policy).toContain(`arn:aws:lambda:${region}:111111111111:function:*`);
      const rules = (await look(
        `ecr.get_lifecycle_policy(repositoryName="${name}")["lifecyclePolicyText"]`,
        region,
      )) as string;
      expect(JSON.parse(rules).rules[0].selection.countNumber).toBe(300);
      expect(await tagged(name)).toBe(image.digest);
    }
    aws.proxy.calls.length = 0;
    const again = await push(...targets, ...flags);
    expect(again.targets).toMatchObject(targets.map(() => ({ before: image.digest, blobs: { uploaded: 0 } })));
    expect(changes()).toEqual([]);
  });

  test('a dry run leaves nothing behind', async () => {
    const result = await run([`${host()}/dry:1`, '--create', '--dry-run']);
    expect(result.exitCode).toBe(0);
    expect(result.stderr).toContain('would create the repository dry: mutable tags, scanned on push');
    expect(changes()).toEqual([]);
    expect(await look('[one["repositoryName"] for one in ecr.describe_repositories()["repositories"]]')).not.toContain(
      'dry',
    );
    expect(await tagged('dry')).toBeUndefined();
  });

  test('not allowed: which action, on what; and no secret in what is printed', async () => {
    const resource = 'arn:aws:ecr:eu-west-1:123456789012:repository/closed';
    const words = `User: arn:aws:sts::123456789012:assumed-role/ci/run is not authorized to perform: ecr:CreateRepository on resource: ${resource} because no identity-based policy allows the ecr:CreateRepository action`;
    aws.proxy.script = (call) =>
      call.operation === 'CreateRepository' ? jsonError('AccessDeniedException', 400, words) : redirected(call);
    const result = await run([`${host()}/closed:1`, '--create', '--json']);
    expect(result.exitCode).toBe(exitStatus.AWS_DENIED);
    expect(JSON.parse(result.stdout).targets[0].message).toBe(
      `arn:aws:sts::123456789012:assumed-role/ci/run may not ecr:CreateRepository on ${resource} (eu-west-1).`,
    );
    const printed = `${result.stdout}${result.stderr}`;
    for (const secret of [token, Buffer.from(`AWS:${token}`).toString('base64'), aws.env['AWS_SECRET_ACCESS_KEY']!])
      expect(printed).not.toContain(secret);
    aws.proxy.script = redirected;
  });

  test.each(['CreateRepository', 'PutLifecyclePolicy', 'SetRepositoryPolicy'])(
    'kill -9 in the middle of %s, done there or not: a re-run finishes, nothing is made twice',
    async (step) => {
      for (const done of [false, true]) {
        const name = `killed-${step.toLowerCase()}-${done}`;
        let reached = (): void => {};
        const held = new Promise<void>((settle) => {
          reached = settle;
        });
        aws.proxy.script = (call) => {
          if (call.operation !== step) return redirected(call);
          reached();
          if (done) return undefined;
          return new Promise<never>(() => {});
        };
        const args = [cli, 'push', image.path, `${host()}/${name}:1`, '--create'];
        const child = spawn(process.execPath, args, { env: environment() });
        const ended = once(child, 'exit');
        await held;
        child.kill('SIGKILL');
        await ended;
        aws.proxy.script = redirected;
        const { targets } = await push(`${host()}/${name}:1`, '--create');
        expect(targets).toMatchObject([{ ok: true, digest: image.digest }]);
        expect(await tagged(name)).toBe(image.digest);
        const sizes = await look(
          `[len([one for one in ecr.describe_repositories()["repositories"] if one["repositoryName"] == "${name}"]), len(ecr.get_repository_policy(repositoryName="${name}")["policyText"]) > 100, len(ecr.get_lifecycle_policy(repositoryName="${name}")["lifecyclePolicyText"]) > 50]`,
        );
        expect(sizes).toEqual([1, true, true]);
      }
    },
  );

  test('a function runs the image by its digest, an alias follows', async () => {
    const trust =
      '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}';
    await look(
      `lam.create_function(FunctionName="f", PackageType="Image", Code={"ImageUri": "${host()}/team/python@sha256:${'0'.repeat(64)}"}, Role=iam.create_role(RoleName="r", AssumeRolePolicyDocument='${trust}')["Role"]["Arn"])["FunctionArn"]`,
    );
    const { updated } = await push(`${host()}/team/python:1`, '--update-function', 'f', '--alias', 'live');
    expect(updated).toMatchObject({ changed: true, uri: `${host()}/team/python@${image.digest}`, alias: { to: '1' } });
    expect(await look('lam.get_function(FunctionName="f")["Code"]["ImageUri"]')).toBe(updated.uri);
    expect(await look('lam.get_alias(FunctionName="f", Name="live")["FunctionVersion"]')).toBe('1');
    const again = await push(`${host()}/team/python:1`, '--update-function', 'f');
    expect(again.updated.changed).toBe(false);
  });

  test.each([
    'PUT /2015-03-31/functions/k/code',
    'POST /2015-03-31/functions/k/versions',
    'POST /2015-03-31/functions/k/aliases',
  ])('kill -9 in the middle of %s, done there or not: a re-run finishes', async (step) => {
    const create = `lam.create_function(FunctionName="k", PackageType="Image", Code={"ImageUri": "${host()}/team/python@sha256:${'0'.repeat(64)}"}, Role=lam.get_function(FunctionName="f")["Configuration"]["Role"])["FunctionArn"]`;
    const remove =
      '[lam.delete_function(FunctionName="k") for one in lam.list_functions()["Functions"] if one["FunctionName"] == "k"]';
    for (const done of [false, true]) {
      await look(`(${remove}, ${create})[1]`);
      let reached = (): void => {};
      const there = new Promise<void>((settle) => {
        reached = settle;
      });
      aws.proxy.script = (call) => {
        if (call.operation !== step) return redirected(call);
        reached();
        return done ? undefined : new Promise<never>(() => {});
      };
      const name = `live-${done}`;
      const args = ['push', image.path, `${host()}/team/python:1`, '--update-function', 'k', '--alias', name];
      const child = spawn(process.execPath, [cli, ...args], { env: environment() });
      const ended = once(child, 'exit');
      await there;
      child.kill('SIGKILL');
      await ended;
      aws.proxy.script = redirected;
      const { updated } = await push(...args.slice(2));
      const seen = await look(
        `[lam.get_function(FunctionName="k", Qualifier=lam.get_alias(FunctionName="k", Name="${name}")["FunctionVersion"])["Code"]["ImageUri"], lam.get_alias(FunctionName="k", Name="${name}")["FunctionVersion"]]`,
      );
      expect(seen).toEqual([`${host()}/team/python@${image.digest}`, updated.alias.to]);
    }
  });

  // In this process, because the program waits for CloudWatch's metrics to arrive.
  test('an alias returns from a version that makes more errors, and follows one that does not', async () => {
    const ctx = await testContext({ env: environment() });
    const shift = { weight: 0.2, duration: 500, tolerance: 0.01 };
    const request = { image: image.path, targets: [`${host()}/team/python:1`] };
    const run = () =>
      pushImage({ ...request, update: { name: 'f', alias: 'live', shift } }, ctx, {
        watching: { interval: 100, lag: 500 },
      });
    const count = (version: number, name: string, value: number): string =>
      `{"MetricName": "${name}", "Value": ${value}, "Dimensions": [{"Name": "FunctionName", "Value": "f"}, {"Name": "Resource", "Value": "f:live"}, {"Name": "ExecutedVersion", "Value": "${version}"}]}`;
    const called = async (version: number, errors: number): Promise<void> => {
      const data = [count(version, 'Invocations', 50), count(version, 'Errors', errors)].join(', ');
      await look(
        `cw.put_metric_data(Namespace="AWS/Lambda", MetricData=[${data}])["ResponseMetadata"]["HTTPStatusCode"]`,
      );
    };
    const alias = () =>
      look(
        '(lambda one: [one["FunctionVersion"], one.get("RoutingConfig", {})])(lam.get_alias(FunctionName="f", Name="live"))',
      );
    await called(1, 0);
    await called(2, 25);
    const first = await run();
    expect(first.updateError).toMatchObject({
      code: 'ALIAS_RETURNED',
      detail: expect.stringContaining('25 errors of 50 calls'),
    });
    const [version, routing] = (await alias()) as [string, { AdditionalVersionWeights?: object }];
    expect([version, routing.AdditionalVersionWeights ?? {}]).toEqual(['1', {}]);
    // Now the old one is no better: whatever is wrong, it is not the new version.
    await called(1, 50);
    const second = await run();
    expect(second.updated?.alias).toMatchObject({
      from: '1',
      to: '2',
      counted: { old: { invocations: 100, errors: 50 }, new: { invocations: 50, errors: 25 } },
    });
    expect(((await alias()) as [string])[0]).toBe('2');
    await ctx[Symbol.asyncDispose]();
  });
});
