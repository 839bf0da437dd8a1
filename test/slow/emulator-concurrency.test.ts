// AWS's Runtime Interface Emulator once more, as the Managed Instances emulator: several invocations at a time, over the
// Runtime API server that AWS runs there. Threads, forked processes and an event loop, on free-threaded and GIL layers.
//
// What is the emulator's and not Lambda's: the deadline is far too late (a duration is multiplied by milliseconds), a
// client context is handed on as it is, tenants are unknown, the log format is `json` in lower case, and optional headers
// are sent empty. An invocation for which nobody polls is refused at once (Runtime.Unavailable), as on Lambda.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { remove, testContext } from '../lambda/support/function.ts';
import { type Answer, type Caller, Emulator, findEmulator } from './judges/emulator.ts';
import { needsRoot } from './judges/emulator-place.ts';
import { judgedLayers, unpacked } from './judges/layer.ts';

const folder = await mkdtemp(join(tmpdir(), 'make-runtime-emulator-'));
const code = join(folder, 'code');
const context = testContext(folder);
const emulator = await findEmulator();
const missing = 'missing' in emulator ? emulator.missing : needsRoot;
const layers = missing === undefined ? await judgedLayers(folder) : [];
afterAll(() => remove(folder));

/** "meet": returns when `n` invocations are in the handler at once, in whatever processes; a room is used once. */
const app = (keyword: '' | 'async ') => `
import asyncio, logging, os, signal, sys, threading, time

class Odd(BaseException): pass

${keyword}def meet(event, context):
    room = "/tmp/" + event["meet"]
    os.makedirs(room, exist_ok=True)
    open(room + "/" + context.aws_request_id, "w").close()
    for _ in range(3000):
        if len(os.listdir(room)) >= event["n"]: return
        ${keyword ? 'await asyncio.sleep(0.01)' : 'time.sleep(0.01)'}
    raise TimeoutError("alone in " + room)

def late_error():
    yield "first "
    raise ValueError("after the first piece")

${keyword}def handler(event, context):
    before = os.environ.get("_X_AMZN_TRACE_ID")
    what = event.get("do")
    if "meet" in event: ${keyword && 'await '}meet(event, context)
    if what == "raise": raise KeyError("missing")
    if what == "sys.exit": sys.exit(4)
    if what == "base": raise Odd("x")
    if what == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit": os._exit(7)
    if what == "large": return "x" * 7_000_000
    if what == "stream": return (str(i) * 100_000 for i in range(10))
    if what == "late": return late_error()
    logging.warning("in %s", context.aws_request_id, extra={"trace": before})
    client = context.client_context
    return {
        "pid": os.getpid(), "thread": threading.get_ident(), "id": context.aws_request_id, "count": threading.active_count(),
        "trace": [before, os.environ.get("_X_AMZN_TRACE_ID")], "tenant": context.tenant_id,
        "custom": client and client.custom, "deadline": context._epoch_deadline_time_in_ms,
        "identity": context.identity.cognito_identity_id, "arn": context.invoked_function_arn,
        "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "format": os.environ["AWS_LAMBDA_LOG_FORMAT"],
    }
`;
await mkdir(code);
await writeFile(join(code, 'app.py'), app(''));
await writeFile(join(code, 'coroutine.py'), app('async '));
await writeFile(
  join(code, 'raising.py'),
  'import os, time\nwhile not os.path.exists("/var/task/go"): time.sleep(0.01)\nraise ValueError("at import")\n',
);

interface Seen {
  readonly pid: number;
  readonly thread: number;
  readonly id: string;
  readonly trace: readonly unknown[];
  readonly [name: string]: unknown;
}

const json = <T = Seen>({ text }: Answer): T => JSON.parse(text) as T;

if (missing !== undefined) test('AWS’s emulator of Managed Instances', ({ skip }) => skip(missing));

/** Handler module, mode, how many processes and threads answer four at a time; -1: the machine decides. */
type Way = readonly [module: 'app' | 'coroutine', mode: string | undefined, processes: number, threads: number];
const ways = (freeThreaded: boolean): Way[] => [
  ['app', undefined, freeThreaded ? 1 : 4, 4],
  ['app', freeThreaded ? 'process' : 'thread', freeThreaded ? 4 : 1, 4],
  ['app', 'hybrid', -1, 4],
  ['coroutine', 'auto', 1, 1],
];

