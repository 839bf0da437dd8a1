// Lambda's own API, judged by AWS's SDK for JavaScript, and by plain requests where an SDK would hide what was said.
import {
  GetFunctionCommand,
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  ListFunctionsCommand,
  TooManyRequestsException,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalLambda, localLambda, send } from './support/local.ts';

let local: LocalLambda;
let client: LambdaClient;

beforeAll(async () => {
  local = await localLambda(
    { echo: 'app.echo', slow: 'app.slow', raises: 'app.raises', chunks: 'app.chunks' },
    { concurrency: 2, aliases: ['live'] },
  );
  client = new LambdaClient({
    endpoint: local.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
    maxAttempts: 1,
  });
});
afterAll(async () => {
  client.destroy();
  await local.close();
});

const arn = (name: string): string => `arn:aws:lambda:us-east-1:123456789012:function:${name}`;
const invoke = (name: string, body: string | Buffer, headers: Record<string, string> = {}, query = '') =>
  send(local.port, 'POST', `/2015-03-31/functions/${encodeURIComponent(name)}/invocations${query}`, { body, headers });

describe('Invoke', () => {
  test('answers the SDK with everything it asks for', async () => {
    const context = Buffer.from('{"custom":{"a":1}}').toString('base64');
    const answer = await client.send(
      new InvokeCommand({ FunctionName: 'echo', Payload: '{"a":1}', LogType: 'Tail', ClientContext: context }),
    );
    const payload = JSON.parse(answer.Payload!.transformToString());
    expect(answer).toMatchObject({ StatusCode: 200, ExecutedVersion: '$LATEST' });
    expect(answer.FunctionError).toBeUndefined();
    expect(payload.event).toEqual({ a: 1 });
    expect(payload.headers).toMatchObject({
      'lambda-runtime-client-context': '{"custom":{"a":1}}',
      'lambda-runtime-aws-request-id': answer.$metadata.requestId,
      'lambda-runtime-invoked-function-arn': arn('echo'),
    });
    expect(payload.headers['lambda-runtime-trace-id']).toMatch(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=/);
    const tail = Buffer.from(answer.LogResult!, 'base64').toString();
    expect(tail).toMatch(/^INIT_START .*\nSTART RequestId: .*\nechoing\nEND RequestId: .*\nREPORT RequestId: .*\t\n$/);
  });

  test('an error of the function is an answer with a header', async () => {
    const answer = await client.send(new InvokeCommand({ FunctionName: 'raises' }));
    expect(answer.FunctionError).toBe('Unhandled');
    expect(JSON.parse(answer.Payload!.transformToString())).toMatchObject({ errorType: 'ValueError' });
  });

  test('takes names, ARNs and qualifiers, and tells the function by which it was called', async () => {
    for (const [name, query, told] of [
      ['echo', '', arn('echo')],
      [arn('echo'), '', arn('echo')],
      ['123456789012:function:echo', '', arn('echo')],
      ['echo:live', '', `${arn('echo')}:live`],
      [`${arn('echo')}:live`, '?Qualifier=live', `${arn('echo')}:live`],
      ['echo', '?Qualifier=%24LATEST', `${arn('echo')}:$LATEST`],
    ] as const) {
      const { status, body } = await invoke(name, '{}', {}, query);
      expect(status, name).toBe(200);
      expect(JSON.parse(body).headers['lambda-runtime-invoked-function-arn']).toBe(told);
    }
  });

  test('no payload is an empty event', async () => {
    expect(JSON.parse((await invoke('echo', '')).body).event).toEqual({});
  });

  test('DryRun does nothing', async () => {
    const { status, body } = await invoke('raises', '{}', { 'X-Amz-Invocation-Type': 'DryRun' });
    expect([status, body]).toEqual([204, '']);
  });

  const tail = { 'X-Amz-Log-Type': 'Everything' };
  const refused: readonly (readonly [string, () => ReturnType<typeof send>, number, string, RegExp])[] = [
    [
      'an unknown function',
      () => invoke('nobody', '{}'),
      404,
      'ResourceNotFoundException',
      /^Function not found: arn:aws:lambda:us-east-1:123456789012:function:nobody$/,
    ],
    ['an unknown qualifier', () => invoke('echo:beta', '{}'), 404, 'ResourceNotFoundException', /function:echo:beta$/],
    [
      'another region',
      () => invoke('arn:aws:lambda:eu-west-1:123456789012:function:echo', '{}'),
      404,
      'ResourceNotFoundException',
      /eu-west-1/,
    ],
    [
      'two qualifiers',
      () => invoke('echo:live', '{}', {}, '?Qualifier=other'),
      400,
      'InvalidParameterValueException',
      /derived qualifier/,
    ],
    ['a name that is none', () => invoke('a b', '{}'), 400, 'ValidationException', /'functionName' failed to satisfy/],
    [
      'what is not JSON',
      () => invoke('echo', '{"a":}'),
      400,
      'InvalidRequestContentException',
      /^Could not parse request body into json: .* column: 6$/,
    ],
    [
      'what is not UTF-8',
      () => invoke('echo', Buffer.from([0x22, 0xff, 0x22])),
      400,
      'InvalidRequestContentException',
      /UTF-8/,
    ],
    ['NaN', () => invoke('echo', 'NaN'), 400, 'InvalidRequestContentException', /json/],
    [
      'an invocation type',
      () => invoke('echo', '{}', { 'X-Amz-Invocation-Type': 'Later' }),
      400,
      'ValidationException',
      /Value 'Later' at 'invocationType'/,
    ],
    ['a log type', () => invoke('echo', '{}', tail), 400, 'ValidationException', /'logType'/],
    [
      'a client context',
      () => invoke('echo', '{}', { 'X-Amz-Client-Context': 'bm8=' }),
      400,
      'InvalidRequestContentException',
      /Base64-encoded JSON/,
    ],
    [
      'a long client context',
      () => invoke('echo', '{}', { 'X-Amz-Client-Context': 'A'.repeat(3584) }),
      400,
      'InvalidRequestContentException',
      /3583/,
    ],
    [
      'a tenant',
      () => invoke('echo', '{}', { 'X-Amz-Tenant-Id': 'blue' }),
      400,
      'InvalidParameterValueException',
      /tenancy/,
    ],
    [
      'an event of more than 1 MB',
      () => invoke('echo', `"${'x'.repeat(1048575)}"`, { 'X-Amz-Invocation-Type': 'Event' }),
      413,
      'RequestEntityTooLargeException',
      /^1048577 byte payload is too large for the Event/,
    ],
    [
      'more than 6 MB',
      () => invoke('echo', `"${'x'.repeat(6291455)}"`),
      413,
      'RequestEntityTooLargeException',
      /^Request must be smaller than 6291456 bytes/,
    ],
    [
      'an operation',
      () => send(local.port, 'POST', '/2015-03-31/functions/echo/versions'),
      404,
      'UnknownOperationException',
      /^$/,
    ],
  ];
  test.each(refused)('refuses %s', async (_, ask, status, type, message) => {
    const answer = await ask();
    const body = JSON.parse(answer.body);
    expect(answer.status).toBe(status);
    expect(answer.headers['x-amzn-errortype']).toBe(type);
    expect(body.Message ?? body.message).toMatch(message);
  });

  test('takes exactly 6 MB', async () => {
    const { status, body } = await invoke('slow', `{"seconds":0,"x":"${'x'.repeat(6291456 - 20)}"}`);
    expect([status, /^\d+$/.test(body)]).toEqual([200, true]);
  });

  test('throttles when all environments are busy, and uses them again', async () => {
    const ask = () => client.send(new InvokeCommand({ FunctionName: 'slow', Payload: '{"seconds":0.6}' }));
    const all = await Promise.allSettled([ask(), ask(), ask()]);
    const good = all.flatMap((one) => (one.status === 'fulfilled' ? [one.value.Payload!.transformToString()] : []));
    const bad = all.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(good).toHaveLength(2);
    expect(bad[0]).toBeInstanceOf(TooManyRequestsException);
    expect((bad[0] as TooManyRequestsException).Reason).toBe('ReservedFunctionConcurrentInvocationLimitExceeded');
    await ask();
    const ready = local.journal
      .since(0)
      .filter(({ type, function: name }) => type === 'environment-ready' && name === 'slow');
    expect(ready).toHaveLength(2);
  });
});

