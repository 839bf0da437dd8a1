// The Runtime API server, told byte by byte what a bootstrap might say, right or wrong. Expected answers are those of
// AWS's own server code (the emulator's internal/lambda/rapi), quoted literally.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Invocation, type Outcome, RuntimeApi } from '../../build/lambda/runtime-api.ts';
import { sanitizeErrorType } from '../../build/lambda/runtime-state.ts';
import { Wire } from './support/wire.ts';

const base = '/2018-06-01/runtime';
const invocation: Invocation = {
  requestId: 'id-1',
  deadlineMs: 1_700_000_000_123.9,
  functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f',
  body: Buffer.from('{"a": 1}'),
};

let api: RuntimeApi;
let wire: Wire;

beforeEach(async () => {
  api = await RuntimeApi.listen();
  wire = await Wire.open(api.address);
});
afterEach(async () => {
  wire.close();
  await api.close();
});

const next = (): Promise<{ status: number; headers: Readonly<Record<string, string>>; body: string }> =>
  wire.call('GET', `${base}/invocation/next`);
const respond = (body: string | Buffer, headers: Readonly<Record<string, string>> = {}, id = 'id-1') =>
  wire.call('POST', `${base}/invocation/${id}/response`, body, headers);
const ok = { status: 202, body: '{"status":"OK"}\n' };
const refusal = (from: string, to: string): { status: number; body: string } => ({
  status: 403,
  body: JSON.stringify({
    errorMessage: `State transition from ${from} to ${to} failed for runtime. Error: State transition is not allowed`,
    errorType: 'InvalidStateTransition',
  }),
});
const invalidId = { status: 400, body: '{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}' };

/** A running invocation. */
async function running(
  more: Partial<Invocation> = {},
): Promise<{ outcome: Promise<Outcome>; finished: Promise<unknown> }> {
  const offer = api.session.offer({ ...invocation, ...more });
  expect((await next()).status).toBe(200);
  return offer;
}

