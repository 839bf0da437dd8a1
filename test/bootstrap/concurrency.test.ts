// Lambda Managed Instances: N invocations at once in every mode, and none harmed by another.
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { builtRuntimes } from './support/built.ts';
import { type Live, live, value } from './support/live-api.ts';

const runtimes = await builtRuntimes();
const handler = (...lines: string[]) => ({ 'app.py': `${lines.join('\n')}\n` });
const managed = (count: number, mode?: string): Record<string, string> => ({
  AWS_LAMBDA_MAX_CONCURRENCY: String(count),
  AWS_LAMBDA_INITIALIZATION_TYPE: 'lambda-managed-instances',
  ...(mode === undefined ? {} : { AWS_LAMBDA_CONCURRENCY_MODE: mode }),
});

/** A handler that returns only when `n` invocations are in it at the same time, in whatever processes. */
const together = (n: number, keyword = '') => [
  'import asyncio, os, threading, time',
  `${keyword}def handler(event, context):`,
  '    open(os.path.join(event, context.aws_request_id), "w").close()',
  `    while len(os.listdir(event)) < ${n}: ${keyword ? 'await asyncio.sleep(0.005)' : 'time.sleep(0.005)'}`,
  '    return [os.getpid(), threading.get_ident()]',
];

async function all({ give, polls }: Live, n: number): Promise<{ processes: number; threads: number }> {
  const folder = await mkdtemp('/tmp/together-');
  await polls(n); // as many polls as there may be invocations, before the first is given
  const given = Array.from({ length: n }, () => give(folder));
  const values = (await Promise.all(given.map(({ answer }) => value(answer)))) as [number, number][];
  return {
    processes: new Set(values.map(([pid]) => pid)).size,
    threads: new Set(values.map((pair) => pair.join())).size,
  };
}