describe('InvokeWithResponseStream', () => {
  async function stream(name: string, payload: unknown) {
    const answer = await client.send(
      new InvokeWithResponseStreamCommand({ FunctionName: name, Payload: JSON.stringify(payload), LogType: 'Tail' }),
    );
    const chunks: { text: string; at: number }[] = [];
    let complete: {
      ErrorCode?: string | undefined;
      ErrorDetails?: string | undefined;
      LogResult?: string | undefined;
    } = {};
    for await (const event of answer.EventStream!) {
      if (event.PayloadChunk)
        chunks.push({ text: Buffer.from(event.PayloadChunk.Payload!).toString(), at: performance.now() });
      if (event.InvokeComplete) complete = event.InvokeComplete;
    }
    return { answer, chunks, complete };
  }

  test('sends the chunks as they come', async () => {
    const { answer, chunks, complete } = await stream('chunks', { count: 3, pause: 0.15 });
    expect(answer).toMatchObject({ StatusCode: 200, ExecutedVersion: '$LATEST' });
    expect(chunks.map(({ text }) => text).join('')).toBe('chunk 0\nchunk 1\nchunk 2\n');
    // Not a claim about speed: had they been collected, they would have come at once.
    expect(chunks.at(-1)!.at - chunks[0]!.at).toBeGreaterThan(150);
    expect(complete.ErrorCode).toBeUndefined();
    expect(Buffer.from(complete.LogResult!, 'base64').toString()).toMatch(/REPORT RequestId/);
  });

  test('tells of an error in the middle at the end', async () => {
    const { chunks, complete } = await stream('chunks', { count: 2, raise: true });
    expect(chunks.map(({ text }) => text).join('')).toBe('chunk 0\nchunk 1\n');
    expect(complete.ErrorCode).toBe('Function.ValueError');
    expect(JSON.parse(complete.ErrorDetails!)).toMatchObject({ errorMessage: 'in the middle' });
  });

  test('a handler that does not stream is one chunk, an error none', async () => {
    const good = await stream('echo', { a: 1 });
    expect(JSON.parse(good.chunks.map(({ text }) => text).join('')).event).toEqual({ a: 1 });
    const bad = await stream('raises', {});
    expect(bad.chunks).toEqual([]);
    expect(bad.complete.ErrorCode).toBe('ValueError');
  });

  test('what is refused is refused before the stream', async () => {
    await expect(stream('nobody', {})).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });
});