describe('the right way', () => {
  test('next waits for the event and carries exactly the headers that were given', async () => {
    wire.ask('GET', `${base}/invocation/next`, '', { 'User-Agent': 'aws-lambda-python/3.13.1-4.0.1 something' });
    const { at } = await api.session.ready;
    expect(at).toBeLessThanOrEqual(performance.now());
    api.session.offer(invocation);
    const reply = await wire.reply();
    const { date: _, ...headers } = reply.headers;
    expect({ ...reply, headers }).toEqual({
      status: 200,
      body: '{"a": 1}',
      headers: {
        connection: 'keep-alive',
        'content-length': '8',
        'content-type': 'application/json',
        'lambda-runtime-aws-request-id': 'id-1',
        'lambda-runtime-deadline-ms': '1700000000123',
        'lambda-runtime-invoked-function-arn': 'arn:aws:lambda:us-east-1:123456789012:function:f',
      },
    });
    expect(api.session.release).toBe('aws-lambda-python/3.13.1-4.0.1');
  });

  test('optional headers appear when given, as UTF-8, and empty ones do not', async () => {
    api.session.offer({ ...invocation, invocationId: 'i', traceId: 't', clientContext: '{"ü":1}', tenantId: '' });
    const { headers } = await next();
    expect(headers).toMatchObject({ 'lambda-runtime-invocation-id': 'i', 'lambda-runtime-trace-id': 't' });
    expect(headers['lambda-runtime-client-context']).toBe('{"ü":1}');
    expect(headers).not.toHaveProperty('lambda-runtime-aws-tenant-id');
    expect(headers).not.toHaveProperty('lambda-runtime-cognito-identity');
  });

  test('a response settles the outcome, the next `next` ends the invocation', async () => {
    const { outcome, finished } = await running();
    expect(await respond('"done"', { 'Content-Type': 'application/json' })).toMatchObject(ok);
    expect(await outcome).toMatchObject({ kind: 'response', contentType: 'application/json', streamed: false });
    expect(((await outcome) as { body: Buffer }).body.toString()).toBe('"done"');
    expect(await Promise.race([finished, Promise.resolve('not yet')])).toBe('not yet');
    wire.ask('GET', `${base}/invocation/next`);
    await finished;
    api.session.offer({ ...invocation, requestId: 'id-2' });
    expect((await wire.reply()).headers['lambda-runtime-aws-request-id']).toBe('id-2');
    expect(api.session.violations).toEqual([]);
  });

  test('a chunked body without a mode is a buffered response', async () => {
    const { outcome } = await running();
    wire.send(`POST ${base}/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
    wire.send('3\r\nabc\r\n');
    wire.send('2\r\nde\r\n0\r\n\r\n');
    expect(await wire.reply()).toMatchObject(ok);
    expect(((await outcome) as { body: Buffer }).body.toString()).toBe('abcde');
  });

  test('a second next before the answer delivers the same event again', async () => {
    await running();
    const again = await next();
    expect(again).toMatchObject({ status: 200, body: '{"a": 1}' });
    expect(await respond('1')).toMatchObject(ok);
    expect(api.session.violations).toEqual([]);
  });

  test('an error carries the sanitised type, the body as sent and the X-Ray cause', async () => {
    const { outcome } = await running();
    const body = '{"errorMessage":"m","errorType":"E"}';
    const headers = {
      'Content-Type': 'application/json',
      'Lambda-Runtime-Function-Error-Type': 'Function.Mine',
      'Lambda-Runtime-Function-XRay-Error-Cause': '{"message":"x"}',
    };
    expect(await wire.call('POST', `${base}/invocation/id-1/error`, body, headers)).toMatchObject(ok);
    expect(await outcome).toMatchObject({ kind: 'error', errorType: 'Function.Mine', xrayCause: '{"message":"x"}' });
    expect(((await outcome) as { body: Buffer }).body.toString()).toBe(body);
  });

  test('an error with the cause content type is split into what the caller and what X-Ray gets', async () => {
    const { outcome } = await running();
    const body = JSON.stringify({
      errorMessage: 'm',
      errorType: 'T',
      stackTrace: [],
      errorCause: { paths: ['a'] },
      x: 1,
    });
    const type = { 'Content-Type': 'application/vnd.aws.lambda.error.cause+json' };
    await wire.call('POST', `${base}/invocation/id-1/error`, body, type);
    const settled = (await outcome) as { body: Buffer; contentType: string; xrayCause: string };
    expect(JSON.parse(settled.body.toString())).toEqual({ errorMessage: 'm', errorType: 'T', stackTrace: [] });
    expect(settled).toMatchObject({ contentType: 'application/json', xrayCause: '{"paths":["a"]}' });
  });

  test('streaming: chunks are seen as they come, trailers become the error', async () => {
    const chunks: string[] = [];
    let seen: () => void = () => {};
    const firstChunk = new Promise<void>((resolve) => {
      seen = resolve;
    });
    const offer = api.session.offer(invocation, {
      onChunk: (chunk) => {
        chunks.push(chunk.toString());
        seen();
      },
    });
    await next();
    wire.send(
      `POST ${base}/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n` +
        'Lambda-Runtime-Function-Response-Mode: streaming\r\n' +
        'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n5\r\nfirst\r\n',
    );
    await firstChunk;
    expect(chunks).toEqual(['first']);
    const body = Buffer.from('{"errorType":"Late"}').toString('base64');
    wire.send(
      `6\r\nsecond\r\n0\r\nLambda-Runtime-Function-Error-Type: Function.Late\r\nLambda-Runtime-Function-Error-Body: ${body}\r\n\r\n`,
    );
    expect(await wire.reply()).toMatchObject(ok);
    expect(chunks).toEqual(['first', 'second']);
    const settled = (await offer.outcome) as Extract<Outcome, { kind: 'response' }>;
    expect(settled).toMatchObject({ streamed: true, contentType: 'application/octet-stream' });
    expect(settled.body.toString()).toBe('firstsecond');
    expect(settled.trailer?.errorType).toBe('Function.Late');
    expect(settled.trailer?.body.toString()).toBe('{"errorType":"Late"}');
  });

  test('ping answers', async () => {
    expect(await wire.call('GET', `${base}/ping`)).toMatchObject({ status: 404 });
    expect(await wire.call('GET', '/2018-06-01/ping')).toMatchObject({ status: 200, body: 'pong' });
  });

  test('an init error is accepted before the first next', async () => {
    const type = { 'Lambda-Runtime-Function-Error-Type': 'Runtime.ImportModuleError' };
    expect(await wire.call('POST', `${base}/init/error`, '{"errorMessage":"m"}', type)).toMatchObject(ok);
    expect(await api.session.initError).toMatchObject({
      errorType: 'Runtime.ImportModuleError',
      contentType: 'application/json',
    });
    expect(await next()).toMatchObject(refusal('InitError', 'Ready'));
  });
});

describe('the wrong way', () => {
  test('an answer before any event, and one with an unknown id', async () => {
    expect(await respond('1')).toMatchObject(invalidId);
    await running();
    expect(await respond('1', {}, 'other')).toMatchObject(invalidId);
    // The id is looked at before the state: the event is still there to be answered.
    expect(await next()).toMatchObject({ status: 200, body: '{"a": 1}' });
    expect(await respond('1')).toMatchObject(ok);
    expect(api.session.violations.map(({ status }) => status)).toEqual([400, 400]);
  });

  test('an answer twice', async () => {
    await running();
    await respond('1');
    expect(await respond('2')).toMatchObject(refusal('RuntimeResponseSentState', 'InvocationResponse'));
    expect(await wire.call('POST', `${base}/invocation/id-1/error`, '{}')).toMatchObject(
      refusal('RuntimeResponseSentState', 'InvocationErrorResponse'),
    );
  });

  test('an answer to the invocation before', async () => {
    const { finished } = await running();
    await respond('1');
    wire.ask('GET', `${base}/invocation/next`);
    await finished;
    api.session.offer({ ...invocation, requestId: 'id-2' });
    await wire.reply();
    expect(await respond('late')).toMatchObject(invalidId);
  });

  test('the invocation id of another attempt', async () => {
    await running({ invocationId: 'now' });
    expect(await respond('1', { 'Lambda-Runtime-Invocation-Id': 'before' })).toMatchObject(invalidId);
    expect(await respond('1', { 'Lambda-Runtime-Invocation-Id': 'now' })).toMatchObject(ok);
    expect(api.session.echoedInvocationId).toBe('now');
  });

  test('an init error after the first next', async () => {
    await running();
    expect(await wire.call('POST', `${base}/init/error`, '{}')).toMatchObject(refusal('Running', 'InitError'));
  });

  test('another response mode fails the invocation, and the next `next` is refused', async () => {
    const { outcome } = await running();
    expect(await respond('1', { 'Lambda-Runtime-Function-Response-Mode': 'Streaming' })).toMatchObject({
      status: 400,
      body: '{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}',
    });
    expect(await outcome).toMatchObject({ kind: 'invalid-response-mode' });
    expect(await next()).toMatchObject(refusal('InvocationResponse', 'Ready'));
  });

  test.each([
    ['a chunked body', 'Transfer-Encoding: chunked\r\n\r\n5\r\nab'],
    ['a sized body', 'Content-Length: 10\r\n\r\nab'],
    ['a body with garbage for a chunk size', 'Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n'],
  ])('%s that ends early is truncated', async (_, rest) => {
    const { outcome } = await running();
    wire.send(`POST ${base}/invocation/id-1/response HTTP/1.1\r\nHost: x\r\n${rest}`);
    wire.socket.end();
    expect(await wire.reply()).toMatchObject({
      status: 400,
      body: '{"errorMessage":"HTTP request detected as truncated","errorType":"TruncatedHTTPRequest"}',
    });
    expect(await outcome).toMatchObject({ kind: 'truncated' });
  });

  test('a connection that dies in the middle of a body settles the outcome', async () => {
    const { outcome } = await running();
    wire.send(`POST ${base}/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab`);
    await new Promise((resolve) => setTimeout(resolve, 20));
    wire.socket.resetAndDestroy();
    expect(await outcome).toMatchObject({ kind: 'truncated' });
  });

  test('6,291,556 bytes are the most, buffered or collected from a stream', async () => {
    const first = await running();
    expect(await respond(Buffer.alloc(6_291_556))).toMatchObject(ok);
    expect(await first.outcome).toMatchObject({ kind: 'response' });
    wire.ask('GET', `${base}/invocation/next`);
    await first.finished;
    const second = api.session.offer(invocation);
    await wire.reply();
    expect(
      await respond(Buffer.alloc(6_291_557), { 'Lambda-Runtime-Function-Response-Mode': 'streaming' }),
    ).toMatchObject({
      status: 413,
      body: '{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}',
    });
    expect(await second.outcome).toMatchObject({ kind: 'too-large', size: 6_291_557 });
    // The platform has answered the caller already: nothing more may be said about this invocation.
    expect(await wire.call('POST', `${base}/invocation/id-1/error`, '{}')).toMatchObject({ status: 403 });
  });

  test('other paths and methods', async () => {
    expect(await wire.call('GET', '/nothing')).toMatchObject({ status: 404, body: '404 page not found\n' });
    expect(await wire.call('GET', '/2018-06-01/runtime/restore/next')).toMatchObject({ status: 404 });
    expect(await wire.call('POST', `${base}/invocation/next`)).toMatchObject({ status: 405 });
    expect(await wire.call('GET', `${base}/init/error`)).toMatchObject({ status: 405 });
    expect(api.session.violations).toHaveLength(4);
  });

  test('a header block of nearly 1 MiB is taken, a larger one refused with 431', async () => {
    const { outcome } = await running();
    const cause = (size: number) => ({ 'Lambda-Runtime-Function-XRay-Error-Cause': 'c'.repeat(size) });
    expect(await wire.call('POST', `${base}/invocation/id-1/error`, '{}', cause(1_000_000))).toMatchObject(ok);
    expect(((await outcome) as { xrayCause: string }).xrayCause).toHaveLength(1_000_000);
    const other = await Wire.open(api.address);
    other.ask('POST', `${base}/invocation/id-1/error`, '{}', cause(1_100_000));
    expect((await other.reply()).status).toBe(431);
    other.close();
  });

  test('what is not HTTP gets 400', async () => {
    wire.send('hello?\r\n\r\n');
    expect((await wire.reply()).status).toBe(400);
  });
});

test('a new process starts with a new state and without the old connections', async () => {
  await running();
  const before = api.session;
  const after = api.begin();
  expect(after).not.toBe(before);
  await expect(next()).rejects.toThrow('connection ended');
  wire = await Wire.open(api.address);
  wire.ask('GET', `${base}/invocation/next`);
  await after.ready;
  expect(after.state).toBe('Ready');
});

test.each([
  ['Runtime.Foo', 'Runtime.Foo'],
  ['Function.Foo', 'Function.Foo'],
  ['xx Function.Foo yy', 'xx Function.Foo yy'],
  ['Function.foo', 'Function.Unknown'],
  ['ValueError', 'Runtime.Unknown'],
  [undefined, 'Runtime.Unknown'],
])('error type %s is kept as %s', (header, kept) => {
  expect(sanitizeErrorType(header)).toBe(kept);
});
