// The life cycle as Lambda has it, driven by a small bootstrap in plain Python inside the real sandbox.
import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { type EnvironmentOptions, ExecutionEnvironment, shutdownBudgetMs } from '../../build/lambda/environment.ts';
import { functionFailure } from '../../build/lambda/failure.ts';
import type { FunctionSettings } from '../../build/lambda/function-env.ts';
import type { InvokeResult } from '../../build/lambda/invoke-result.ts';
import { fixtureLayer, fixtures, machinePython, remove, scratch, settings, testContext } from './support/function.ts';

const folder = scratch('environment');
const python = machinePython();
const layer = fixtureLayer(folder, python.command);
const open: ExecutionEnvironment[] = [];

afterEach(async () => {
  for (const environment of open.splice(0)) await environment.shutdown();
});
afterAll(() => remove(folder));

async function environment(
  handler: string,
  more: Partial<FunctionSettings> = {},
  options: Partial<EnvironmentOptions> = {},
  context = testContext(folder),
): Promise<ExecutionEnvironment> {
  const made = await ExecutionEnvironment.create(
    { layerDirs: [layer], codeDir: fixtures, visible: python.visible, settings: settings(handler, more), ...options },
    context,
  );
  open.push(made);
  return made;
}

const event = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const answer = (result: InvokeResult): unknown => JSON.parse(result.payload.toString());
const texts = (result: InvokeResult): string[] => result.logs.map(({ text }) => text);
const code = (result: InvokeResult): string | undefined => functionFailure(result)?.code;

describe('an internal extension', () => {
  test('is told of invocations, belongs to them, and makes the end a polite one', async () => {
    const made = await environment('extended.handler');
    const first = await made.invoke(event({}), { requestId: 'one' });
    expect(answer(first)).toBe('answered');
    expect(texts(first)).toEqual(
      expect.arrayContaining(['refused 403 Extension.InvalidEventType', 'extension saw INVOKE one']),
    );
    // What it writes belongs to the invocation: that is over when the extension asks again.
    const second = texts(await made.invoke(event({}), { requestId: 'two' }));
    expect(second.indexOf('extension saw INVOKE two')).toBeLessThan(second.indexOf('END RequestId: two'));
    expect(second).toContain('extension saw INVOKE two');
    expect(made.violations).toEqual([]);
    open.splice(open.indexOf(made), 1);
    expect((await made.shutdown()).map(({ text }) => text)).toEqual(['asked to leave']);
  });
});

describe('an invocation that goes well', () => {
  test('has every context header that was given and none that was not', async () => {
    const made = await environment('app.echo');
    const plain = answer(await made.invoke(event({ a: 1 }))) as { event: unknown; headers: Record<string, string> };
    expect(plain.event).toEqual({ a: 1 });
    expect(
      Object.keys(plain.headers)
        .filter((name) => name.startsWith('lambda-'))
        .sort(),
    ).toEqual(['lambda-runtime-aws-request-id', 'lambda-runtime-deadline-ms', 'lambda-runtime-invoked-function-arn']);
    expect(plain.headers['lambda-runtime-invoked-function-arn']).toBe(
      'arn:aws:lambda:eu-central-1:123456789012:function:tested',
    );
    const full = answer(
      await made.invoke(event(null), {
        requestId: 'r-1',
        invocationId: 'i-1',
        traceId: 'Root=1-2-3',
        clientContext: '{"custom":{"ä":1}}',
        cognitoIdentity: '{}',
        tenantId: 'blue',
      }),
    ) as { headers: Record<string, string> };
    expect(full.headers).toMatchObject({
      'lambda-runtime-aws-request-id': 'r-1',
      'lambda-runtime-invocation-id': 'i-1',
      'lambda-runtime-trace-id': 'Root=1-2-3',
      'lambda-runtime-client-context': '{"custom":{"ä":1}}',
      'lambda-runtime-cognito-identity': '{}',
      'lambda-runtime-aws-tenant-id': 'blue',
    });
    expect(made.session.echoedInvocationId).toBe('i-1');
    expect(made.violations).toEqual([]);
  });

  test('logs what CloudWatch would show, in the order it was written', async () => {
    const seen: string[] = [];
    const made = await environment(
      'app.hello',
      {},
      { onLog: ({ text }) => seen.push(text), runtimeVersion: 'python:3.13t' },
    );
    const first = await made.invoke(event({}), { requestId: 'one' });
    const number = String.raw`\d+\.\d\d`;
    expect(texts(first).slice(0, -1)).toEqual([
      'INIT_START Runtime Version: python:3.13t',
      'START RequestId: one Version: $LATEST',
      'to stdout',
      'to stderr',
      'to stdout again, without an end of line',
      'END RequestId: one',
    ]);
    expect(texts(first).at(-1)).toMatch(
      new RegExp(
        `^REPORT RequestId: one\tDuration: ${number} ms\tBilled Duration: \\d+ ms\tMemory Size: 128 MB\tMax Memory Used: \\d+ MB\tInit Duration: ${number} ms\t$`,
      ),
    );
    expect(first.billedMs).toBe(Math.ceil(first.durationMs + first.initMs!));
    expect(first.maxMemoryMb).toBeGreaterThan(4);
    expect(first.logs.filter(({ source }) => source === 'function')).toHaveLength(3);
    const second = await made.invoke(event({}), { requestId: 'two' });
    expect(texts(second)[0]).toBe('START RequestId: two Version: $LATEST');
    expect(texts(second).at(-1)).toMatch(/Max Memory Used: \d+ MB\t$/);
    expect(second.initMs).toBeUndefined();
    expect(seen).toEqual([...texts(first), ...texts(second)]);
  });

  test('has all its lines even when there are many', async () => {
    const made = await environment('app.chatty');
    const result = await made.invoke(event(60_000));
    expect(result.logs.filter(({ source }) => source === 'function').map(({ text }) => text)).toEqual(
      Array.from({ length: 60_000 }, (_, number) => `line ${number}`),
    );
  });
});

