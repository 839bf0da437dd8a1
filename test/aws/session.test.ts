// The SDK itself against an HTTP server in this process: signing, parsing and retrying are real, only the answers are
// scripted, because no emulator can be made to throttle, deny or break a connection.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { chooseRegions } from '../../build/aws/regions.ts';
import { AwsSession } from '../../build/aws/session.ts';
import type { Context } from '../../build/lib/context.ts';
import type { ReportEvent } from '../../build/lib/report.ts';
import { type AwsAnswer, callerIdentity, type FakeAws, jsonError, startFakeAws, xmlError } from './support/fake-aws.ts';

let aws: FakeAws;
let dir: string;
const events: ReportEvent[] = [];
const abort = new AbortController();

beforeAll(async () => {
  aws = await startFakeAws();
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-aws-'));
  // The SDK's own chain reads these; whoever runs the tests may have credentials.
  Object.assign(process.env, {
    AWS_CONFIG_FILE: join(dir, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: join(dir, 'credentials'),
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  });
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE', 'AWS_REGION', 'AWS_DEFAULT_REGION'])
    delete process.env[name];
  await writeFile(
    join(dir, 'config'),
    '[profile ci]\nregion = eu-north-1\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = wJalrProfile\n' +
      '[profile gone]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dev\n' +
      '[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://example.com/start\n',
  );
});
beforeEach(() => {
  aws.calls.length = 0;
  events.length = 0;
  aws.script = () => callerIdentity();
});
afterAll(async () => {
  await aws.close();
  await rm(dir, { recursive: true, force: true });
});

const keys = { AWS_ACCESS_KEY_ID: 'AKIDENV', AWS_SECRET_ACCESS_KEY: 'wJalrEnv' };

function context(env: Record<string, string> = keys, more: Partial<Context> = {}): Context {
  return {
    report: (event) => void events.push(event),
    signal: abort.signal,
    cacheDir: dir,
    packageDir: dir,
    env: { AWS_ENDPOINT_URL: aws.url, ...env },
    offline: false,
    ...more,
  };
}
const open = (env?: Record<string, string>, profile?: string) =>
  new AwsSession(context(env), { patience: { attempts: 3, delay: 1, silence: 2000 }, profile });
const keyUsed = () => /Credential=(\w+)/.exec(aws.calls[0]?.headers.authorization ?? '')?.[1];

describe('who we are', () => {
  test('keys of the environment', async () => {
    using session = open();
    expect(await session.identity('eu-west-1')).toEqual({
      account: '123456789012',
      arn: 'arn:aws:iam::123456789012:user/ci',
      partition: 'aws',
    });
    await session.identity('eu-west-1');
    expect(aws.calls.map(({ region, service }) => [region, service])).toEqual([['eu-west-1', 'sts']]);
    expect(keyUsed()).toBe('AKIDENV');
  });

  test('a profile, which also names the region', async () => {
    using session = open({}, 'ci');
    expect(await session.defaultRegion()).toBe('eu-north-1');
    await session.identity('eu-west-1');
    expect(keyUsed()).toBe('AKIDPROFILE');
  });

  test('nobody', async () => {
    using session = open({});
    await expect(session.identity('eu-west-1')).rejects.toMatchObject({ code: 'AWS_NO_CREDENTIALS' });
    expect(aws.calls).toEqual([]);
  });

  test('an SSO session that is over', async () => {
    using session = open({}, 'gone');
    await expect(session.identity('eu-west-1')).rejects.toMatchObject({
      code: 'AWS_CREDENTIALS_EXPIRED',
      remedy: expect.stringContaining('aws sso login --profile gone'),
    });
  });

  test.each([
    ['ExpiredToken', 403, 'AWS_CREDENTIALS_EXPIRED'],
    ['InvalidClientTokenId', 403, 'AWS_CREDENTIALS_INVALID'],
    ['SignatureDoesNotMatch', 403, 'AWS_CREDENTIALS_INVALID'],
  ])('STS says %s', async (name, status, code) => {
    aws.script = () => xmlError(name, status);
    using session = open();
    const failure = await session.identity('eu-west-1').catch((error) => error);
    expect(failure).toMatchObject({ code, remedy: expect.any(String), detail: expect.stringContaining(name) });
    expect(JSON.stringify([failure.message, failure.detail, failure.remedy])).not.toContain('wJalr');
  });

  test('a region that does not know the account is told from bad credentials', async () => {
    aws.script = ({ region }) => (region === 'us-east-1' ? callerIdentity() : xmlError('InvalidClientTokenId', 403));
    using session = open();
    expect((await session.identity('eu-south-2')).account).toBe('123456789012');
    aws.script = () => jsonError('UnrecognizedClientException', 403);
    await expect(session.enabledRegions('eu-south-2')).rejects.toMatchObject({ code: 'AWS_REGION_INVALID' });
  });
});

describe('asking', () => {
  const asked = { action: 'account:ListRegions', resource: '*', region: 'us-east-1' };
  const regions: AwsAnswer = { body: { Regions: [{ RegionName: 'eu-west-1' }] } };
  const answers = (list: (AwsAnswer | 'break')[]) => {
    aws.script = () => list.shift() ?? regions;
  };

  test('goes on after throttling, stumbles and broken connections', async () => {
    using session = open();
    answers([jsonError('TooManyRequestsException', 429), jsonError('InternalServerException', 500)]);
    expect(await session.enabledRegions('eu-west-1')).toEqual(['eu-west-1']);
    answers(['break', 'break']);
    expect(await session.enabledRegions('eu-west-1')).toEqual(['eu-west-1']);
    expect(aws.calls.length).toBe(6);
    expect(events).toContainEqual({
      type: 'progress',
      stage: 'aws',
      text: 'account:ListRegions throttled, attempt 2 of 3',
      build: 'us-east-1',
    });
  });

  test.each([
    [jsonError('TooManyRequestsException', 429), 'AWS_THROTTLED', 3],
    [jsonError('InternalServerException', 500), 'AWS_UNREACHABLE', 3],
    [jsonError('CodeStorageExceededException', 400), 'AWS_QUOTA', 1],
    [jsonError('ValidationException', 400), 'AWS_REFUSED', 1],
  ])('gives up: %o', async (answer, code, calls) => {
    aws.script = () => answer;
    using session = open();
    await expect(session.enabledRegions('eu-west-1')).rejects.toMatchObject({ code, remedy: expect.any(String) });
    expect(aws.calls.length).toBe(calls);
  });

  test('AWS_MAX_ATTEMPTS is heard', async () => {
    aws.script = () => jsonError('TooManyRequestsException', 429);
    using session = open({ ...keys, AWS_MAX_ATTEMPTS: '2' });
    await expect(session.enabledRegions('eu-west-1')).rejects.toMatchObject({ code: 'AWS_THROTTLED' });
    expect(aws.calls.length).toBe(2);
  });

  test('what must not be done twice is asked again after throttling only', async () => {
    using session = open();
    const stumble = Object.assign(new Error('?'), { $metadata: { httpStatusCode: 500 } });
    const throttle = Object.assign(new Error('?'), { $metadata: { httpStatusCode: 429 } });
    const failures = [throttle, stumble];
    let calls = 0;
    const send = async () => {
      calls += 1;
      throw failures.shift() ?? new Error('asked once too often');
    };
    await expect(session.ask(asked, send, { onlyThrottled: true })).rejects.toMatchObject({ code: 'AWS_UNREACHABLE' });
    expect(calls).toBe(2);
  });

  test('a denial names who, what and on which resource', async () => {
    aws.script = () =>
      jsonError(
        'AccessDeniedException',
        403,
        'User: arn:aws:sts::123456789012:assumed-role/ci/1 is not authorized to perform: account:ListRegions on resource: ' +
          'arn:aws:account::123456789012:account because no identity-based policy allows the account:ListRegions action',
      );
    using session = open();
    await expect(session.enabledRegions('eu-west-1')).rejects.toMatchObject({
      code: 'AWS_DENIED',
      message:
        'arn:aws:sts::123456789012:assumed-role/ci/1 may not account:ListRegions on arn:aws:account::123456789012:account (us-east-1).',
      remedy: 'Allow "account:ListRegions" on "arn:aws:account::123456789012:account" in a policy of that identity.',
    });
    aws.script = () =>
      jsonError('AccessDeniedException', 403, 'User: x ... with an explicit deny in a service control policy');
    await expect(session.enabledRegions('eu-west-1')).rejects.toMatchObject({
      code: 'AWS_DENIED',
      remedy: expect.stringContaining('service control policy'),
    });
  });

  test('nobody listens', async () => {
    using session = open({ ...keys, AWS_ENDPOINT_URL: 'http://127.0.0.1:9' });
    await expect(session.identity('us-east-1')).rejects.toMatchObject({
      code: 'AWS_UNREACHABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('no such host', async () => {
    using session = open({ ...keys, AWS_ENDPOINT_URL_ACCOUNT: 'http://account.nowhere.invalid' });
    await expect(session.enabledRegions('eu-west-1')).rejects.toMatchObject({ code: 'AWS_UNREACHABLE' });
    await session.identity('eu-west-1');
    const code = await session.enabledRegions('eu-west-1').catch((error) => error.code);
    // A name server that is out of reach says EAI_AGAIN, which proves nothing about the region.
    expect(['AWS_REGION_INVALID', 'AWS_UNREACHABLE']).toContain(code);
  });

  test('--offline and Ctrl-C', async () => {
    using offline = new AwsSession(context(keys, { offline: true }));
    await expect(offline.identity('eu-west-1')).rejects.toMatchObject({ code: 'AWS_UNREACHABLE' });
    const stop = new AbortController();
    aws.script = () => {
      stop.abort();
      return jsonError('TooManyRequestsException', 429);
    };
    using stopped = new AwsSession(context(keys, { signal: stop.signal }), {
      patience: { attempts: 3, delay: 600_000, silence: 1000 },
    });
    await expect(stopped.identity('us-east-1')).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(aws.calls.length).toBe(1);
  });
});

describe('regions', () => {
  test('as given, without duplicates', async () => {
    using session = open();
    expect(await chooseRegions(['eu-west-1,us-east-1', 'eu-west-1'], session)).toEqual(['eu-west-1', 'us-east-1']);
  });

  test("none: the session's own", async () => {
    using session = open({ ...keys, AWS_REGION: 'ap-southeast-5' });
    expect(await chooseRegions([], session)).toEqual(['ap-southeast-5']);
    using nowhere = open({});
    await expect(chooseRegions([], nowhere)).rejects.toMatchObject({ code: 'AWS_REGION_INVALID' });
  });

  test('all of them, page by page', async () => {
    aws.script = ({ body }) =>
      body.includes('NextToken')
        ? { body: { Regions: [{ RegionName: 'af-south-1' }] } }
        : { body: { Regions: [{ RegionName: 'eu-west-1' }], NextToken: 'more' } };
    using session = open();
    expect(await chooseRegions(['all'], session)).toEqual(['af-south-1', 'eu-west-1']);
    expect(JSON.parse(aws.calls[0]?.body.toString() ?? '')).toMatchObject({
      RegionOptStatusContains: ['ENABLED', 'ENABLED_BY_DEFAULT'],
    });
  });

  test.each(['', 'eu_west_1', 'Europe', 'eu-west-1;rm', 'euwest1'])('"%s" is none', async (name) => {
    using session = open();
    await expect(chooseRegions([name], session)).rejects.toMatchObject({ code: 'AWS_REGION_INVALID' });
  });
});
