// One layer into several regions: what is done, what is not done twice, what every failure leaves and says.
import { createHash } from 'node:crypto';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AwsSession } from '../../build/aws/session.ts';
import type { Context } from '../../build/lib/context.ts';
import type { MakeRuntimeError } from '../../build/lib/errors.ts';
import type { ReportEvent } from '../../build/lib/report.ts';
import type { Publishable } from '../../build/publish/artifact.ts';
import { maxInlineZip } from '../../build/publish/inline-body.ts';
import { type PublishInput, publishError, publishLayer, type RegionResult } from '../../build/publish/publish.ts';
import { listPublished } from '../../build/publish/published.ts';
import { type LayerWords, layerMetadata, readWishes } from '../../build/publish/request.ts';
import { digestFile } from '../../build/source/cache.ts';
import { type AwsCall, type FakeAws, jsonError, type Script, startFakeAws } from '../aws/support/fake-aws.ts';
import { lock } from '../recipe/support/plans.ts';
import { samplePlan } from '../verify/sample-plan.ts';
import { FakeAccount } from './support/fake-account.ts';

let aws: FakeAws;
let dir: string;
let account: FakeAccount;
let small: Publishable;
let large: Publishable;
let events: ReportEvent[];

const open = async (path: string): Promise<Publishable> => ({
  path,
  ...(await digestFile(path, new AbortController().signal)),
  arch: 'x86_64',
  plan: samplePlan(),
  licences: ['PSF-2.0', 'Apache-2.0'],
  overridden: [],
});