describe('a handler that goes wrong', () => {
  test.each([
    ['app.raises', 'error', 'ValueError', 'FUNCTION_ERROR'],
    ['app.unserialisable', 'error', 'Runtime.MarshalError', 'RESPONSE_NOT_JSON'],
    ['app.missing', 'init-error', 'Runtime.HandlerNotFound', 'HANDLER_NOT_FOUND'],
    ['nodot', 'init-error', 'Runtime.MalformedHandlerName', 'HANDLER_NOT_FOUND'],
    ['absent.handler', 'init-error', 'Runtime.ImportModuleError', 'FUNCTION_IMPORT_ERROR'],
    ['unimportable.handler', 'init-error', 'Runtime.ImportModuleError', 'FUNCTION_IMPORT_ERROR'],
    ['unreadable.handler', 'init-error', 'Runtime.UserCodeSyntaxError', 'FUNCTION_SYNTAX_ERROR'],
    ['unloadable.handler', 'init-error', 'RuntimeError', 'FUNCTION_INIT_ERROR'],
    ['leaves.handler', 'exit', 'Runtime.ExitError', 'FUNCTION_EXIT'],
  ])('%s', async (handler, statusKind, errorType, errorCode) => {
    const made = await environment(handler);
    const result = await made.invoke(event({}));
    expect(result).toMatchObject({ statusKind, errorType, functionError: 'Unhandled' });
    expect(answer(result)).toMatchObject({ errorType });
    expect(code(result)).toBe(errorCode);
    expect(functionFailure(result)?.remedy).toBeTruthy();
    expect(made.violations).toEqual([]);
  });

  test('a failed init is repeated inside the invocation, and both are reported', async () => {
    const made = await environment('unimportable.handler');
    const lines = texts(await made.invoke(event({}), { requestId: 'x' }));
    const reports = lines.filter((line) => line.startsWith('INIT_REPORT'));
    expect(reports).toHaveLength(2);
    expect(reports[0]).toMatch(
      /^INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: Runtime\.ImportModuleError$/,
    );
    expect(reports[1]).toMatch(/\tPhase: invoke\tStatus: error\t/);
    expect(lines.at(-1)).toMatch(/\tStatus: error\tError Type: Runtime\.ImportModuleError\t$/);
  });

  test('an init phase that takes too long is cut off and repeated inside the invocation', async () => {
    const made = await environment('slow_start.handler', { timeoutSeconds: 20 }, { initTimeoutMs: 100 });
    const result = await made.invoke(event({}));
    expect(answer(result)).toBe('at last');
    expect(texts(result)).toContainEqual(expect.stringMatching(/^INIT_REPORT .*\tPhase: init\tStatus: timeout$/));
    expect(result.initMs).toBeUndefined();
  });

  test('a response is accepted up to the last byte of the limit and refused one byte later', async () => {
    const made = await environment('app.large', { timeoutSeconds: 10 });
    const fits = await made.invoke(event(6_291_556));
    expect(fits).toMatchObject({ statusKind: 'ok' });
    expect(fits.payload).toHaveLength(6_291_556);
    const result = await made.invoke(event(6_291_557));
    expect(answer(result)).toEqual({
      errorType: 'Function.ResponseSizeTooLarge',
      errorMessage: 'Response payload size (6291557 bytes) exceeded maximum allowed payload size (6291556 bytes).',
    });
    expect(code(result)).toBe('RESPONSE_TOO_LARGE');
    expect((await made.invoke(event(10))).statusKind).toBe('ok');
    expect(made.violations).toEqual([]);
  });
});

