// `async def` handlers: one loop for ever, background tasks, cancellation, ends of the process.
import { describe, expect, it } from 'vitest';
import { builtRuntimes } from './support/built.ts';
import { live, value } from './support/live-api.ts';
import { run } from './support/run.ts';
import { event } from './support/scripted-api.ts';

const runtimes = await builtRuntimes();
const handler = (...lines: string[]) => ({ 'app.py': `${lines.join('\n')}\n` });

describe.each(runtimes)('on CPython $version', (built) => {
  it.each([
    ['async def', 'async def handler(event, context):', []],
    ['a bound method', 'class A:\n  async def m(self, event, context):', ['handler = A().m']],
    ['a callable object', 'class A:\n  async def __call__(self, event, context):', ['handler = A()']],
    [
      'a partial',
      'async def h(loud, event, context):',
      ['import functools', 'handler = functools.partial(functools.partial(h), True)'],
    ],
    ['a plain wrapper', 'async def h(event, context):', ['def handler(event, context): return h(event, context)']],
  ])('%s is awaited, always on the same loop', async (_, head, tail) => {
    const files = handler(
      'import asyncio',
      'loops = set()',
      head,
      '    loops.add(asyncio.get_running_loop())',
      '    await asyncio.sleep(0)',
      '    return [event, len(loops), context.aws_request_id]',
      ...tail,
    );
    await live(built, { files }, async ({ give, output }) => {
      for (let i = 1; i < 5; i++) expect(await value(give(i).answer)).toEqual([i, 1, `request-${i}`]);
      expect(output).toEqual({ stdout: '', stderr: '' });
    });
  });

  it('background tasks go on while the runtime waits for the next invocation', async () => {
    const files = handler(
      'import asyncio',
      'async def later():',
      '    for i in range(3): await asyncio.sleep(0.01)',
      '    print("done in the background", flush=True)',
      'async def handler(event, context):',
      '    handler.task = asyncio.get_running_loop().create_task(later())',
    );
    await live(built, { files }, async ({ give, process: child, output }) => {
      const printed = new Promise((resolve) => child.stdout?.on('data', resolve));
      expect(await value(give(1).answer)).toBeNull();
      await printed; // no further invocation was given
      expect(output.stdout).toBe('done in the background\n');
    });
  });

  it('reports errors and cancellation, and goes on', async () => {
    const files = handler(
      'import asyncio, contextvars',
      'v = contextvars.ContextVar("v", default="unset")',
      'async def handler(event, context):',
      '    seen = v.get(); v.set(event)',
      '    if event == "raise": raise ValueError("é")',
      '    if event == "cancel": asyncio.current_task().cancel(); await asyncio.sleep(1)',
      '    if event == "all":',
      '        for task in asyncio.all_tasks(): task.cancel()',
      '        await asyncio.sleep(1)',
      '    if event == "timeout": await asyncio.wait_for(asyncio.sleep(9), 0.001)',
      '    if event == "object": return object()',
      '    if event == "generator": return (x for x in ["a", "b"])',
      '    return seen',
    );
    await live(built, { files }, async ({ give }) => {
      for (const [name, expected] of [
        ['raise', 'ValueError é'],
        ['cancel', 'CancelledError '],
        ['all', 'CancelledError '],
        ['timeout', 'TimeoutError '],
        ['object', 'Runtime.MarshalError Unable to marshal response: Object of type object is not JSON serializable'],
      ]) {
        const answer = await give(name).answer;
        const { errorType, errorMessage, stackTrace } = JSON.parse(answer.body.toString());
        expect([answer.kind, `${errorType} ${errorMessage}`]).toEqual(['error', expected]);
        if (name !== 'object') expect(stackTrace[0]).toContain('app.py');
      }
      expect((await give('generator').answer).body.toString()).toBe('ab');
      expect(await value(give(1).answer)).toBe('unset'); // a context of its own for each
    });
  });

  it('a coroutine that pushes does not stop the others while its reader is slow', async () => {
    const files = handler(
      'import asyncio',
      'from make_runtime import streaming',
      'ticks = 0',
      'async def tick():',
      '    global ticks',
      '    while True: ticks += 1; await asyncio.sleep(0.001)',
      'async def handler(event, context):',
      '    handler.task = asyncio.create_task(tick())',
      '    async with streaming.open(200) as out:',
      '        await out.send("é")',
      '        while ticks < event: await out.send(bytearray(65536))',
      '        await out.send(str(ticks >= event))',
    );
    let slow = true;
    const instead = (request: import('node:http').IncomingMessage) => {
      if (slow && request.url?.endsWith('/response')) {
        slow = false;
        request.pause();
        request.once('resume', () => {});
        const pause = setInterval(() => request.pause(), 1);
        setTimeout(() => {
          clearInterval(pause);
          request.resume();
        }, 150);
      }
      return false;
    };
    await live(built, { files, instead }, async ({ give }) => {
      const { body, trailers } = await give(50).answer;
      expect(trailers).toEqual({});
      expect(body.subarray(-4).toString()).toBe('True');
    });
  });

  it('survives a dropped idle connection, and exits when the Runtime API is gone', async () => {
    const files = handler('async def handler(event, context):', '    return event');
    const { posts, exchanges, status, stderr } = await run(built, {
      files,
      nexts: [
        event(1, {}, { close: 'after' }),
        event(2, {}, { drip: 1 }),
        event(3, {}, { chunk: 1 }),
        { status: 500, body: '{"errorMessage":"x"}' },
      ],
    });
    expect(posts.map((post) => post.body.toString())).toEqual(['1', '2', '3']);
    expect(new Set(exchanges.map((exchange) => exchange.connection)).size).toBeGreaterThan(1);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^LAMBDA_RUNTIME Failed to get next invocation: status 500/);
  });

  it.each([
    ['sys.exit(3)', { status: 3, signal: null }],
    ['raise KeyboardInterrupt', { status: null, signal: 'SIGINT' }],
    ['os.kill(os.getpid(), signal.SIGTERM)', { status: null, signal: 'SIGTERM' }],
    // asyncio keeps these two to itself.
    ['raise BaseException("odd")', { status: 1, signal: null }],
    ['raise GeneratorExit("odd")', { status: 1, signal: null }],
  ])('%s ends the process as Python does', async (statement, expected) => {
    const { posts, status, signal, stderr } = await run(built, {
      files: handler('import asyncio, os, signal, sys', 'async def handler(event, context):', `    ${statement}`),
    });
    expect(posts).toEqual([]);
    expect({ status, signal }).toEqual(expected);
    if (statement.includes('odd')) expect(stderr).toMatch(/^Traceback[\s\S]*\n(BaseException|GeneratorExit): odd\n$/);
  });

  it('a Python signal handler runs while the loop waits', async () => {
    const files = handler(
      'import signal, sys',
      'def stop(*_): print("stopped"); sys.exit(0)',
      'signal.signal(signal.SIGTERM, stop)',
      'async def handler(event, context): return event',
    );
    const { status, stdout } = await run(built, { files, whenIdle: (pid) => void process.kill(pid, 'SIGTERM') });
    expect([status, stdout]).toEqual([0, 'stopped\n']);
  });

  it('a plain handler never pays for asyncio', async () => {
    const files = handler(
      'import sys',
      'def handler(event, context):',
      '    yield str([m for m in ("asyncio", "contextvars", "threading", "os", "base64", "binascii") if m in sys.modules])',
    );
    await live(built, { files }, async ({ give }) => {
      expect((await give(0).answer).body.toString()).toBe('[]');
    });
  });

  it('uses uvloop when the function ships it', async () => {
    const files = {
      ...handler(
        'async def handler(event, context):',
        '    import asyncio; return type(asyncio.get_running_loop()).__name__',
      ),
      'uvloop.py': 'import asyncio\nclass Loop(asyncio.SelectorEventLoop): pass\nnew_event_loop = Loop\n',
    };
    await live(built, { files }, async ({ give }) => {
      expect(await value(give(0).answer)).toBe('Loop');
    });
  });

  it('keeps the trace id and the log records apart from those of the invocation before', async () => {
    const files = handler(
      'import asyncio, logging, os',
      'async def handler(event, context):',
      '    await asyncio.sleep(0)',
      '    logging.warning("here")',
      '    return os.environ.get("_X_AMZN_TRACE_ID")',
    );
    await live(built, { files }, async ({ give, said }) => {
      expect(await value(give(1, { 'Lambda-Runtime-Trace-Id': 'Root=1' }).answer)).toBe('Root=1');
      expect(await value(give(2).answer)).toBeNull();
      await said(/\trequest-1\there\n.*\trequest-2\there\n/);
    });
  });
});
