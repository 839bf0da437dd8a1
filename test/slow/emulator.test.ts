// AWS's Runtime Interface Emulator as the judge of the bootstrap: its state machine is AWS's own code, and accepts what
// Lambda accepts. On-demand mode here; emulator-concurrency.test.ts has the Managed Instances mode of the same program.
//
// What is the emulator's and not Lambda's: a timeout and an error are HTTP 200, START and END name different requests,
// "Init Duration" is wrong, Lambda-Runtime-Invocation-Id and Lambda-Runtime-Trace-Id are never sent.
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { remove, testContext } from '../lambda/support/function.ts';
import { Emulator, findEmulator } from './judges/emulator.ts';
import { judgedLayers, unpacked } from './judges/layer.ts';

const folder = await mkdtemp(join(tmpdir(), 'make-runtime-emulator-'));
const code = join(folder, 'code');
const context = testContext(folder);
const emulator = await findEmulator();
const missing = 'missing' in emulator ? emulator.missing : undefined;
const layers = missing === undefined ? await judgedLayers(folder) : [];
afterAll(() => remove(folder));

const app = `
import os, sys, time

count = 0

def handler(event, context):
    global count
    count += 1
    print("printed", count)
    if event == "raise":
        raise KeyError("missing")
    if event == "sleep":
        time.sleep(20)
    if event == "exit":
        os._exit(3)
    if event == "sys.exit":
        sys.exit(4)
    if event == "base":
        raise GeneratorExit
    if event == "large":
        return "x" * 7_000_000
    if event == "object":
        return object()
    if event == "bytes":
        return b"\\x00raw\\xff"
    if event == "context":
        client = context.client_context
        return {
            "count": count,
            "pid": os.getpid(),
            "id": context.aws_request_id,
            "arn": context.invoked_function_arn,
            "name": context.function_name,
            "memory": context.memory_limit_in_mb,
            "custom": client and client.custom,
            "title": client and client.client.app_title,
            "tenant": context.tenant_id,
            "trace": os.environ.get("_X_AMZN_TRACE_ID"),
            "remaining": context.get_remaining_time_in_millis(),
            "cwd": os.getcwd(),
        }
    return event

`;
await mkdir(code);
await writeFile(join(code, 'app.py'), app);
await writeFile(join(code, 'raising.py'), 'raise ValueError("at import")\n');
await writeFile(join(code, 'leaving.py'), 'import os\nos._exit(9)\n');

/** What the handler answers to "context". */
interface Seen {
  readonly count: number;
  readonly pid: number;
  readonly remaining: number;
  readonly [name: string]: unknown;
}

if (missing !== undefined) test('AWS’s emulator', ({ skip }) => skip(missing));

