// What ends up in the log: formats, levels, sinks, and who pays for them.
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { builtRuntimes } from './support/built.ts';
import { json, run } from './support/run.ts';
import { event } from './support/scripted-api.ts';

/** What was written to the log descriptor, frame by frame. */
function frames(bytes: Buffer): { type: string; seconds: number; message: string }[] {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4);
    found.push({
      type: bytes.toString('hex', at, at + 4),
      seconds: Number(bytes.readBigUInt64BE(at + 8)) / 1e6,
      message: bytes.toString('utf8', at + 16, at + 16 + length),
    });
    at += 16 + length;
  }
  return found;
}

describe.each(await builtRuntimes())('on CPython $version', (built) => {
  describe('logs', () => {
    it('has the managed root handler, from the first import of logging', async () => {
      const { stdout, posts } = await run(built, {
        files: {
          'app.py': [
            'import logging, time',
            'logging.basicConfig(format="never")',
            'logging.warning("at init")',
            'def handler(event, context):',
            '    logging.info("not shown")',
            '    logging.error("shown %s", "é")',
            '    context.log("by context\\n")',
            '    root = logging.getLogger()',
            '    return [type(h).__name__ for h in root.handlers] + [hasattr(root.handlers[0], "log_sink"),',
            '            logging.Formatter.converter is time.gmtime, type(logging.__loader__).__name__,',
            '            logging.__spec__.loader is logging.__loader__]',
          ].join('\n'),
        },
      });
      expect(stdout).toMatch(
        /^\[WARNING\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t\tat init\n\[ERROR\]\t[-0-9T:.]+Z\trequest-1\tshown é\nby context\n$/,
      );
      expect(json(posts[0])).toEqual(['LambdaLoggerHandler', true, true, 'SourceFileLoader', true]);
    });

    it('writes JSON when asked to', async () => {
      const { stdout } = await run(built, {
        files: {
          'app.py': [
            'import logging',
            'def handler(event, context):',
            '    logging.debug("fine", extra={"odd": object, "n": 1})',
            '    try: 1 / 0',
            '    except ZeroDivisionError: logging.exception("bad")',
            '    raise ValueError("v")',
          ].join('\n'),
        },
        env: { AWS_LAMBDA_LOG_FORMAT: 'JSON', AWS_LAMBDA_LOG_LEVEL: 'TRACE' },
        nexts: [event({}, { 'Lambda-Runtime-Aws-Tenant-Id': 't' })],
      });
      const [first, second, third] = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(Object.keys(first)).toEqual([
        'timestamp',
        'level',
        'message',
        'logger',
        'requestId',
        'tenantId',
        'odd',
        'n',
      ]);
      expect(first).toMatchObject({
        level: 'DEBUG',
        message: 'fine',
        requestId: 'request-1',
        odd: "<class 'object'>",
        n: 1,
      });
      expect(second).toMatchObject({
        errorType: 'ZeroDivisionError',
        location: expect.stringMatching(/app\.py:handler:5$/),
      });
      expect(third).toMatchObject({
        level: 'ERROR',
        errorMessage: 'v',
        errorType: 'ValueError',
        requestId: 'request-1',
      });
    });

    it('does not lose or delay what was printed', async () => {
      const { stdout, stderr, posts } = await run(built, {
        files: {
          'app.py': [
            'import os, sys',
            'def handler(event, context):',
            '    if event == 1:',
            '        sys.stdout.write("no line end")',
            '        sys.stderr.write("neither")',
            '    if event == 2: sys.stdout.close()',
            '    if event == 3: sys.stdout = sys.stderr = None',
            '    if event == 4: raise ValueError',
          ].join('\n'),
        },
        nexts: [event(1), event(2), event(3), event(4)],
      });
      expect([stdout, stderr]).toEqual(['no line end', 'neither']);
      expect(posts.map((post) => post.path.split('/').pop())).toEqual(['response', 'response', 'response', 'error']);
    });

    it('keeps a record of several lines together, and apart from the next', async () => {
      const { stdout } = await run(built, {
        files: {
          'app.py': [
            'import logging',
            'def handler(event, context):',
            '    logging.warning("one\\ntwo\\r\\nthree")',
            '    try: 1 / 0',
            '    except ZeroDivisionError: logging.exception("bad")',
            '    context.log("a\\nb\\n")',
            '    context.log("no end")',
            '    logging.getLogger().handlers[0].setFormatter(logging.Formatter("%(message)s"))',
            '    logging.warning("first"), logging.warning("second \\ud800")',
            '    raise ValueError("of\\ntwo lines")',
          ].join('\n'),
        },
      });
      expect(stdout.split('\n').map((line) => line.replace(/^.*request-1\t|"\/.*?\/app\.py"/g, ''))).toEqual([
        'one\rtwo\rthree',
        expect.stringMatching(
          /^bad\rTraceback \(most recent call last\):\r[^\n]*\rZeroDivisionError: division by zero$/,
        ),
        'a\rb',
        'no endfirst',
        'second \\ud800',
        expect.stringMatching(/^\[ERROR\] ValueError: of\rtwo lines\rTraceback \(most recent call last\):\r/),
        '',
      ]);
    });

    it('does not fail an invocation over a record', async () => {
      const outcome = await run(built, {
        files: {
          'app.py': [
            'import logging',
            'class Bad:',
            '    def __str__(self): raise RuntimeError("no")',
            'loop = []',
            'loop.append(loop)',
            'def handler(event, context):',
            '    logging.error("%d", "not a number")',
            '    logging.error({(1, 2): 3})',
            '    logging.error("extra", extra={"loop": loop, "bad": Bad(), "good": 1, "nan": float("nan")})',
            '    return "done"',
          ].join('\n'),
        },
        env: { AWS_LAMBDA_LOG_FORMAT: 'JSON' },
      });
      expect(json(outcome.posts[0])).toBe('done');
      const lines = outcome.stdout.trimEnd().split('\n');
      expect(lines.length).toBe(2);
      expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'ERROR', message: '{(1, 2): 3}', logger: 'root' });
      expect(lines[1]).toContain(
        '"loop": "[[...]]", "bad": "<Bad: str() raised RuntimeError>", "good": 1, "nan": NaN}',
      );
      expect(outcome.stderr).toContain('--- Logging error ---');
    });

    it.each([
      ['Text', '', ['a55a0003', 'a55a0003', 'a55a0003'], 'a55a0017'],
      ['Text', 'DEBUG', ['a55a000f', 'a55a0013', 'a55a0003'], 'a55a0017'],
      ['JSON', '', ['a55a000e', 'a55a0012', 'a55a0003'], 'a55a0016'],
    ])('are framed when there is a descriptor for them: %s, level "%s"', async (format, level, types, errorType) => {
      const outcome = await run(built, {
        files: {
          'app.py': [
            'import logging, os, subprocess',
            'def handler(event, context):',
            '    logging.getLogger().setLevel("INFO")',
            '    logging.info("é\\nline 2")',
            '    logging.getLogger("x").log(35, "between")',
            '    context.log("context")',
            '    print("printed")',
            '    child = subprocess.run(["sh", "-c", "echo ${_LAMBDA_TELEMETRY_LOG_FD-none}"])',
            '    raise ValueError(os.environ.get("_LAMBDA_TELEMETRY_LOG_FD"))',
          ].join('\n'),
        },
        env: { _LAMBDA_TELEMETRY_LOG_FD: '3', AWS_LAMBDA_LOG_FORMAT: format, AWS_LAMBDA_LOG_LEVEL: level },
        pipe3: true,
      });
      expect(outcome.stdout).toBe('printed\nnone\n');
      expect(outcome.stderr).toBe('');
      const written = frames(outcome.written3);
      expect(written.map((frame) => frame.type)).toEqual([...types, errorType]);
      expect(written.every((frame) => Math.abs(frame.seconds - Date.now() / 1000) < 600)).toBe(true);
      expect(written[2]?.message).toBe('context');
      if (format === 'JSON') {
        expect(JSON.parse(written[0]!.message)).toMatchObject({ level: 'INFO', message: 'é\nline 2' });
        expect(JSON.parse(written[1]!.message)).toMatchObject({ level: 'WARNING', logger: 'x' });
        expect(JSON.parse(written[3]!.message)).toMatchObject({ level: 'ERROR', errorMessage: 'None' });
      } else {
        expect(written[0]?.message).toMatch(/^\[INFO\]\t.*Z\trequest-1\té\nline 2\n$/);
        expect(written[3]?.message).toMatch(
          /^\[ERROR\] ValueError: None\nTraceback \(most recent call last\):\n\u00a0\u00a0File/,
        );
      }
    });

    it('are framed without logging having been imported, at init too', async () => {
      const { written3, stdout } = await run(built, {
        files: {
          'app.py': [
            'import sys',
            'def handler(event, context):',
            '    context.log(["logging" in sys.modules])',
            '    return ["logging" in sys.modules]',
          ].join('\n'),
        },
        env: { _LAMBDA_TELEMETRY_LOG_FD: '3' },
        pipe3: true,
      });
      expect(frames(written3)).toMatchObject([{ type: 'a55a0003', message: '[False]' }]);
      expect(stdout).toBe('');
      const failed = await run(built, { files: {}, env: { _LAMBDA_TELEMETRY_LOG_FD: '3' }, pipe3: true });
      expect(frames(failed.written3)).toMatchObject([
        { type: 'a55a0003', message: expect.stringContaining('LAMBDA_WARNING: Unhandled exception.') },
        { type: 'a55a0017', message: expect.stringMatching(/^\[ERROR\] Runtime\.ImportModuleError: /) },
      ]);
    });

    it('go to standard output when the function closed the descriptor', async () => {
      const { stdout, written3 } = await run(built, {
        files: {
          'app.py': [
            'import logging, os',
            'def handler(event, context):',
            '    os.close(3)',
            '    logging.warning("still\\nhere")',
            '    raise ValueError("and here")',
          ].join('\n'),
        },
        env: { _LAMBDA_TELEMETRY_LOG_FD: '3' },
        pipe3: true,
      });
      expect(written3.length).toBe(0);
      expect(stdout).toMatch(/^\[WARNING\]\t[^\n]*\tstill\rhere\n\[ERROR\] ValueError: and here\rTraceback[^\n]*\n$/);
    });

    it('go to the socket of Managed Instances, one connection for each stream', async () => {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'log-socket-'));
      const received: string[] = [];
      const server = net.createServer((socket) => {
        const index = received.push('') - 1;
        socket.setEncoding('utf8').on('data', (text) => {
          received[index] = `${received[index]}${text}`;
        });
      });
      await new Promise<void>((resolve) => server.listen(path.join(folder, 'log'), resolve));
      try {
        const env = {
          _LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET: path.join(folder, 'log'),
          AWS_LAMBDA_LOG_FORMAT: 'json',
        };
        const files = {
          'app.py': [
            'import logging, sys',
            'def handler(event, context):',
            '    logging.error("two\\nlines")',
            '    sys.stderr.write("err\\n")',
          ].join('\n'),
        };
        const { stdout, stderr } = await run(built, { files, env });
        expect([stdout, stderr]).toEqual(['', '']);
        expect(received.length).toBe(2);
        expect(received[0]).toMatch(/^\{.*"message": "two\\nlines".*"requestId": "request-1"\}\n$/);
        expect(received[1]).toBe('err\n');
        const gone = { ...env, _LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET: path.join(folder, 'none') };
        expect((await run(built, { files, env: gone })).stdout).toMatch(/"two\\nlines"/);
      } finally {
        server.close();
        await rm(folder, { recursive: true });
      }
    });

    it.each([
      ['WARN', ['WARNING', 'ERROR', 'CRITICAL']],
      ['FATAL', ['CRITICAL']],
      ['TRACE', ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL']],
      ['nonsense', ['WARNING', 'ERROR', 'CRITICAL']],
    ])('obey the level %s', async (level, shown) => {
      const { stdout, posts } = await run(built, {
        files: {
          'app.py': [
            'import logging',
            'def handler(event, context):',
            '    for level in (5, 10, 20, 30, 40, 50): logging.log(level, "x")',
            '    return type(logging.getLogger().handlers[0]).__name__',
          ].join('\n'),
        },
        env: { AWS_LAMBDA_LOG_LEVEL: level },
      });
      expect([...stdout.matchAll(/^\[(\w+)\]/gm)].map((found) => found[1])).toEqual(shown);
      expect(json(posts[0])).toBe('LambdaLoggerHandlerWithFrameType');
    });
  });

  describe('the invocation under way', () => {
    it('is seen by every thread on demand, and by each its own when there are several', async () => {
      const { posts } = await run(built, {
        files: {
          'app.py': [
            'import contextvars, copy, json, logging, os, subprocess, sys, threading',
            'from make_runtime import invocation',
            'name = "_X_AMZN_TRACE_ID"',
            'def in_thread(function):',
            '    found = []',
            '    thread = threading.Thread(target=lambda: found.append(contextvars.Context().run(function)))',
            '    thread.start(), thread.join()',
            '    return found[0]',
            'def start(*ids): invocation.begin(invocation.Invocation((200, b"", None, ids[0], *[None] * 3, ids[1], None, None, ids[2]), None))',
            'def ids():',
            '    now = invocation.current()',
            '    return [None, None] if now is None else [now.request_id, now.tenant_id]',
            'def look(): return [*ids(), os.environ.get(name), name in os.environ,',
            '                    os.getenv(name), os.environb.get(name.encode(), b"").decode(), name in os.environ.copy(),',
            '                    name in repr(os.environ), name in list(os.environ), name in dict(os.environ.items())]',
            'def serve(number):',
            '    start("r%d" % number, "trace%d" % number, None)',
            '    return look()',
            'def handler(event, context):',
            '    before = [look(), in_thread(look)]',
            '    os.environ.pop(name)',
            '    invocation.isolate()',
            '    start("r", "trace", "t")',
            '    size = len(os.environ)',
            '    mine = [look(), in_thread(look), in_thread(lambda: serve(1)), look()]',
            '    child = subprocess.check_output(["sh", "-c", "echo ${_X_AMZN_TRACE_ID-none}"], text=True).strip()',
            '    given = subprocess.check_output(["sh", "-c", "echo $" + name], env=dict(os.environ), text=True).strip()',
            '    os.environ[name] = "own"',
            '    own = [os.environ[name], in_thread(lambda: os.environ.get(name))]',
            '    del os.environ[name]',
            '    gone = [os.environ.get(name), size - len(os.environ), "PATH" in os.environ]',
            '    os.environ["OTHER"] = "x"',
            '    gone.append(subprocess.check_output(["sh", "-c", "echo $OTHER"], text=True).strip())',
            '    return [before, mine, child, given, own, gone]',
          ].join('\n'),
        },
        nexts: [event({}, { 'Lambda-Runtime-Trace-Id': 'T', 'Lambda-Runtime-Aws-Tenant-Id': 'tenant' })],
      });
      const seen = (request: string | null, tenant: string | null, trace: string | null) => {
        const there = trace !== null;
        return [request, tenant, trace, there, trace, trace ?? '', there, there, there, there];
      };
      expect(json(posts[0])).toEqual([
        [seen('request-1', 'tenant', 'T'), seen('request-1', 'tenant', 'T')],
        [seen('r', 't', 'trace'), seen(null, null, null), seen('r1', null, 'trace1'), seen('r', 't', 'trace')],
        'none',
        'trace',
        ['own', null],
        [null, 1, true, 'x'],
      ]);
    });
  });
});