describe.each(layers.map((layer) => [layer.version, layer] as const))('python%s, several at a time', (_, layer) => {
  let running: Emulator | undefined;
  const start = async (handler: string, mode: string | undefined, env: Record<string, string> = {}) => {
    running = await Emulator.start(
      { emulator: (emulator as { path: string }).path, layer: await unpacked(layer, context), code, handler },
      {
        AWS_LAMBDA_MAX_CONCURRENCY: '4',
        ...(mode === undefined ? {} : { AWS_LAMBDA_CONCURRENCY_MODE: mode }),
        ...env,
      },
      context,
    );
    return running;
  };
  afterEach(async () => {
    await running?.close();
    running = undefined;
    await rm(join(code, 'go'), { force: true });
  });

  /** Invokes as soon as somebody polls: init is over when the first poller does. */
  const invoke = (made: Emulator, event: unknown, caller?: Caller): Promise<Answer> => {
    const attempt = async (left: number): Promise<Answer> => {
      const answer = await made.invoke(event, caller);
      if (answer.errorType !== 'Runtime.Unavailable' || left === 0) return answer;
      await wait(20);
      return attempt(left - 1);
    };
    const answered = attempt(1000);
    answered.catch(() => {}); // whoever waits for it hears of it; a test that has failed before does not
    return answered;
  };
  let rooms = 0;
  const together = (made: Emulator, callers: readonly Caller[]): Promise<Answer[]> => {
    const room = `room-${++rooms}`;
    return Promise.all(callers.map((caller) => invoke(made, { meet: room, n: callers.length }, caller)));
  };

  describe.each(ways(layer.freeThreaded))('%s, mode %s', (module, mode, processes, threads) => {
    const handler = `${module}.handler`;
    const ownProcess = processes === 4;

    test('four meet in the handler, each with its own id, trace and log record', async () => {
      const made = await start(handler, mode);
      for (const round of ['first', 'second']) {
        const callers = [1, 2, 3, 4].map((n) => ({
          requestId: `${round} %"${n}`, // percent-encoded in the path of the answer
          traceId: n === 4 ? '' : `Root=1-5759e988-bd862e3fe1be46a99427279${n};Parent=53995c3f42cd8ad8;Sampled=1`,
        }));
        const seen = (await together(made, callers)).map((answer) => json(answer));
        const traces = callers.map(({ traceId }) => traceId || null);
        expect(seen.map(({ id, trace }) => [id, ...trace])).toEqual(
          callers.map(({ requestId }, i) => [requestId, traces[i], traces[i]]),
        );
        const pids = new Set(seen.map(({ pid }) => pid)).size;
        expect(processes === -1 ? Math.min(pids, 4) : pids).toBe(processes === -1 ? pids : processes);
        expect(new Set(seen.map(({ pid, thread }) => `${pid} ${thread}`)).size).toBe(threads === 1 ? 1 : 4);
        for (const [i, { requestId }] of callers.entries()) {
          const message = `in ${requestId}`;
          await made.said(new RegExp(`"message": ${JSON.stringify(JSON.stringify(message)).slice(1, -1)}.*\n`));
          const records = made.output
            .split('\n')
            .filter((line) => line.startsWith('{') && line.includes(JSON.stringify(message)))
            .map((line) => JSON.parse(line));
          expect(records).toHaveLength(1);
          expect(records[0]).toMatchObject({ level: 'WARNING', message, requestId });
          expect(records[0].trace ?? null).toBe(traces[i]);
        }
      }
      expect(made.output).not.toContain('LAMBDA_RUNTIME');
    });

    test('a failure, an exit and a killed process harm no invocation that is under way', async () => {
      const made = await start(handler, mode);
      const failures: [string, object][] = [
        [
          'raise',
          { errorType: 'KeyError', errorMessage: "'missing'", stackTrace: [expect.stringContaining('/var/task/')] },
        ],
        ['sys.exit', { errorType: 'Runtime.ExitError', errorMessage: expect.stringMatching(/exit status 4$/) }],
        ['base', { errorType: 'Runtime.ExitError', errorMessage: expect.stringMatching(/Odd$/) }],
      ];
      if (ownProcess)
        failures.push(
          ['kill', { errorType: 'Runtime.ExitError', errorMessage: expect.stringMatching(/signal 9$/) }],
          ['exit', { errorType: 'Runtime.ExitError', errorMessage: expect.stringMatching(/exit status 7$/) }],
        );
      for (const [what, error] of failures) {
        const room = `room-${++rooms}`;
        const others = [invoke(made, { meet: room, n: 3 }), invoke(made, { meet: room, n: 3 })];
        const requestId = `failing-${what}`;
        const failed = await invoke(made, { do: what }, { requestId });
        expect(failed.status).toBe(200);
        expect(json(failed)).toMatchObject({ ...error, requestId });
        const [last, ...first] = await Promise.all([invoke(made, { meet: room, n: 3 }), ...others]);
        expect([last, ...first].map((answer) => json(answer).thread)).toEqual(Array(3).fill(expect.any(Number)));
      }
      // All places are there again, and each error is in the log under its own id.
      expect((await together(made, [{}, {}, {}, {}])).map((answer) => json(answer).id)).toHaveLength(4);
      for (const [what] of failures) await made.said(new RegExp(`"level": "ERROR".*"requestId": "failing-${what}"`));
      expect(made.output).not.toMatch(/InvalidStateTransition|InvalidRequestID/);
    });

    test('a late answer is refused, and costs no place', async () => {
      const made = await start(handler, mode, { AWS_LAMBDA_FUNCTION_TIMEOUT: '3' });
      const room = `room-${++rooms}`;
      const late = await invoke(made, { meet: room, n: 2 }, { requestId: 'late' });
      expect(late).toMatchObject({ status: 200, errorType: 'Sandbox.Timedout' });
      expect(late.text).toContain('Task timed out after 3.00 seconds');
      // It still runs, and three others are answered meanwhile; then it is let go.
      expect((await together(made, [{}, {}, {}])).map((answer) => json(answer).id)).toHaveLength(3);
      expect(json(await invoke(made, { meet: room, n: 2 }))).toMatchObject({ id: expect.any(String) });
      await made.said(/LAMBDA_RUNTIME the response was not accepted: status 410, .*InvokeTimeout/);
      expect((await together(made, [{}, {}, {}, {}])).map((answer) => json(answer).id)).toHaveLength(4);
    });

    test('streamed and large answers, and an error after the first piece', async () => {
      const made = await start(handler, mode);
      const [stream, late, large, fine] = await Promise.all(
        ['stream', 'late', 'large', 'fine'].map((what) => invoke(made, { do: what })),
      );
      expect(stream?.mode).toBe('streaming');
      expect(stream?.text).toBe(Array.from({ length: 10 }, (_, i) => String(i).repeat(100_000)).join(''));
      expect(late?.errorType).toBe('Runtime.Unknown'); // ValueError is no type of the platform's
      expect(json(late!)).toMatchObject({ errorType: 'ValueError', errorMessage: 'after the first piece' });
      expect(large?.errorType).toBe('Function.ResponseSizeTooLarge');
      expect(fine).toMatchObject({ mode: 'buffered', errorType: undefined });
      await made.said(/LAMBDA_RUNTIME the response was not accepted: status 413/);
      expect((await together(made, [{}, {}, {}, {}])).map((answer) => json(answer).id)).toHaveLength(4);
    });
  });

  test('what the emulator says in headers and environment reaches the handler', async () => {
    const made = await start('app.handler', undefined, { AWS_LAMBDA_FUNCTION_NAME: 'judged', AWS_REGION: 'us-west-2' });
    const clientContext = { custom: { k: 'v' } };
    const first = json(await invoke(made, {}, { clientContext, tenantId: 'unheard' }));
    expect(first).toMatchObject({
      custom: { k: 'v' },
      tenant: null,
      identity: null,
      arn: 'arn:aws:lambda:us-west-2:123456789012:function:judged',
      type: 'lambda-managed-instances',
      format: 'json',
    });
    // Its deadline is a million times 300 seconds away: more than nine years, and to be told as it is.
    const away = (first['deadline'] as number) - Date.now();
    expect(Math.abs(away - 300e9)).toBeLessThan(60_000);
    // Headers that are empty count as absent.
    expect(json(await invoke(made, {}))).toMatchObject({
      custom: null,
      tenant: null,
      identity: null,
      trace: [null, null],
    });
  });

  test.each(['thread', 'process'])('an init error in mode %s is told once, and ends the environment', async (mode) => {
    const made = await start('raising.handler', mode);
    const asked = made.invoke({}).catch((error: Error) => error); // it ends soon after its answer, or before
    await writeFile(join(code, 'go'), '');
    await made.ended;
    const answer = await asked;
    expect(answer instanceof Error || answer.errorType !== undefined).toBe(true);
    expect(made.output.match(/Received Runtime Init Error/g)).toHaveLength(1);
    expect(made.output).not.toContain('InvalidStateTransition');
    expect(made.output).toMatch(/"level": "ERROR".*"errorMessage": "at import".*"errorType": "ValueError"/);
  });

  test('the end of the one process is the end of the environment, and of what was under way', async () => {
    const made = await start('app.handler', 'thread');
    const room = `room-${++rooms}`;
    const under = [invoke(made, { meet: room, n: 4 }), invoke(made, { meet: room, n: 4 })].map((one) =>
      one.catch((error: Error) => error),
    );
    await invoke(made, { meet: room, n: 3, do: 'exit' }).catch(() => undefined);
    await made.ended;
    for (const answer of await Promise.all(under))
      expect(answer instanceof Error ? 'Runtime.ExitError' : answer.errorType).toBe('Runtime.ExitError');
    expect(made.output).toContain('Runtime.ExitError');
  });
});