beforeAll(async () => {
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
  aws = await startFakeAws();
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-publish-'));
  await writeFile(join(dir, 'small.zip'), 'this is not looked into');
  await writeFile(join(dir, 'large.zip'), 'nor this');
  await truncate(join(dir, 'large.zip'), maxInlineZip + 1);
  small = await open(join(dir, 'small.zip'));
  large = await open(join(dir, 'large.zip'));
});
afterAll(async () => {
  await aws.close();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(() => {
  account = new FakeAccount();
  events = [];
  aws.calls.length = 0;
  aws.script = account.answer;
});

function context(more: Partial<Context> = {}): Context {
  return {
    report: (event) => void events.push(event),
    signal: new AbortController().signal,
    cacheDir: dir,
    packageDir: dir,
    env: { AWS_ENDPOINT_URL: aws.url, AWS_ACCESS_KEY_ID: 'AKID', AWS_SECRET_ACCESS_KEY: 'wJalr' },
    offline: false,
    ...more,
  };
}

async function publish(
  words: Partial<LayerWords> = {},
  input: Partial<PublishInput> = {},
  ctx = context(),
): Promise<readonly RegionResult[]> {
  const artifact = input.artifact ?? small;
  const all = { name: 'python', ...words };
  using session = new AwsSession(ctx, { patience: { attempts: 3, delay: 1, silence: 2000 } });
  const request = { ...readWishes(all), metadata: layerMetadata(all, artifact) };
  const regions = ['eu-west-1', 'us-east-1'];
  return publishLayer({ artifact, request, regions, concurrency: 2, dryRun: false, settle: 1, ...input }, session, ctx);
}
const onlyWest = { regions: ['eu-west-1'] };
const errorOf = (results: readonly RegionResult[]) => publishError(results, 'python') as MakeRuntimeError | undefined;
const asked = (part: string) => aws.calls.filter(({ operation }) => operation.includes(part));
const isPublish = ({ operation }: AwsCall) => /^POST .*\/versions$/.test(operation);
/** What happens to the calls that `matches`, in turn; the account answers the others, and what comes after. */
function inTurn(matches: (call: AwsCall) => boolean, ...answers: ReturnType<Script>[]): void {
  aws.script = (call) => (matches(call) ? (answers.shift() ?? account.answer(call)) : account.answer(call));
}
const numbers = (region: string) => account.versionsOf(region, 'python').map(({ Version }) => Version);

describe('one version', () => {
  test('everything that was asked for, in each region', async () => {
    const results = await publish({
      share: ['public', 'account:210987654321', 'org:o-a1b2c3d4e5', 'public'],
      ssmParameter: '/runtimes/python',
      description: 'ours',
    });
    expect(errorOf(results)).toBeUndefined();
    for (const region of ['eu-west-1', 'us-east-1']) {
      const [version, ...more] = account.versionsOf(region, 'python');
      expect(more).toEqual([]);
      expect(version).toMatchObject({
        Description: `ours (CPython ${samplePlan().python.version} default x86_64 fast, plan ${samplePlan().id})`,
        CompatibleRuntimes: ['provided.al2023'],
        CompatibleArchitectures: ['x86_64'],
        LicenseInfo: 'PSF-2.0 AND Apache-2.0',
      });
      expect(version?.Content.CodeSha256).toBe(Buffer.from(small.sha256, 'hex').toString('base64'));
      const use = 'lambda:GetLayerVersion';
      expect(version?.policy).toEqual([
        { Sid: 'make-runtime-public', Action: use, Principal: '*' },
        { Sid: 'make-runtime-account-210987654321', Action: use, Principal: '210987654321' },
        { Sid: 'make-runtime-org-o-a1b2c3d4e5', Action: use, Principal: '*', OrganizationId: 'o-a1b2c3d4e5' },
      ]);
      expect(account.parameters.get(`${region}/runtimes/python`)).toBe(version?.LayerVersionArn);
    }
    // Who pointed at it before it could be used would have been wrong for a moment.
    const west = aws.calls.filter(({ region }) => region === 'eu-west-1').map(({ operation }) => operation);
    expect(west.indexOf('PutParameter')).toBeGreaterThan(west.findLastIndex((one) => one.includes('/policy')));
  });

  test('again: nothing', async () => {
    const words = { share: ['public'], ssmParameter: '/p', keep: 1 };
    await publish(words);
    aws.calls.length = 0;
    const results = await publish(words);
    expect(errorOf(results)).toBeUndefined();
    expect(results.map(({ done }) => [done.published, done.version?.version])).toEqual([
      [false, 1],
      [false, 1],
    ]);
    const changing = aws.calls.filter(({ operation }) => /^(POST|PUT|DELETE) .*layers|^Put/.test(operation));
    expect(changing).toEqual([]);
  });

  test.each([
    ['other bytes', {}, { artifact: 'large' }],
    ['another description', { description: 'other' }, {}],
    ['another licence', { license: 'MIT' }, {}],
  ])('%s: a new version', async (_what, words, more) => {
    await publish({}, onlyWest);
    account.buckets.set('make-runtime-123456789012-eu-west-1', {
      region: 'eu-west-1',
      objects: new Map(),
      closed: true,
    });
    const results = await publish(words, { ...onlyWest, ...('artifact' in more ? { artifact: large } : {}) });
    expect(errorOf(results)).toBeUndefined();
    expect(numbers('eu-west-1')).toEqual([1, 2]);
  });

  test('an older version with these bytes does not count: the newest one is what people find', async () => {
    await publish({}, onlyWest);
    await publish({ description: 'other' }, onlyWest);
    await publish({}, onlyWest);
    expect(numbers('eu-west-1')).toEqual([1, 2, 3]);
  });

  test('grants that a killed run did not come to are made up for', async () => {
    await publish({}, onlyWest);
    const results = await publish({ share: ['public'], ssmParameter: '/p' }, onlyWest);
    expect(results[0]?.done).toMatchObject({ published: false, granted: ['make-runtime-public'], parameter: '/p' });
    expect(numbers('eu-west-1')).toEqual([1]);
  });

  test('a dry run says the same and changes nothing', async () => {
    await publish({}, onlyWest);
    aws.calls.length = 0;
    const words = { description: 'new', share: ['public'], ssmParameter: '/p', keep: 1 };
    const [result] = await publish(words, { ...onlyWest, dryRun: true });
    expect(result?.plan).toMatchObject({
      publish: { why: 'version 1 differs in description', through: 'request' },
      grants: [{ id: 'make-runtime-public' }],
      parameter: { name: '/p', from: undefined },
      prune: [{ version: 1 }],
    });
    expect(aws.calls.map(({ operation }) => operation).filter((one) => !/^(GET|HEAD) |^Get/.test(one))).toEqual([]);
    const [done] = (await publish(words, onlyWest)).map(({ done }) => done);
    expect(done).toMatchObject({ granted: ['make-runtime-public'], parameter: '/p', pruned: [1] });
  });
});

describe('what happens on the way', () => {
  test('throttled: waits and goes on', async () => {
    inTurn(isPublish, jsonError('TooManyRequestsException', 429), jsonError('TooManyRequestsException', 429));
    expect(errorOf(await publish({}, onlyWest))).toBeUndefined();
    expect(numbers('eu-west-1')).toEqual([1]);
  });

  test('an answer that is lost: looks, and does not publish twice', async () => {
    aws.script = (call) => {
      const answer = account.answer(call);
      return isPublish(call) ? 'break' : answer;
    };
    const results = await publish({ share: ['public'] }, onlyWest);
    expect(errorOf(results)).toBeUndefined();
    expect(results[0]?.done).toMatchObject({ published: true, granted: ['make-runtime-public'] });
    expect(numbers('eu-west-1')).toEqual([1]);
    expect(asked('POST').filter(isPublish).length).toBe(1);
  });

  test('a request that was lost: looks, and publishes', async () => {
    inTurn(isPublish, 'break', jsonError('ServiceException', 500));
    expect(errorOf(await publish({}, onlyWest))).toBeUndefined();
    expect(numbers('eu-west-1')).toEqual([1]);
  });

  test('never any answer: gives up', async () => {
    inTurn(isPublish, 'break', 'break', 'break', 'break');
    expect(errorOf(await publish({}, onlyWest))).toMatchObject({ code: 'AWS_UNREACHABLE' });
    expect(numbers('eu-west-1')).toEqual([]);
  });

  test('one region fails, the others are done; the second run does the rest', async () => {
    const denied =
      'User: arn:aws:iam::123456789012:user/ci is not authorized to perform: lambda:PublishLayerVersion on resource: arn:aws:lambda:us-east-1:123456789012:layer:python because no identity-based policy allows it';
    inTurn((call) => isPublish(call) && call.region === 'us-east-1', jsonError('AccessDeniedException', 403, denied));
    const results = await publish({}, { regions: ['eu-west-1', 'us-east-1', 'eu-north-1'] });
    expect(errorOf(results)).toMatchObject({
      code: 'AWS_DENIED',
      message: '1 of 3 regions failed; the other 2 are done.',
      detail: expect.stringContaining(
        'us-east-1: arn:aws:iam::123456789012:user/ci may not lambda:PublishLayerVersion on arn:aws:lambda:us-east-1:123456789012:layer:python',
      ),
    });
    expect([numbers('eu-west-1'), numbers('us-east-1'), numbers('eu-north-1')]).toEqual([[1], [], [1]]);
    expect(errorOf(await publish({}, { regions: ['eu-west-1', 'us-east-1', 'eu-north-1'] }))).toBeUndefined();
    expect([numbers('eu-west-1'), numbers('us-east-1'), numbers('eu-north-1')]).toEqual([[1], [1], [1]]);
  });

  test('regions that fail for different reasons', async () => {
    aws.script = (call) => {
      if (!isPublish(call)) return account.answer(call);
      return call.region === 'eu-west-1'
        ? jsonError('TooManyRequestsException', 429)
        : jsonError('InvalidParameterValueException', 400);
    };
    const failure = errorOf(await publish());
    expect(failure).toMatchObject({ code: 'PUBLISH_FAILED', message: '2 of 2 regions failed; the other 0 are done.' });
    expect(failure?.detail).toContain('[AWS_THROTTLED]');
    expect(failure?.detail).toContain('[AWS_REFUSED]');
  });

  test('Lambda stored something else: the version goes again', async () => {
    aws.script = (call) => {
      const answer = account.answer(call);
      if (!isPublish(call) || typeof answer !== 'object' || !('body' in answer)) return answer;
      return { ...answer, body: { ...(answer.body as object), Content: { CodeSha256: 'AAAA', CodeSize: 1 } } };
    };
    expect(errorOf(await publish({}, onlyWest))).toMatchObject({ code: 'PUBLISHED_DAMAGED' });
    expect(numbers('eu-west-1')).toEqual([]);
  });

  test('a file that changed since it was verified is not sent', async () => {
    const path = join(dir, 'changing.zip');
    await writeFile(path, 'one');
    const artifact = await open(path);
    await writeFile(path, 'two');
    expect(errorOf(await publish({}, { ...onlyWest, artifact }))).toMatchObject({ code: 'ARTIFACT_CHANGED' });
    await writeFile(path, 'longer than before');
    expect(errorOf(await publish({}, { ...onlyWest, artifact }))).toMatchObject({ code: 'ARTIFACT_CHANGED' });
    expect(numbers('eu-west-1')).toEqual([]);
  });

  test('a policy that is full', async () => {
    inTurn(
      ({ operation }) => operation.startsWith('POST') && operation.endsWith('/policy'),
      jsonError('PolicyLengthExceededException'),
    );
    const results = await publish({ share: ['account:210987654321'], keep: 1 }, onlyWest);
    expect(errorOf(results)).toMatchObject({
      code: 'POLICY_TOO_LONG',
      remedy: expect.stringContaining('--share org:'),
    });
    expect(results[0]?.done).toMatchObject({ published: true, granted: [] });
  });

  test('code storage that is full: how much, and what could go', async () => {
    for (const description of ['a', 'b', 'c']) await publish({ description }, onlyWest);
    account.functions.set('eu-west-1', [
      {
        FunctionName: 'f',
        Version: '$LATEST',
        Layers: [{ Arn: account.versionsOf('eu-west-1', 'python')[0]?.LayerVersionArn }],
      },
    ]);
    inTurn(isPublish, jsonError('CodeStorageExceededException', 400));
    expect(errorOf(await publish({}, onlyWest))).toMatchObject({
      code: 'AWS_QUOTA',
      message: "Lambda's code storage in eu-west-1 is full.",
      detail: '79.9 GB of 80.0 GB are used.\nNo function uses versions 2 of python; removing them would free 0.0 MB.',
      remedy: expect.stringContaining('--region eu-west-1 --layer-name python --version-number 2'),
    });
    const denied = jsonError('AccessDeniedException', 403);
    aws.script = (call) => {
      if (isPublish(call)) return jsonError('CodeStorageExceededException', 400);
      return call.operation.includes('account-settings') ? denied : account.answer(call);
    };
    expect(errorOf(await publish({}, onlyWest))).toMatchObject({ code: 'AWS_QUOTA' });
  });

  test('Ctrl-C: what was sent is waited for, nothing more is begun, and it says so', async () => {
    const stop = new AbortController();
    aws.script = (call) => {
      if (isPublish(call)) stop.abort();
      return account.answer(call);
    };
    const ctx = context({ signal: stop.signal });
    const results = await publish({ share: ['public'] }, { regions: ['eu-west-1', 'us-east-1'], concurrency: 1 }, ctx);
    expect(errorOf(results)).toMatchObject({
      code: 'CANCELLED',
      message: 'Stopped: python is done in 0 of 2 regions; a re-run does the rest.',
    });
    expect(results[0]?.done).toMatchObject({ published: true, granted: [] });
    expect([numbers('eu-west-1'), numbers('us-east-1')]).toEqual([[1], []]);
    aws.script = account.answer;
    expect(errorOf(await publish({ share: ['public'] }))).toBeUndefined();
    expect([numbers('eu-west-1'), numbers('us-east-1')]).toEqual([[1], [1]]);
  });
});

describe('--keep', () => {
  test('removes old versions that no version of any function uses, on whichever page it is', async () => {
    account.page = 2;
    for (const description of ['a', 'b', 'c', 'd', 'e']) await publish({ description }, onlyWest);
    const arn = (version: number) => account.versionsOf('eu-west-1', 'python')[version - 1]?.LayerVersionArn;
    account.functions.set('eu-west-1', [
      { FunctionName: 'plain', Version: '$LATEST' },
      {
        FunctionName: 'other',
        Version: '$LATEST',
        Layers: [{ Arn: 'arn:aws:lambda:eu-west-1:123456789012:layer:x:1' }],
      },
      { FunctionName: 'old', Version: '$LATEST', Layers: [{ Arn: arn(5) }] },
      { FunctionName: 'old', Version: '3', Layers: [{ Arn: 'arn:x' }, { Arn: arn(2) }] },
    ]);
    const [result] = await publish({ description: 'f', keep: 2 }, onlyWest);
    expect(result?.error).toBeUndefined();
    expect(result?.done.pruned).toEqual([4, 3, 1]);
    expect(result?.plan?.inUse).toEqual([{ version: 2, functions: ['old:3'] }]);
    expect(numbers('eu-west-1')).toEqual([2, 5, 6]);
    expect(asked('/functions').every(({ operation }) => operation.includes('FunctionVersion=ALL'))).toBe(true);
    expect(events).toContainEqual({
      type: 'note',
      message: 'removing old versions of python: 4, 3, 1',
      build: 'eu-west-1',
    });
  });

  test('a function that is deployed meanwhile', async () => {
    for (const description of ['a', 'b']) await publish({ description }, onlyWest);
    aws.script = (call) => {
      if (isPublish(call)) {
        const Layers = [{ Arn: account.versionsOf('eu-west-1', 'python')[0]?.LayerVersionArn }];
        account.functions.set('eu-west-1', [{ FunctionName: 'late', Version: '$LATEST', Layers }]);
      }
      return account.answer(call);
    };
    await publish({ description: 'c', keep: 1 }, onlyWest);
    expect(numbers('eu-west-1')).toEqual([1, 3]);
  });

  test('who may not look at functions removes nothing', async () => {
    for (const description of ['a', 'b']) await publish({ description }, onlyWest);
    inTurn(({ operation }) => operation.includes('/functions'), jsonError('AccessDeniedException', 403));
    const results = await publish({ description: 'c', keep: 1 }, onlyWest);
    expect(errorOf(results)).toMatchObject({
      code: 'AWS_DENIED',
      message: expect.stringContaining('lambda:ListFunctions'),
    });
    expect(numbers('eu-west-1')).toEqual([1, 2]);
  });

  test('nothing goes when publishing fails', async () => {
    for (const description of ['a', 'b']) await publish({ description }, onlyWest);
    inTurn(isPublish, jsonError('InvalidParameterValueException', 400));
    expect(errorOf(await publish({ description: 'c', keep: 1 }, onlyWest))).toMatchObject({ code: 'AWS_REFUSED' });
    expect(numbers('eu-west-1')).toEqual([1, 2]);
  });
});

describe('through S3', () => {
  const bucket = 'make-runtime-123456789012-eu-west-1';
  const key = () => `make-runtime/python/${large.sha256}.zip`;

  test('no bucket', async () => {
    expect(errorOf(await publish({}, { ...onlyWest, artifact: large }))).toMatchObject({
      code: 'BUCKET_MISSING',
      message: `There is no bucket ${bucket} in eu-west-1 for the layer to go through.`,
    });
    expect(numbers('eu-west-1')).toEqual([]);
  });

  test('a bucket for each region, made and closed; the object goes again', async () => {
    expect(errorOf(await publish({ createBucket: true }, { artifact: large }))).toBeUndefined();
    expect(
      [...account.buckets].map(([name, { region, objects, closed }]) => [name, region, objects.size, closed]),
    ).toEqual(
      expect.arrayContaining([
        [bucket, 'eu-west-1', 0, true],
        ['make-runtime-123456789012-us-east-1', 'us-east-1', 0, true],
      ]),
    );
    expect([numbers('eu-west-1'), numbers('us-east-1')]).toEqual([[1], [1]]);
  });

  test('a bucket that a killed run made and did not close', async () => {
    account.buckets.set(bucket, { region: 'eu-west-1', objects: new Map(), closed: false });
    await publish({ createBucket: true }, { ...onlyWest, artifact: large });
    expect(account.buckets.get(bucket)?.closed).toBe(true);
  });

  test('an object that is there is not uploaded again, and stays when asked', async () => {
    const object = { sha256: Buffer.from(large.sha256, 'hex').toString('base64'), size: large.size };
    account.buckets.set('mine', { region: 'eu-west-1', objects: new Map([[key(), object]]), closed: true });
    await publish({ s3Bucket: 'mine', keepObject: true }, { ...onlyWest, artifact: large });
    expect(asked('PUT')).toEqual([]);
    expect(account.buckets.get('mine')?.objects.has(key())).toBe(true);
    // Without --keep-object the next run cleans up, as it does after one that was killed.
    await publish({ s3Bucket: 'mine' }, { ...onlyWest, artifact: large });
    expect(account.buckets.get('mine')?.objects.size).toBe(0);
    expect(numbers('eu-west-1')).toEqual([1]);
  });

  test('what cannot be removed is a warning', async () => {
    account.buckets.set(bucket, { region: 'eu-west-1', objects: new Map(), closed: true });
    inTurn(({ operation }) => operation.startsWith('DELETE'), jsonError('AccessDenied', 403));
    expect(errorOf(await publish({}, { ...onlyWest, artifact: large }))).toBeUndefined();
    expect(events).toContainEqual(expect.objectContaining({ type: 'warn', message: expect.stringContaining(key()) }));
  });

  test('a bucket in another region, one for several regions', async () => {
    account.buckets.set('mine', { region: 'us-east-1', objects: new Map(), closed: true });
    expect(errorOf(await publish({ s3Bucket: 'mine' }, { ...onlyWest, artifact: large }))).toMatchObject({
      code: 'BUCKET_UNUSABLE',
      message: 'The bucket mine is in another region.',
    });
    await expect(publish({ s3Bucket: 'mine' }, { artifact: large })).rejects.toMatchObject({
      code: 'USAGE',
      remedy: expect.stringContaining('mine-{region}'),
    });
  });

  test("somebody else's bucket", async () => {
    inTurn(({ operation }) => operation.startsWith('HEAD'), { status: 403, body: '' });
    expect(errorOf(await publish({ s3Bucket: 'theirs' }, { ...onlyWest, artifact: large }))).toMatchObject({
      code: 'BUCKET_UNUSABLE',
      message: expect.stringContaining('another account'),
    });
  });
});

describe('layers', () => {
  const list = async (name?: string) => {
    const ctx = context();
    using aws = new AwsSession(ctx, { patience: { attempts: 1, delay: 1, silence: 2000 } });
    return await listPublished(
      { regions: ['eu-west-1', 'us-east-1', 'eu-north-1'], name, concurrency: 2, lock: await lock() },
      aws,
      ctx,
    );
  };

  test('what is where, what is missing, what is stale', async () => {
    await publish({});
    await publish({ description: 'newer' }, onlyWest);
    const artifact = { ...small, plan: { ...samplePlan(), id: '0123456789abcdef' } };
    await publish({ name: 'other' }, { ...onlyWest, artifact });
    const west = account.layers.get('eu-west-1/python')?.at(-1);
    Object.assign(west?.Content ?? {}, { CodeSha256: 'newer' });
    await publish({ name: 'foreign' }, { ...onlyWest, artifact: { ...small, plan: undefined } });
    const { layers, missing, failures } = await list();
    expect(
      layers.map(({ name, region, version, older, built, size }) => [name, region, version, older, built?.plan, size]),
    ).toEqual([
      ['other', 'eu-west-1', 1, [], '0123456789abcdef', small.size],
      ['python', 'eu-west-1', 2, [1], samplePlan().id, small.size],
      ['python', 'us-east-1', 1, [], samplePlan().id, small.size],
    ]);
    const behind = layers.find(({ region }) => region === 'us-east-1');
    expect(behind?.stale).toContain(`eu-west-1 has plan ${samplePlan().id}`);
    expect(missing).toEqual([
      { name: 'other', region: 'us-east-1' },
      { name: 'other', region: 'eu-north-1' },
      { name: 'python', region: 'eu-north-1' },
    ]);
    expect(failures).toEqual([]);
    expect((await list('foreign')).layers.map(({ name }) => name)).toEqual(['foreign']);
  });

  test('a CPython that has a newer patch release', async () => {
    const plan = { ...samplePlan(), python: { ...samplePlan().python, version: '3.13.0' } };
    await publish({}, { ...onlyWest, artifact: { ...small, plan } });
    expect((await list()).layers[0]?.stale).toEqual([expect.stringMatching(/^CPython 3\.13\.\d+ is pinned$/)]);
  });

  test('a region that fails does not hide the others', async () => {
    await publish({}, onlyWest);
    aws.script = (call) =>
      call.region === 'us-east-1' && call.service === 'lambda'
        ? jsonError('AccessDeniedException', 403)
        : account.answer(call);
    const { layers, failures, missing } = await list();
    expect(layers.length).toBe(1);
    expect(failures).toMatchObject([{ region: 'us-east-1', error: { code: 'AWS_DENIED' } }]);
    expect(missing).toEqual([{ name: 'python', region: 'eu-north-1' }]);
  });
});

test('the body of a request is the JSON it says, with the zip in base64', async () => {
  await publish({}, onlyWest);
  const body = asked('POST').find(isPublish)?.body ?? Buffer.alloc(0);
  const { Content } = JSON.parse(body.toString());
  expect(createHash('sha256').update(Buffer.from(Content.ZipFile, 'base64')).digest('hex')).toBe(small.sha256);
});