describe.each(layers.map((layer) => [layer.version, layer] as const))('python%s on demand', (_, layer) => {
  let running: Emulator | undefined;
  const start = async (handler = 'app.handler', env: Record<string, string> = {}): Promise<Emulator> => {
    const path = (emulator as { path: string }).path;
    running = await Emulator.start(
      { emulator: path, layer: await unpacked(layer, context), code, handler },
      env,
      context,
    );
    return running;
  };
  const json = async (answer: Promise<{ text: string }>): Promise<Seen> => JSON.parse((await answer).text) as Seen;
  afterEach(async () => {
    await running?.close();
    running = undefined;
  });

  test('context, with everything the caller can give', async () => {
    const made = await start('app.handler', { AWS_LAMBDA_FUNCTION_TIMEOUT: '30', AWS_LAMBDA_FUNCTION_NAME: 'judged' });
    const clientContext = { custom: { k: 'v' }, env: {}, client: { app_title: 'title' } };
    const first = await json(made.invoke('context', { clientContext, tenantId: 'blue' }));
    expect(first).toMatchObject({
      count: 1,
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      arn: 'arn:aws:lambda:us-east-1:012345678912:function:judged',
      name: 'judged',
      memory: '3008',
      custom: { k: 'v' },
      title: 'title',
      tenant: 'blue',
      trace: null,
      cwd: '/var/task',
    });
    expect(first.remaining).toBeGreaterThan(0);
    expect(first.remaining).toBeLessThanOrEqual(30_000);
    // What only the first caller gave is gone again.
    const second = await json(made.invoke('context'));
    expect(second).toMatchObject({ count: 2, pid: first.pid, custom: null, title: null, tenant: null });
    expect(second['id']).not.toBe(first['id']);
    expect(made.output).toMatch(/printed 1\nEND[\s\S]*printed 2\n/);
  });

  test('errors keep the process, and have the shape of the managed runtime', async () => {
    const made = await start();
    const { pid } = await json(made.invoke('context'));
    const raised = await made.invoke('raise');
    expect(raised.status).toBe(200);
    expect(Object.keys(JSON.parse(raised.text))).toEqual(['errorMessage', 'errorType', 'requestId', 'stackTrace']);
    expect(JSON.parse(raised.text)).toMatchObject({
      errorMessage: "'missing'",
      errorType: 'KeyError',
      stackTrace: [expect.stringMatching(/^ {2}File "\/var\/task\/app\.py", line \d+, in handler\n/)],
    });
    expect(await json(made.invoke('object'))).toMatchObject({ errorType: 'Runtime.MarshalError' });
    expect(await json(made.send('not JSON'))).toMatchObject({ errorType: 'Runtime.UnmarshalError' });
    expect(await json(made.invoke('context'))).toMatchObject({ pid });
    expect(made.output).toContain("[ERROR] KeyError: 'missing'\rTraceback (most recent call last):\r");
    expect(made.output).not.toContain('(rapid)');
  });

  test('payloads: bytes, text that is not ASCII, 6 MB in and out', async () => {
    const made = await start();
    expect((await made.invoke('bytes')).body).toEqual(Buffer.from('\0raw\xff', 'latin1'));
    const text = { 'é\u2028😀': [1e300, -0.5, null, true, '\0"\\'] };
    expect(await json(made.invoke(text))).toEqual(text);
    // The limit is 6 MiB and 100 bytes, quotes included.
    const most = 6_291_556 - 2;
    const answer = await made.invoke('y'.repeat(most));
    expect(answer.body.length).toBe(most + 2);
    expect(answer.body.equals(Buffer.from(`"${'y'.repeat(most)}"`))).toBe(true);
  });

  test('a response that is too large: told to the caller by the platform, and the process goes on', async () => {
    const made = await start();
    const { pid } = await json(made.invoke('context'));
    expect(await json(made.invoke('large'))).toEqual({
      errorType: 'Function.ResponseSizeTooLarge',
      errorMessage: 'Response payload size (7000002 bytes) exceeded maximum allowed payload size (6291556 bytes).',
    });
    expect(await json(made.invoke('context'))).toMatchObject({ pid, count: 3 });
    expect(made.output).not.toContain('InvalidStateTransition');
  });

  test('a timeout, and a new process after it', async () => {
    const made = await start('app.handler', { AWS_LAMBDA_FUNCTION_TIMEOUT: '1' });
    const { pid } = await json(made.invoke('context'));
    const late = await made.invoke('sleep');
    expect([late.status, late.text]).toEqual([200, 'Task timed out after 1.00 seconds']);
    const next = await json(made.invoke('context'));
    expect(next.count).toBe(1);
    expect(next.pid).not.toBe(pid);
  });

  test.each([
    ['exit', 'exit status 3'],
    ['sys.exit', 'exit status 4'],
    ['base', 'exit status 1'],
  ])('a process that ends in an invocation: %s', async (event, reason) => {
    const made = await start();
    const answer = await made.invoke(event);
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.text)).toEqual({
      errorType: 'Runtime.ExitError',
      errorMessage: expect.stringMatching(new RegExp(`^RequestId: \\S+ Error: Runtime exited with error: ${reason}$`)),
    });
    expect(await json(made.invoke('context'))).toMatchObject({ count: 1 });
  });

  test.each([
    [
      'nope.handler',
      {
        errorType: 'Runtime.ImportModuleError',
        errorMessage: "Unable to import module 'nope': No module named 'nope'",
      },
    ],
    ['app.absent', { errorType: 'Runtime.HandlerNotFound', errorMessage: "Handler 'absent' missing on module 'app'" }],
    ['nodot', { errorType: 'Runtime.MalformedHandlerName' }],
    ['raising.handler', { errorType: 'ValueError', errorMessage: 'at import' }],
  ])('an init error: %s', async (handler, error) => {
    const made = await start(handler);
    // The first answer comes from the init phase, the second from an init inside of the invocation.
    for (const attempt of ['init', 'suppressed init']) {
      const answer = await made.invoke(null);
      expect(answer.status, attempt).toBe(502);
      expect(JSON.parse(answer.text), attempt).toMatchObject({ ...error, requestId: '' });
    }
    expect(made.output).toContain('exited: exit status 1');
    expect(made.output).not.toContain('InvalidStateTransition');
  });

  test('a process that ends in init', async () => {
    const made = await start('leaving.handler');
    // The emulator has no body for this one, only its log.
    expect(await made.invoke(null)).toMatchObject({ status: 502 });
    expect(made.output).toContain('Process runtime-1 exited: exit status 9');
    expect(made.output).not.toContain('InvalidStateTransition');
  });
});
