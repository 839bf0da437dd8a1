// A whole push to ECR and to a function, with AWS and its registry in this process.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Context } from '../../build/lib/context.ts';
import { type Pushed, type PushRequest, pushError, pushImage } from '../../build/push-pipeline.ts';
import { jsonError } from '../aws/support/fake-aws.ts';
import { type WritableRegistry, writableRegistry } from '../registry/support/writable.ts';
import { type TestContext, testContext } from '../source/support/context.ts';
import { makeImage } from './support.ts';
import { account, type FunctionState, type PushAws, password, startPushAws } from './support-aws.ts';

const host = `${account}.dkr.ecr.eu-west-1.amazonaws.com`;
const target = `${host}/app:1`;
let dir: string;
let image: { path: string; digest: string };
let registry: WritableRegistry;
let repositories: string[];
let aws: PushAws;
let ctx: TestContext;
let endpoint: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'push-pipeline-'));
  image = await makeImage(dir);
  repositories = [];
  registry = await writableRegistry({ referrers: true, repositories });
  const basic = `Basic ${Buffer.from(`AWS:${password}`).toString('base64')}`;
  registry.rules = [
    (request, response) => {
      // ECR knows a repository when it was made, wherever.
      for (const name of aws.repositories.keys()) if (!repositories.includes(name)) repositories.push(name);
      if (request.headers.authorization === basic) return false;
      response.writeHead(401, { 'www-authenticate': 'Basic realm="ecr"' }).end();
      return true;
    },
  ];
  endpoint = `http://${registry.host}`;
  aws = await startPushAws(() => endpoint);
  const keys = { AWS_ACCESS_KEY_ID: 'AKID', AWS_SECRET_ACCESS_KEY: 'secret', AWS_MAX_ATTEMPTS: '2' };
  ctx = await testContext({ env: { ...keys, AWS_ENDPOINT_URL: aws.url, DOCKER_CONFIG: dir } });
});
afterEach(async () => {
  await aws[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await ctx[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const push = (more: Partial<PushRequest> = {}, context: Context = ctx): Promise<Pushed> =>
  pushImage({ image: image.path, targets: [target], ...more }, context, {
    patience: { attempts: 2, delay: 1, silence: 2000 },
    waiting: { interval: 1, longest: 2000 },
    watching: { interval: 5, lag: 10 },
  });
const create = { keepUntagged: 50 };
const arn = `arn:aws:ecr:eu-west-1:${account}:repository/app`;
const failure = async (more: Partial<PushRequest>) => pushError(await push(more));

describe('ECR', () => {
  test('a repository made on request: scanned, encrypted, with rules, and Lambda may pull', async () => {
    const { results } = await push({ create, immutable: true });
    expect(results[0]?.error).toBeUndefined();
    expect(aws.changes()).toEqual(['CreateRepository', 'PutLifecyclePolicy', 'SetRepositoryPolicy']);
    const { request, lifecycle, policy } = aws.repositories.get('app')!;
    expect(request).toEqual({
      registryId: account,
      repositoryName: 'app',
      imageTagMutability: 'IMMUTABLE',
      imageScanningConfiguration: { scanOnPush: true },
      encryptionConfiguration: { encryptionType: 'AES256' },
    });
    expect(JSON.parse(lifecycle!).rules[0].selection).toEqual({
      tagStatus: 'untagged',
      countType: 'imageCountMoreThan',
      countNumber: 50,
    });
    expect(policy).toContain('lambda.amazonaws.com');
    expect(registry.manifests.has('app:1')).toBe(true);
    // SBOM and provenance are found through the API: no other tag in a repository whose tags cannot be moved.
    expect([...registry.manifests.keys()].filter((name) => name.includes(':') && !name.includes('@'))).toEqual([
      'app:1',
    ]);
    expect(results[0]?.delivered).toMatchObject({
      statements: { through: 'referrers' },
      uri: `${host}/app@${image.digest}`,
    });
    await push({ create, immutable: true });
    expect(aws.changes()).toHaveLength(3);
  });

  test('encrypted with a key of the account', async () => {
    await push({ create: { ...create, kmsKey: 'alias/mine' } });
    expect(aws.repositories.get('app')?.request['encryptionConfiguration']).toEqual({
      encryptionType: 'KMS',
      kmsKey: 'alias/mine',
    });
  });

  test.each(['CreateRepository', 'PutLifecyclePolicy', 'SetRepositoryPolicy'])(
    'what a run that ended after %s left out, the next one makes up for; nothing is made twice',
    async (step) => {
      const abort = new AbortController();
      aws.instead = ({ operation }) => {
        if (aws.changes().includes(step) && operation !== step) abort.abort();
        return undefined;
      };
      await push({ create }, { ...ctx, signal: abort.signal }).catch(() => {});
      aws.instead = () => undefined;
      expect((await push({ create })).results[0]?.error).toBeUndefined();
      for (const one of ['CreateRepository', 'PutLifecyclePolicy', 'SetRepositoryPolicy'])
        expect(aws.changes().filter((name) => name === one)).toHaveLength(1);
    },
  );

  test('one whose answer was lost is not made again', async () => {
    let lost = false;
    aws.instead = ({ operation, body }) => {
      if (operation !== 'CreateRepository' || lost) return undefined;
      lost = true;
      aws.repositories.set('app', { request: JSON.parse(body.toString()) });
      return 'break';
    };
    expect((await push({ create })).results[0]?.error).toBeUndefined();
  });

  test('what somebody has set otherwise stays', async () => {
    aws.repositories.set('app', { request: {}, lifecycle: '{"rules":[]}', policy: '{"Statement":{"Sid":"own"}}' });
    await push({ create, accounts: ['111111111111'] });
    expect(aws.changes()).toEqual(['SetRepositoryPolicy']);
    const { policy, lifecycle } = aws.repositories.get('app')!;
    expect(JSON.parse(policy!).Statement.map(({ Sid }: { Sid: string }) => Sid)).toEqual([
      'own',
      'LambdaECRImageRetrievalPolicy',
      'CrossAccountPermission',
      'LambdaECRImageCrossAccountRetrievalPolicy',
    ]);
    expect(lifecycle).toBe('{"rules":[]}');
  });

  test('a dry run asks and changes nothing', async () => {
    const { results } = await push({ create, accounts: ['111111111111'], dryRun: true });
    expect(results[0]?.steps?.map((step) => step.split(' ').slice(0, 3).join(' '))).toEqual([
      'create the repository',
      'keep no more',
      'let Lambda pull',
      'let functions of',
    ]);
    expect(results[0]?.foreseen).toMatchObject({ digest: image.digest, before: undefined });
    expect(results[0]?.foreseen?.missing).toBeGreaterThan(100);
    expect(aws.changes()).toEqual([]);
    expect(registry.seen.filter(({ method }) => method !== 'GET' && method !== 'HEAD')).toEqual([]);
  });

  test('without --create, what is not there is said', async () => {
    expect(await failure({})).toMatchObject({
      code: 'REPOSITORY_MISSING',
      remedy: expect.stringContaining('--create'),
    });
    expect(await failure({ accounts: ['111111111111'] })).toMatchObject({ code: 'REPOSITORY_MISSING' });
    expect(aws.changes()).toEqual([]);
  });

  test('a tag that has another image, with --immutable', async () => {
    aws.repositories.set('app', { request: {} });
    registry.manifests.set('app:1', { type: 'application/vnd.oci.image.manifest.v1+json', bytes: Buffer.from('{}') });
    expect(await failure({ immutable: true })).toMatchObject({ code: 'TAG_TAKEN' });
    expect(registry.seen.some(({ method }) => method === 'PUT')).toBe(false);
    expect(await failure({})).toBeUndefined();
  });

  test('whoever may only write can push, but promise nothing about tags', async () => {
    aws.repositories.set('app', { request: {} });
    registry.rules.push((request, response) => {
      if (request.method !== 'GET' || !/manifests|referrers/.test(request.url ?? '')) return false;
      response
        .writeHead(403)
        .end('{"errors":[{"code":"DENIED","message":"not authorized to perform: ecr:BatchGetImage"}]}');
      return true;
    });
    const { results } = await push();
    expect(results[0]?.delivered).toMatchObject({ before: undefined, statements: { through: 'referrers' } });
    expect(registry.manifests.has('app:1')).toBe(true);
    expect(await failure({ immutable: true })).toMatchObject({ code: 'REGISTRY_DENIED' });
  });

  test.each<[string, string, ReturnType<typeof jsonError>, object]>([
    [
      'may not',
      'CreateRepository',
      jsonError(
        'AccessDeniedException',
        400,
        `User: arn:aws:iam::${account}:user/ci is not authorized to perform: ecr:CreateRepository on resource: ${arn}`,
      ),
      {
        code: 'AWS_DENIED',
        message: `arn:aws:iam::${account}:user/ci may not ecr:CreateRepository on ${arn} (eu-west-1).`,
      },
    ],
    [
      'old credentials',
      'GetAuthorizationToken',
      jsonError('ExpiredTokenException', 400),
      { code: 'AWS_CREDENTIALS_EXPIRED' },
    ],
    [
      'wrong credentials',
      'GetAuthorizationToken',
      jsonError('UnrecognizedClientException', 400),
      { code: 'AWS_CREDENTIALS_INVALID' },
    ],
    [
      'a name ECR does not know',
      'CreateRepository',
      jsonError('InvalidParameterException', 400, "Invalid parameter at 'repositoryName' failed to satisfy constraint"),
      { code: 'REFERENCE_INVALID' },
    ],
    ['a quota', 'CreateRepository', jsonError('LimitExceededException', 400), { code: 'AWS_QUOTA' }],
    ['throttling', 'DescribeRepositories', jsonError('ThrottlingException', 400), { code: 'AWS_THROTTLED' }],
  ])('%s: said, and nothing is pushed', async (_, operation, answer, expected) => {
    aws.instead = (call) => (call.operation === operation ? answer : undefined);
    expect(await failure({ create })).toMatchObject(expected);
    expect(registry.seen).toEqual([]);
  });

  test('too many accounts for a policy', async () => {
    const accounts = Array.from({ length: 120 }, (_, at) => String(100000000000 + at));
    expect(await failure({ create, accounts })).toMatchObject({ code: 'POLICY_TOO_LONG' });
  });

  test('an address without TLS that pretends to be its registry', async () => {
    endpoint = 'http://registry.example';
    expect(await failure({ create })).toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      message: expect.stringContaining('not a TLS'),
    });
  });

  test('several targets: one that fails does not stop the others, and the error says which', async () => {
    aws.repositories.set('app', { request: {} });
    const pushed = await push({ targets: [`${host}/missing:1`, target, `${registry.host}/app:2`] });
    expect(pushed.results.map(({ error }) => (error as { code?: string } | undefined)?.code)).toEqual([
      'REPOSITORY_MISSING',
      undefined,
      'REGISTRY_DENIED',
    ]);
    expect(pushError(pushed)).toMatchObject({
      code: 'PUSHES_FAILED',
      message: '2 of 3 pushes failed; the others are done.',
      detail: expect.stringMatching(/missing:1: .*\[REPOSITORY_MISSING\][\s\S]*app:2: .*\[REGISTRY_DENIED\]/),
    });
  });

  test('blobs are mounted from the target before', async () => {
    aws.repositories.set('app', { request: {} }).set('copy', { request: {} });
    const { results } = await push({ targets: [target, `${host}/copy:1`] });
    expect(results[1]?.delivered?.blobs).toMatchObject({ uploaded: 0, mounted: 2 });
  });

  test('--create and --share of somewhere else, unless a target beside it is in ECR', async () => {
    const elsewhere = await writableRegistry();
    const pushed = await push({ targets: [target, `${elsewhere.host}/x:1`], create });
    await elsewhere[Symbol.asyncDispose]();
    expect(pushError(pushed)).toBeUndefined();
    await expect(push({ targets: ['ghcr.io/a/b:1'], create })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(push({ targets: ['ghcr.io/a/b:1'], accounts: ['111111111111'] })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});

describe('a verdict that is not good', () => {
  test('nothing is pushed, unless that is overridden, and said', async () => {
    aws.repositories.set('app', { request: {} });
    image = await makeImage(dir, { ok: false });
    await expect(push()).rejects.toMatchObject({
      code: 'VERIFY_FAILED',
      message: expect.stringContaining('glibc 2.99'),
    });
    expect(registry.seen).toEqual([]);
    expect((await push({ force: true })).results[0]?.error).toBeUndefined();
    expect(ctx.events).toContainEqual(
      expect.objectContaining({ type: 'warn', message: expect.stringMatching(/^--force overrides: .*glibc 2\.99/) }),
    );
  });
});

describe('a function', () => {
  let state: FunctionState;
  beforeEach(() => {
    aws.repositories.set('app', { request: {} });
    state = { PackageType: 'Image', imageUri: 'x@sha256:0', versions: 1, updating: [], aliases: new Map() };
    aws.functions.set('f', state);
  });
  const update = async (more: object = {}, context: Context = ctx): Promise<Pushed> => {
    const pushed = await push({ update: { name: 'f', ...more } }, context);
    if (pushed.updateError !== undefined) {
      // The image arrived, and that can be said.
      expect(pushed.results[0]?.delivered?.digest).toBe(image.digest);
      throw pushed.updateError;
    }
    return pushed;
  };
  const shift = { weight: 0.1, duration: 60, tolerance: 0.01 };

  test('runs the image by its digest, and is waited for; again, nothing is changed', async () => {
    const { updated } = await update();
    expect(updated).toEqual({ function: 'f', uri: `${host}/app@${image.digest}`, changed: true });
    expect(state.imageUri).toBe(`${host}/app@${image.digest}`);
    expect(state.updating).toEqual([]);
    expect((await update()).updated).toMatchObject({ changed: false });
    expect(aws.changes()).toEqual(['PUT /2015-03-31/functions/f/code']);
  });

  test('an update that is under way is waited for first', async () => {
    state.updating = [{ LastUpdateStatus: 'InProgress' }, { State: 'Pending' }];
    expect((await update()).updated?.changed).toBe(true);
  });

  test.each<[string, () => void, object]>([
    ['is not there', () => aws.functions.clear(), { message: 'There is no function f in eu-west-1.' }],
    [
      'is made of a zip',
      () => {
        state.PackageType = 'Zip';
      },
      { remedy: expect.stringContaining('--package-type Image') },
    ],
    [
      'may not pull',
      () => {
        aws.instead = ({ operation }) =>
          operation.endsWith('/configuration') && aws.changes().length > 0
            ? {
                body: {
                  State: 'Active',
                  LastUpdateStatus: 'Failed',
                  LastUpdateStatusReasonCode: 'ImageAccessDenied',
                  LastUpdateStatusReason: 'no',
                },
              }
            : undefined;
      },
      { detail: 'Lambda says: ImageAccessDenied: no', remedy: expect.stringContaining('--create') },
    ],
    [
      'never settles',
      () => {
        aws.instead = ({ operation }) =>
          operation.endsWith('/configuration') ? { body: { LastUpdateStatus: 'InProgress' } } : undefined;
      },
      { message: 'f is still being updated.' },
    ],
  ])('one that %s', async (_, arrange, expected) => {
    arrange();
    await expect(update()).rejects.toMatchObject({ code: 'FUNCTION_NOT_UPDATED', ...expected });
  });

  test('one that fails is told with what was pushed', async () => {
    aws.functions.clear();
    const pushed = await push({ update: { name: 'f' } });
    expect(pushed.results[0]?.delivered?.digest).toBe(image.digest);
    expect(pushError(pushed)).toMatchObject({ code: 'FUNCTION_NOT_UPDATED' });
  });

  test('needs a target in ECR, in its region', async () => {
    await expect(push({ targets: ['ghcr.io/a/b:1'], update: { name: 'f' } })).rejects.toMatchObject({ code: 'USAGE' });
    const name = `arn:aws:lambda:us-east-1:${account}:function:f`;
    await expect(push({ update: { name } })).rejects.toMatchObject({
      message: expect.stringContaining('in us-east-1'),
    });
  });

  test('is left alone when its image did not arrive', async () => {
    aws.repositories.clear();
    const pushed = await update();
    expect(pushed.updated).toBeUndefined();
    expect(pushError(pushed)).toMatchObject({ code: 'REPOSITORY_MISSING' });
    expect(aws.changes()).toEqual([]);
  });

  test('an alias is made, and moved at once', async () => {
    expect((await update({ alias: 'live' })).updated?.alias).toMatchObject({ from: undefined, to: '2' });
    expect((await update({ alias: 'live' })).updated?.alias).toMatchObject({ from: '2', to: '3' });
    expect(state.aliases.get('live')).toMatchObject({ version: '3', weights: {} });
  });

  test('an alias follows step by step when the new version does well', async () => {
    state.aliases.set('live', { version: '1', weights: {}, revision: 1 });
    const seen: unknown[] = [];
    aws.metrics.set('1', { invocations: 900, errors: 9 }).set('2', { invocations: 100, errors: 1 });
    aws.instead = ({ operation }) => {
      if (operation === 'GetMetricData') seen.push({ ...state.aliases.get('live')?.weights });
      return undefined;
    };
    const { updated } = await update({ alias: 'live', shift });
    expect(seen[0]).toEqual({ 2: 0.1 });
    expect(state.aliases.get('live')).toMatchObject({ version: '2', weights: {} });
    expect(updated?.alias).toMatchObject({
      from: '1',
      to: '2',
      counted: { old: { invocations: 900, errors: 9 }, new: { invocations: 100, errors: 1 } },
    });
  });

  test('and returns when it does not', async () => {
    state.aliases.set('live', { version: '1', weights: {}, revision: 1 });
    aws.metrics.set('1', { invocations: 900, errors: 9 }).set('2', { invocations: 100, errors: 4 });
    await expect(update({ alias: 'live', shift: { ...shift, duration: 60_000 } })).rejects.toMatchObject({
      code: 'ALIAS_RETURNED',
      detail: 'version 2: 4 errors of 100 calls (4.0%)\nversion 1: 9 errors of 900 calls (1.0%)',
    });
    expect(state.aliases.get('live')).toMatchObject({ version: '1', weights: {} });
  });

  test('a few calls are chance until the time is over', async () => {
    state.aliases.set('live', { version: '1', weights: {}, revision: 1 });
    aws.metrics.set('1', { invocations: 100, errors: 0 }).set('2', { invocations: 2, errors: 2 });
    await expect(update({ alias: 'live', shift })).rejects.toMatchObject({ code: 'ALIAS_RETURNED' });
    expect(aws.fake.calls.filter(({ operation }) => operation === 'GetMetricData').length).toBeGreaterThan(2);
  });

  test('without any calls it moves, and says that nothing is known', async () => {
    state.aliases.set('live', { version: '1', weights: {}, revision: 1 });
    await update({ alias: 'live', shift });
    expect(state.aliases.get('live')?.version).toBe('2');
    expect(ctx.events).toContainEqual(
      expect.objectContaining({ type: 'warn', message: expect.stringContaining('nothing is known') }),
    );
  });

  test('a shift that is stopped returns', async () => {
    state.aliases.set('live', { version: '1', weights: {}, revision: 1 });
    const abort = new AbortController();
    aws.instead = ({ operation }) => {
      if (operation === 'GetMetricData') abort.abort();
      return undefined;
    };
    const run = update({ alias: 'live', shift: { ...shift, duration: 60_000 } }, { ...ctx, signal: abort.signal });
    await expect(run).rejects.toMatchObject({
      code: 'CANCELLED',
      message: 'Stopped; alias live leads to version 1 again.',
    });
    expect(state.aliases.get('live')).toMatchObject({ version: '1', weights: {} });
  });

  test('one that cannot return says what still goes where', async () => {
    state.aliases.set('live', { version: '1', weights: {}, revision: 1 });
    aws.metrics.set('2', { invocations: 100, errors: 100 });
    aws.instead = ({ operation }) =>
      operation.startsWith('PUT') && operation.includes('aliases') && state.aliases.get('live')?.weights['2']
        ? jsonError('AccessDeniedException', 403)
        : undefined;
    await expect(update({ alias: 'live', shift })).rejects.toMatchObject({
      code: 'FUNCTION_NOT_UPDATED',
      message: 'Alias live of f was to return and could not: 10.0% of its calls still go to version 2.',
      remedy: expect.stringContaining('aws lambda update-alias'),
    });
  });

  test.each(['f:live', 'arn:aws:lambda:eu-west-1:123456789012:function:f:3', 'my function'])('not %s', async (name) => {
    await expect(push({ update: { name } })).rejects.toMatchObject({ code: 'USAGE' });
  });

  test('a shift that a killed run left half-way is taken up; another one is not overruled', async () => {
    state.aliases.set('live', { version: '1', weights: { 2: 0.1 }, revision: 7 });
    await update({ alias: 'live', shift });
    expect(state.aliases.get('live')).toMatchObject({ version: '2', weights: {} });
    state.aliases.set('live', { version: '1', weights: { 9: 0.5 }, revision: 1 });
    await expect(update({ alias: 'live', shift })).rejects.toMatchObject({
      message: expect.stringContaining('to version 9'),
    });
  });

  test('somebody else’s change of the alias in between is not overwritten', async () => {
    state.aliases.set('live', { version: '1', weights: {}, revision: 1 });
    aws.instead = ({ operation }) => {
      if (operation === 'GetMetricData') state.aliases.get('live')!.revision += 1;
      return undefined;
    };
    await expect(update({ alias: 'live', shift })).rejects.toMatchObject({
      message: expect.stringContaining('Somebody else'),
    });
  });
});