describe.each(runtimes)('on CPython $version', (built) => {
  const freeThreaded = built.version.endsWith('t');

  it.each([
    ['thread', '', { processes: 1, threads: 4 }],
    ['threads', '', { processes: 1, threads: 4 }],
    ['process', '', { processes: 4, threads: 4 }],
    ['Auto', '', freeThreaded ? { processes: 1, threads: 4 } : { processes: 4, threads: 4 }],
    [undefined, 'async ', { processes: 1, threads: 1 }],
    ['process', 'async ', { processes: 4, threads: 4 }],
  ])('mode %s, %sdef: four at once', async (mode, keyword, expected) => {
    await live(built, { files: handler(...together(4, keyword)), env: managed(4, mode) }, async (it) => {
      expect(await all(it, 4)).toEqual(expected);
      expect(await all(it, 4)).toEqual(expected); // and again, after every poller has come back
      expect(it.output).toEqual({ stdout: '', stderr: '' });
    });
  });

  it.skipIf(built.minor >= 14)('threads have an event loop, as a main thread would', async () => {
    const code = [
      'import asyncio',
      'async def answer():',
      '    await asyncio.sleep(0)',
      '    return 42',
      'def handler(event, context):',
      '    return asyncio.get_event_loop().run_until_complete(answer())',
    ];
    await live(built, { files: handler(...code), env: managed(3, 'thread') }, async ({ give, polls, output }) => {
      await polls(3);
      const given = Array.from({ length: 6 }, (_, index) => give(index));
      expect(await Promise.all(given.map(({ answer }) => value(answer)))).toEqual([42, 42, 42, 42, 42, 42]);
      expect(output.stderr).toBe('');
    });
  });

  it('hybrid: as many processes as vCPUs, threads in each', async () => {
    await live(built, { files: handler(...together(4)), env: managed(4, 'hybrid') }, async (it) => {
      const { processes, threads } = await all(it, 4);
      expect(threads).toBe(4);
      expect(processes).toBeLessThanOrEqual(4);
      expect(it.output.stderr).toBe('');
    });
  });

  it.each([
    ['thread', ''],
    ['thread', 'async '],
  ])('mode %s, %sdef: each has its own request id, tenant, context and log records', async (mode, keyword) => {
    const files = handler(
      'import contextvars, logging, os',
      'mine = contextvars.ContextVar("mine", default=None)',
      ...together(3, keyword).slice(0, 2),
      '    before = mine.get()',
      '    mine.set(context.aws_request_id)',
      '    open(os.path.join(event, context.aws_request_id), "w").close()',
      `    while len(os.listdir(event)) < 3: ${keyword ? 'await asyncio.sleep(0.005)' : 'time.sleep(0.005)'}`,
      '    logging.error("%s %s", context.aws_request_id, context.tenant_id)',
      '    return [before, mine.get(), context.tenant_id, os.environ.get("_X_AMZN_TRACE_ID")]',
    );
    const env = { ...managed(3, mode), AWS_LAMBDA_LOG_FORMAT: 'json' };
    await live(built, { files, env }, async ({ give, polls, said, output }) => {
      for (let round = 0; round < 2; round++) {
        const folder = await mkdtemp('/tmp/together-');
        await polls(3);
        const given = ['a', 'b', 'c'].map((tenant) =>
          give(folder, { 'Lambda-Runtime-Aws-Tenant-Id': tenant, 'Lambda-Runtime-Trace-Id': `Root=${tenant}` }),
        );
        expect(await Promise.all(given.map(({ answer }) => value(answer)))).toEqual(
          given.map(({ requestId }, i) => [null, requestId, 'abc'[i], `Root=${'abc'[i]}`]),
        );
      }
      await said(/(.*"level": "ERROR".*\n){6}/);
      for (const line of output.stdout.trim().split('\n')) {
        const { message, requestId, tenantId } = JSON.parse(line);
        expect(message).toBe(`${requestId} ${tenantId}`);
      }
    });
  });

  it.each([
    ['thread', ''],
    ['process', ''],
    ['thread', 'async '],
    ['process', 'async '],
  ])('mode %s, %sdef: failures, sys.exit and odd exceptions harm no other', async (mode, keyword) => {
    const files = handler(
      'import sys',
      'class Odd(BaseException): pass',
      `${keyword}def handler(event, context):`,
      '    if event == "raise": raise ValueError("é")',
      '    if event == "exit": sys.exit(3)',
      '    if event == "exit 0": sys.exit()',
      '    if event == "interrupt": raise KeyboardInterrupt',
      '    if event == "odd": raise Odd("x")',
      '    if event == "generator": raise GeneratorExit',
      '    return event',
    );
    await live(built, { files, env: managed(2, mode) }, async ({ give, polls, process: child, others, output }) => {
      for (let round = 0; round < 2; round++) {
        for (const [event, type, message] of [
          ['raise', 'ValueError', 'é'],
          ['exit', 'Runtime.ExitError', 'Runtime exited with error: exit status 3'],
          ['exit 0', 'Runtime.ExitError', 'Runtime exited with error: exit status 0'],
          ['interrupt', 'Runtime.ExitError', 'Runtime exited with error: KeyboardInterrupt'],
          ['odd', 'Runtime.ExitError', 'Runtime exited with error: Odd'],
          ['generator', 'Runtime.ExitError', 'Runtime exited with error: GeneratorExit'],
        ] as const) {
          const { kind, body } = await give(event).answer;
          const error = JSON.parse(body.toString());
          expect([kind, error.errorType]).toEqual(['error', type]);
          expect(error.errorMessage).toContain(message);
        }
        await polls(2);
        expect(await value(give('fine').answer)).toBe('fine');
      }
      expect(child.exitCode).toBeNull();
      // Told once, by the worker; a supervisor that tells it again is refused.
      expect(others).toEqual([]);
      expect(output.stderr).not.toContain('not accepted');
    });
  });

  it('a killed worker is replaced, and its invocation reported for it', async () => {
    const files = handler(
      'import os, signal',
      'def handler(event, context):',
      '    if event == "kill": os.kill(os.getpid(), signal.SIGKILL)',
      '    if event == "exit": os._exit(7)',
      '    return os.getpid()',
    );
    await live(built, { files, env: managed(2, 'process') }, async ({ give, polls, said, output }) => {
      for (const [event, how] of [
        ['kill', 'signal 9'],
        ['exit', 'exit status 7'],
      ] as const) {
        const given = give(event, { 'Lambda-Runtime-Invocation-Id': `attempt-${event}` });
        const { kind, headers, body } = await given.answer;
        expect(kind).toBe('error');
        expect(headers['lambda-runtime-invocation-id']).toBe(`attempt-${event}`);
        expect(JSON.parse(body.toString())).toMatchObject({
          errorType: 'Runtime.ExitError',
          errorMessage: `RequestId: ${given.requestId} Error: Runtime exited with error: ${how}`,
          requestId: given.requestId,
        });
        await polls(2);
        expect(await value(give('fine').answer)).toEqual(expect.any(Number));
      }
      await said(/worker process \d+ has ended: exit status 7/);
      expect(output.stdout).toContain('[ERROR] Runtime.ExitError');
    });
  });

  it('answers 403, 410 and 500 concern one invocation; a failing next is asked for again', async () => {
    let refused = 0;
    const seen: string[] = [];
    const statuses = [403, 410, 500];
    const instead = (request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse) => {
      const next = request.url?.endsWith('/next');
      if (next && seen.length > 0 && refused < 3) {
        refused++;
        response.writeHead(500).end('{}');
        return true;
      }
      const status = request.url?.endsWith('/response') ? statuses.shift() : undefined;
      if (status === undefined) return false;
      seen.push(String(status));
      request.resume().on('end', () => response.writeHead(status).end('{}'));
      return true;
    };
    const files = handler('def handler(event, context): return event');
    await live(built, { files, instead, env: managed(1) }, async ({ give, polls, said, output }) => {
      for (let i = 0; i < 3; i++) {
        await polls(1);
        give(i);
        await said(new RegExp(`status ${[403, 410, 500][i]}`));
      }
      await polls(1);
      expect(await value(give(9).answer)).toBe(9);
      expect(refused).toBe(3);
      expect(output.stderr.match(/Failed to get next invocation/g)?.length).toBe(3);
    });
  });

  it('gives up after five failing nexts in a row, whatever the mode', async () => {
    const one = async (keyword: string) => {
      let polled = 0;
      const instead = (_: unknown, response: import('node:http').ServerResponse) => {
        polled++;
        response.writeHead(500).end('{}');
        return true;
      };
      const files = handler(`${keyword}def handler(event, context): return event`);
      await live(built, { files, instead, env: managed(2, 'thread') }, async ({ ended }) => {
        expect(await ended).toEqual({ status: 1, signal: null });
        expect(polled).toBe(10);
      });
    };
    await Promise.all([one(''), one('async ')]);
  });

  it('SIGTERM reaches every worker, and then the supervisor goes the same way', async () => {
    const files = handler(
      'import os, signal, sys',
      'def stop(*_): print("stopped", os.getpid(), flush=True); sys.exit(0)',
      'signal.signal(signal.SIGTERM, stop)',
      'def handler(event, context): return os.getpid()',
    );
    await live(built, { files, env: managed(3, 'process') }, async ({ polls, process: child, ended, output }) => {
      await polls(3);
      child.kill('SIGTERM');
      // A shared libpython before 3.13 does not export what closes the gap between the last look for a signal and the
      // wait (docs/bootstrap.md, signals); what we link ourselves has it.
      const again = setInterval(() => child.kill('SIGTERM'), 500);
      expect(await ended).toEqual({ status: null, signal: 'SIGTERM' });
      clearInterval(again);
      expect(new Set(output.stdout.trim().split('\n')).size).toBe(3);
    });
  });

  it('workers die with a supervisor that is killed', async () => {
    const files = handler('import os', 'def handler(event, context): return os.getpid()');
    await live(built, { files, env: managed(2, 'process') }, async ({ give, polls, process: child, ended }) => {
      await polls(2);
      const pid = (await value(give(0).answer)) as number;
      expect(pid).not.toBe(child.pid);
      child.kill('SIGKILL');
      await ended; // at the end of stdout, which the workers have too: would they live, this would be for ever
      expect(child.signalCode).toBe('SIGKILL');
    });
  });

  it('pre-fork hooks run once, in order, before any worker is there', async () => {
    const hooks = [
      'from awslambdaric.lambda_concurrency_hooks import register_pre_fork',
      'import os',
      'log = []',
      '@register_pre_fork',
      'def first(): log.append(["first", os.getpid()])',
      'register_pre_fork(log.append, "second")',
      'def handler(event, context): return [log, os.getpid()]',
    ];
    await live(built, { files: handler(...hooks), env: managed(2, 'process') }, async ({ give, process: child }) => {
      const [log, pid] = (await value(give(0).answer)) as [unknown, number];
      expect(log).toEqual([['first', child.pid], 'second']);
      expect(pid).not.toBe(child.pid);
    });
    await live(built, { files: handler(...hooks), env: managed(2, 'thread') }, async ({ give }) => {
      expect(await value(give(0).answer)).toEqual([[], expect.any(Number)]);
    });
    await live(built, { files: handler(...hooks) }, async ({ give, process: child }) => {
      expect(await value(give(0).answer)).toEqual([[], child.pid]); // on demand there is nothing to fork
    });
    const failing = handler(...hooks, 'register_pre_fork(lambda: 1 / 0)');
    await live(built, { files: failing, env: managed(2, 'process') }, async ({ ended, others }) => {
      expect((await ended).status).toBe(1);
      expect(others.map(({ path }) => path)).toEqual(['/2018-06-01/runtime/init/error']);
      expect(others[0]?.headers['lambda-runtime-function-error-type']).toBe('Runtime.PreForkError');
      expect(JSON.parse(others[0]?.body ?? '')).toMatchObject({ errorType: 'Runtime.PreForkError' });
    });
  });

  it('an init error that is refused with 403 is no further matter', async () => {
    const instead = (_: unknown, response: import('node:http').ServerResponse) => {
      response.writeHead(403).end('{}');
      return true;
    };
    const files = handler('raise ValueError("x")');
    await live(built, { files, instead, env: managed(2) }, async ({ ended, output }) => {
      expect(await ended).toEqual({ status: 1, signal: null });
      expect(output.stderr).toBe('');
    });
  });

  it('a coroutine whose time is over is cancelled and gives its place back', async () => {
    const files = handler(
      'import asyncio',
      'async def handler(event, context):',
      '    if event: await asyncio.sleep(3600)',
      '    return "fine"',
    );
    await live(built, { files, env: managed(1) }, async ({ give, output }) => {
      // The second has come too late already, which a busy process can make of any.
      for (const left of [300, -300]) {
        const late = give(1, { 'Lambda-Runtime-Deadline-Ms': String(Date.now() + left) });
        const { kind, body } = await late.answer;
        expect([kind, JSON.parse(body.toString()).errorType]).toEqual(['error', 'CancelledError']);
      }
      expect(await value(give(0).answer)).toBe('fine');
      expect(output.stderr).toContain('is cancelled, its time is over');
    });
  });

  it.each([
    ['thread', 'async '],
    ['thread', ''],
    ['process', ''],
  ])('mode %s, %sdef: several stream at once, and large answers go through', async (mode, keyword) => {
    const files = handler(
      'from make_runtime import streaming',
      `${keyword}def pieces(event):`,
      '    for i in range(50): yield event * 3000',
      `${keyword}def handler(event, context):`,
      '    if event == "large": return "x" * 1000000',
      '    return pieces(event)',
    );
    await live(built, { files, env: managed(3, mode) }, async ({ give, polls, output }) => {
      await polls(3);
      const given = ['é', 'b', 'large', 'c', 'd', 'large'].map((event) => [event, give(event)] as const);
      for (const [event, { answer }] of given) {
        const body = (await answer).body.toString();
        expect(body === (event === 'large' ? `"${'x'.repeat(1_000_000)}"` : event.repeat(150_000))).toBe(true);
      }
      expect(output.stderr).toBe('');
    });
  });

  it('gives each worker connections of its own to the log socket, where records stay whole', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'log-socket-'));
    const connections: string[] = [];
    const server = net.createServer((socket) => {
      const index = connections.push('') - 1;
      socket.setEncoding('utf8').on('data', (text) => {
        connections[index] = `${connections[index]}${text}`;
      });
    });
    await new Promise<void>((resolve) => server.listen(path.join(folder, 'log'), resolve));
    try {
      // Longer than what a socket takes at once: on one connection for two workers, the pieces would mix.
      const files = handler(
        'import logging, os, sys',
        ...together(2),
        'meet = handler',
        'def handler(event, context):',
        '    meet(event, context)',
        '    for i in range(20): logging.error("%d %d %s", os.getpid(), i, str(i % 10) * 300_000)',
        '    print("%d to stderr" % os.getpid(), file=sys.stderr)',
        '    return os.getpid()',
      );
      const env = {
        ...managed(2, 'process'),
        AWS_LAMBDA_LOG_FORMAT: 'JSON',
        _LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET: path.join(folder, 'log'),
      };
      await live(built, { files, env }, async ({ give, polls, output }) => {
        await polls(2);
        const room = await mkdtemp(path.join(folder, 'room-'));
        const given = [give(room), give(room)];
        const pids = await Promise.all(given.map(({ answer }) => value(answer)));
        expect(new Set(pids).size).toBe(2);
        for (const [i, pid] of pids.entries()) {
          const mine = connections.filter((text) => text.includes(String(pid)));
          expect(mine.map((text) => text.startsWith('{')).sort()).toEqual([false, true]);
          expect(mine).toContain(`${pid} to stderr\n`);
          const records = mine
            .find((text) => text.startsWith('{'))!
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line));
          expect(records.map(({ message, requestId }) => [message, requestId])).toEqual(
            Array.from({ length: 20 }, (_, n) => [
              `${pid} ${n} ${String(n % 10).repeat(300_000)}`,
              given[i]?.requestId,
            ]),
          );
        }
        // Two of the supervisor, which has nothing to say, and two of each worker.
        expect(connections.map((text) => text.length > 0).sort()).toEqual([false, false, true, true, true, true]);
        expect(output).toEqual({ stdout: '', stderr: '' });
      });
    } finally {
      server.close();
      await rm(folder, { recursive: true });
    }
  });

  it.each([
    ['process', 3],
    ['thread', 1],
  ])('mode %s: says at level DEBUG, as the first thing, how many workers there are', async (mode, workerCount) => {
    const files = handler('import logging', 'def handler(event, context): logging.info("%s", event)');
    const env = { ...managed(3, mode), AWS_LAMBDA_LOG_FORMAT: 'JSON' };
    await live(built, { files, env: { ...env, AWS_LAMBDA_LOG_LEVEL: 'TRACE' } }, async ({ give, said, output }) => {
      await value(give('hello').answer);
      await said(/hello/);
      // As awslambdaric 4.2.2 writes it, to the letter but for the time and the number.
      const event = `{"event": "runtime_worker_pool_initializing", "workerCount": ${workerCount}, "executionEnvironmentMaxConcurrency": 3}`;
      const [first = '', ...others] = output.stdout.split('\n');
      expect(first.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/, 'now')).toBe(
        `{"timestamp": "now", "level": "DEBUG", "message": ${event}, "logger": "root", "requestId": ""}`,
      );
      expect(others.join()).not.toContain('runtime_worker_pool_initializing');
    });
    await live(built, { files, env: { ...env, AWS_LAMBDA_LOG_LEVEL: 'INFO' } }, async ({ give, said, output }) => {
      await value(give('hello').answer);
      await said(/hello/);
      expect(output.stdout).not.toContain('runtime_worker_pool_initializing');
    });
  });

  it('says what it does not understand and goes on', async () => {
    const files = handler('def handler(event, context): return event');
    await live(built, { files, env: managed(1, 'fibres') }, async ({ give, output }) => {
      expect(await value(give(1).answer)).toBe(1);
      expect(output.stderr).toBe(
        'LAMBDA_RUNTIME AWS_LAMBDA_CONCURRENCY_MODE is not auto, thread, process or hybrid: fibres\n',
      );
    });
    const env = { AWS_LAMBDA_MAX_CONCURRENCY: 'many' };
    await live(built, { files, env }, async ({ give, output }) => {
      expect(await value(give(1).answer)).toBe(1);
      expect(output.stderr).toBe('LAMBDA_RUNTIME AWS_LAMBDA_MAX_CONCURRENCY is not a number: many\n');
    });
  });
});