describe('what functions there are', () => {
  test('GetFunction and ListFunctions describe them', async () => {
    const one = await client.send(new GetFunctionCommand({ FunctionName: 'echo', Qualifier: 'live' }));
    expect(one.Configuration).toMatchObject({
      FunctionName: 'echo',
      FunctionArn: `${arn('echo')}:live`,
      Handler: 'app.echo',
      MemorySize: 128,
      Timeout: 3,
      State: 'Active',
      Version: '$LATEST',
    });
    expect(one.Concurrency).toEqual({ ReservedConcurrentExecutions: 2 });
    const first = await client.send(new ListFunctionsCommand({ MaxItems: 3 }));
    const rest = await client.send(new ListFunctionsCommand({ Marker: first.NextMarker }));
    expect([...first.Functions!, ...rest.Functions!].map(({ FunctionName: name }) => name)).toEqual([
      'echo',
      'slow',
      'raises',
      'chunks',
    ]);
    expect(rest.NextMarker).toBeUndefined();
  });
});

describe('who may ask', () => {
  test('not by a foreign name, not from a foreign page', async () => {
    const path = '/2015-03-31/functions/echo';
    expect((await send(local.port, 'GET', path, { headers: { Host: 'evil.example:80' } })).status).toBe(403);
    expect((await send(local.port, 'GET', path, { headers: { Origin: 'https://evil.example' } })).status).toBe(403);
    expect((await send(local.port, 'GET', path, { headers: { Origin: 'null' } })).status).toBe(403);
    expect((await send(local.port, 'GET', path, { headers: { Origin: 'http://localhost:3000' } })).status).toBe(200);
  });
});