describe('crashes, timeouts and restarts', () => {
  test('exits, signals and timeouts are told apart, worded as Lambda does, and /tmp outlives them', async () => {
    const made = await environment('app.counter', { timeoutSeconds: 0.5 });
    const message = (result: InvokeResult): string => (answer(result) as { errorMessage: string }).errorMessage;
    const first = answer(await made.invoke(event('fine'))) as { count: number };
    expect(first.count).toBe(1);

    const exited = await made.invoke(event('exit'), { requestId: 'e' });
    expect(message(exited)).toBe('RequestId: e Error: Runtime exited with error: exit status 7');
    expect(texts(exited).slice(-4, -1)).toEqual([message(exited), 'Runtime.ExitError', 'END RequestId: e']);
    expect(texts(exited).at(-1)).toMatch(/\tStatus: error\tError Type: Runtime\.ExitError\t$/);
    expect(code(exited)).toBe('FUNCTION_EXIT');

    expect(message(await made.invoke(event('return'), { requestId: 'e' }))).toBe(
      'RequestId: e Error: Runtime exited without providing a reason',
    );
    expect(message(await made.invoke(event('killed status'), { requestId: 'e' }))).toContain('exit status 137');
    expect(message(await made.invoke(event('abort'), { requestId: 'e' }))).toContain('signal: aborted');

    const late = await made.invoke(event('sleep'), { requestId: 't' });
    expect(answer(late)).toEqual({
      errorType: 'Sandbox.Timedout',
      errorMessage: 'RequestId: t Error: Task timed out after 0.50 seconds',
    });
    expect(late.durationMs).toBe(500);
    expect(texts(late).at(-1)).toMatch(/\tDuration: 500\.00 ms\t.*\tStatus: timeout\t$/);
    expect(texts(late)).toContainEqual(expect.stringMatching(/Z t Task timed out after 0\.50 seconds$/));
    expect(code(late)).toBe('FUNCTION_TIMEOUT');

    const after = answer(await made.invoke(event('fine'))) as { count: number };
    expect(after.count).toBe(7);
  });

  test('a process that dies in the middle of its answer is reported as dead', async () => {
    const made = await environment('app.half');
    const result = await made.invoke(event({}));
    expect(result).toMatchObject({ statusKind: 'exit', errorMessage: expect.stringContaining('exit status 9') });
  });

  test('more memory than allowed ends the function as Lambda does', async () => {
    const made = await environment('app.hungry', { timeoutSeconds: 20 });
    const result = await made.invoke(event(400), { requestId: 'm' });
    expect(answer(result)).toEqual({
      errorType: 'Runtime.OutOfMemory',
      errorMessage: 'RequestId: m Error: Runtime exited with error: signal: killed',
    });
    expect(result.maxMemoryMb).toBe(128);
    expect(code(result)).toBe('FUNCTION_OUT_OF_MEMORY');
  });

  const running = (marker: string): boolean =>
    execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).includes(marker);

  test('a timeout leaves no process behind, not even one that left the process group', async () => {
    const made = await environment('app.stray', { timeoutSeconds: 0.5 });
    const marker = '86011';
    const result = await made.invoke(event({ marker, after: 'sleep' }));
    expect(result.statusKind).toBe('timeout');
    expect(running(`sleep ${marker}`)).toBe(false);
  });

  test('neither does a shutdown', async () => {
    const made = await environment('app.stray');
    const marker = '86012';
    await made.invoke(event({ marker, after: 'return' }));
    expect(running(`sleep ${marker}`)).toBe(true);
    await made.shutdown();
    open.length = 0;
    expect(running(`sleep ${marker}`)).toBe(false);
  });

  test.each([
    ['none', []],
    ['external', ['asked to leave']],
  ] as const)('SIGTERM comes before the end only where Lambda sends it: extensions %s', async (extensions, said) => {
    for (const kinds of [['namespace'], ['mapped']] as const) {
      const made = await environment('app.graceful', {}, { kinds });
      await made.invoke(event({}));
      open.length = 0;
      const last = await made.shutdown(shutdownBudgetMs[extensions]);
      expect(last.map(({ text }) => text)).toEqual(said);
    }
  });

  test('an abort kills everything and rejects with CANCELLED', async () => {
    const context = testContext(folder);
    const made = await environment('app.stray', { timeoutSeconds: 60 }, {}, context);
    const marker = '86013';
    await made.init();
    const invocation = made.invoke(event({ marker, after: 'sleep' }));
    const outcome = expect(invocation).rejects.toMatchObject({ code: 'CANCELLED' });
    while (!running(`sleep ${marker}`)) await new Promise((resolve) => setTimeout(resolve, 20));
    context.abort();
    await outcome;
    expect(running(`sleep ${marker}`)).toBe(false);
  });
});
