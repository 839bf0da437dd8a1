// Streamed responses: what is on the wire, and when; errors before and after the first byte; back-pressure.
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { RuntimeApi } from '../../build/lambda/runtime-api.ts';
import { builtRuntimes } from './support/built.ts';
import { live } from './support/live-api.ts';

const runtimes = await builtRuntimes();
const HTTP = 'application/vnd.awslambda.http-integration-response';
const handler = (...lines: string[]) => ({ 'app.py': `${lines.join('\n')}\n` });

/** A handler that goes on only when a file appears: proof that what came before has left. */
const gate = [
  'import os, time',
  'def wait(path):',
  '    while not os.path.exists(path): time.sleep(0.005)',
  '    os.unlink(path)',
];

describe.each(runtimes)('on CPython $version', (built) => {
  it.each([
    ['a generator', 'def handler(event, context):'],
    ['an async generator', 'async def handler(event, context):'],
  ])('%s sends each chunk when it is yielded', async (_, head) => {
    const files = handler(
      ...gate,
      head,
      '    yield "é1"',
      '    wait(event["gate"])',
      '    yield b""', // would be the end of the body
      '    yield bytearray(b"2\\0")',
      '    wait(event["gate"])',
      '    yield memoryview(b"3")',
    );
    await live(built, { files }, async ({ give }) => {
      const { writeFile, mkdtemp } = await import('node:fs/promises');
      const path = `${await mkdtemp('/tmp/gate-')}/open`;
      const given = give({ gate: path }, { 'Lambda-Runtime-Invocation-Id': 'attempt-1' });
      expect((await given.piece())?.toString()).toBe('é1');
      await writeFile(path, '');
      expect((await given.piece())?.toString()).toBe('2\0');
      await writeFile(path, '');
      expect((await given.piece())?.toString()).toBe('3');
      expect(await given.piece()).toBeUndefined();
      const { headers, trailers, kind } = await given.answer;
      expect(kind).toBe('response');
      expect(headers).toMatchObject({
        'lambda-runtime-function-response-mode': 'streaming',
        'transfer-encoding': 'chunked',
        trailer: 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body',
        'content-type': 'application/octet-stream',
        'lambda-runtime-invocation-id': 'attempt-1',
      });
      expect(headers['content-length']).toBeUndefined();
      expect(trailers).toEqual({});
    });
  });

  it('an error before the first byte is an ordinary error, after it a trailer, and life goes on', async () => {
    const files = handler(
      'from make_runtime import streaming',
      'def handler(event, context):',
      '    if event == "raise": raise ValueError("é")',
      '    if event == "type": yield 7',
      '    if event == "header": yield streaming.Prelude(200, {"a": "b\\nc"})',
      '    if event == "empty": yield ""; raise ValueError("é")',
      '    yield "first"',
      '    if event == "late": raise ValueError("é")',
      '    if event == "late type": yield {"a": 1}',
      '    if event == "surrogate": yield "\\ud800"',
      '    if event == "nothing": return',
    );
    await live(built, { files }, async ({ give, output }) => {
      for (const [event, message] of [
        ['raise', 'ValueError é'],
        ['type', 'TypeError a chunk of a streamed response must be str or bytes-like, not int'],
        ['header', 'ValueError a header must not hold a line break'],
        ['empty', 'ValueError é'],
      ]) {
        const answer = await give(event).answer;
        const { errorType, errorMessage, stackTrace } = JSON.parse(answer.body.toString());
        expect([answer.kind, `${errorType} ${errorMessage}`]).toEqual(['error', message]);
        expect(stackTrace[0]).toContain('app.py');
        if (event !== 'header') expect(stackTrace.at(-1)).toContain('app.py');
      }
      for (const [event, type, message] of [
        ['late', 'ValueError', 'é'],
        ['late type', 'TypeError', 'a chunk of a streamed response must be str or bytes-like, not dict'],
        ['surrogate', 'UnicodeEncodeError', expect.stringContaining('surrogates not allowed')],
      ]) {
        const { kind, body, trailers } = await give(event).answer;
        expect([kind, body.toString()]).toEqual(['response', 'first']);
        expect(trailers['lambda-runtime-function-error-type']).toBe(type);
        const error = JSON.parse(
          Buffer.from(trailers['lambda-runtime-function-error-body'] ?? '', 'base64').toString(),
        );
        expect(error).toMatchObject({ errorType: type, errorMessage: message });
        expect(Object.keys(error)).toEqual(['errorMessage', 'errorType', 'requestId', 'stackTrace']);
      }
      expect((await give('nothing').answer).body.toString()).toBe('first');
      expect(output.stdout).toContain('[ERROR] ValueError: é');
      expect(output.stderr).toBe('');
    });
  });

  it('a generator that yields nothing is an empty response', async () => {
    const files = handler('def handler(event, context):', '    return (x for x in event)');
    await live(built, { files }, async ({ give }) => {
      expect((await give([]).answer).body.toString()).toBe('');
      expect((await give(['a', 'b']).answer).body.toString()).toBe('ab');
    });
  });

  it('gives an HTTP response its status, headers and cookies', async () => {
    const files = handler(
      'from make_runtime import streaming',
      'def yields(event, context):',
      '    yield streaming.Prelude(201, {"content-type": "text/plain", "x": "é"}, cookies=["a=b", "c=d"])',
      '    yield "body"',
      'def pushes(event, context):',
      '    with streaming.open(404, {"x": "y"}) as out:',
      '        if event == "write": print("a", "b", file=out)',
      '        if event == "flush": out.flush(); out.flush()',
      '        try: streaming.open()',
      '        except RuntimeError as error: text = str(error)',
      '    assert "already" in text and out.closed',
      '    try: out.write("late")',
      '    except ValueError: pass',
      '    else: 1 / 0',
      '    return "not sent"',
      'def handler(event, context):',
      '    return yields(event, context) if event == "yield" else pushes(event, context)',
    );
    await live(built, { files }, async ({ give, output }) => {
      const split = async (event: string) => {
        const { headers, body, trailers } = await give(event).answer;
        const at = body.indexOf(Buffer.alloc(8));
        expect(headers['content-type']).toBe(HTTP);
        expect(trailers).toEqual({});
        return [JSON.parse(body.subarray(0, at).toString()), body.subarray(at + 8).toString()];
      };
      expect(await split('yield')).toEqual([
        { statusCode: 201, headers: { 'content-type': 'text/plain', x: 'é' }, cookies: ['a=b', 'c=d'] },
        'body',
      ]);
      expect(await split('write')).toEqual([{ statusCode: 404, headers: { x: 'y' } }, 'a b\n']);
      expect(await split('flush')).toEqual([{ statusCode: 404, headers: { x: 'y' } }, '']);
      expect(await split('nothing')).toEqual([{ statusCode: 404, headers: { x: 'y' } }, '']);
      expect(output.stderr).toBe('');
    });
  });

  it('lets code push, and tells of an error inside `with` by a trailer', async () => {
    const files = handler(
      'import csv, gzip, io',
      'from make_runtime import streaming',
      'def handler(event, context):',
      '    with streaming.open(content_type="text/csv") as out:',
      '        if event == "csv": csv.writer(out).writerows([[1, "a"], [2, "b"]])',
      '        if event == "gzip":',
      '            with gzip.GzipFile(fileobj=out, mode="w") as packed: packed.write(b"x" * 100000)',
      '        if event == "early": raise KeyError("early")',
      '        if event == "late": out.write("x"); raise KeyError("late")',
      '    if event == "after": raise KeyError("after")',
    );
    await live(built, { files }, async ({ give, output }) => {
      const csv = await give('csv').answer;
      expect([csv.headers['content-type'], csv.body.toString()]).toEqual(['text/csv', '1,a\r\n2,b\r\n']);
      const { gunzipSync } = await import('node:zlib');
      expect(gunzipSync((await give('gzip').answer).body).length).toBe(100_000);
      expect((await give('early').answer).kind).toBe('error');
      expect((await give('late').answer).trailers['lambda-runtime-function-error-type']).toBe('KeyError');
      const after = await give('after').answer; // the response was over: the error is in the log and nowhere else
      expect([after.kind, after.trailers]).toEqual(['response', {}]);
      expect((await give('csv').answer).kind).toBe('response');
      expect(output.stdout).toContain("[ERROR] KeyError: 'after'");
      expect(output.stderr).toBe('');
    });
  });

  it('closing the stream ends the response, whatever the handler still does', async () => {
    const files = handler(
      ...gate,
      'from make_runtime import streaming',
      'def handler(event, context):',
      '    with streaming.open() as out: out.write("all")',
      '    wait(event)',
    );
    await live(built, { files }, async ({ give, polls, waiting }) => {
      const { writeFile, mkdtemp } = await import('node:fs/promises');
      const path = `${await mkdtemp('/tmp/gate-')}/open`;
      expect((await give(path).answer).body.toString()).toBe('all');
      expect(waiting()).toBe(0); // the handler has not returned
      await writeFile(path, '');
      await polls(1);
    });
  });

  it('stops the generator when the server has heard enough, and goes on', async () => {
    const files = handler(
      'closed = []',
      'def handler(event, context):',
      '    if event == "closed": yield str(closed); return',
      '    try:',
      '        for _ in range(100000): yield b"x" * 65536',
      '    finally:',
      '        closed.append(True)',
    );
    let refused = false;
    const instead = (request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse) => {
      if (refused || !request.url?.endsWith('/response')) return false;
      refused = true;
      request.once('data', () => {
        request.pause();
        response.writeHead(413, { Connection: 'close' });
        response.end('{"errorType":"RequestEntityTooLarge"}');
      });
      return true;
    };
    await live(built, { files, instead }, async ({ give, output, polls }) => {
      give('x');
      await polls(1);
      expect((await give('closed').answer).body.toString()).toBe('[True]');
      expect(output.stderr).toContain('the streamed response was not accepted: status 413');
      expect(output.stderr.trim().split('\n').length).toBe(1);
    });
  });

  it('a slow reader makes the generator wait, without holding the GIL, and memory stays flat', async () => {
    const files = handler(
      'import threading, time',
      'sent = ticks = 0',
      'def tick():',
      '    global ticks',
      '    while True: ticks += 1; time.sleep(0.001)',
      'def handler(event, context):',
      '    global sent',
      '    threading.Thread(target=tick, daemon=True).start()',
      '    for i in range(1600):',
      '        yield b"x" * 65536',
      '        sent = i',
      '        if i % 100 == 0: print(i, ticks)',
    );
    // A server of its own, because node's http reads ahead.
    let reading: net.Socket | undefined;
    let received = 0;
    let polled = 0;
    let finished = () => {};
    const done = new Promise<void>((resolve) => {
      finished = resolve;
    });
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (data) => {
        received += data.length;
        if (data.toString('latin1', 0, 3) === 'GET') {
          if (polled++ > 0) return;
          socket.write(
            'HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
          );
        } else if (reading === undefined) {
          reading = socket;
          socket.pause();
        }
        if (socket === reading && data.toString('latin1', data.length - 5) === '0\r\n\r\n') {
          socket.write('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n');
          finished();
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as net.AddressInfo;
    const env = { AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}` };
    try {
      await live(built, { files, env }, async ({ process: child, output }) => {
        const threads = () => readFileSync(`/proc/${child.pid}/status`, 'utf8');
        const kilobytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(threads())?.[1]);
        while (reading === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
        // The kernel's buffers are full when the main thread has come to rest in poll or sleep of its ticker only.
        const stuck = async () => {
          for (;;) {
            const before = output.stdout;
            await new Promise((resolve) => setTimeout(resolve, 200));
            if (output.stdout === before && before !== '') return;
          }
        };
        await stuck();
        const atRest = kilobytes('VmRSS');
        expect(output.stdout).not.toContain('1500 ');
        reading.resume();
        await done;
        expect(received).toBeGreaterThan(1600 * 65536);
        expect(kilobytes('VmHWM') - atRest).toBeLessThan(4096); // of 100 MB that went through
        const lines = output.stdout
          .trim()
          .split('\n')
          .map((line) => Number(line.split(' ')[1]));
        expect(Math.max(...lines)).toBeGreaterThan(20); // the other thread ran while the writer waited
      });
    } finally {
      server.close();
    }
  });

  it('the strict server accepts it, streams it, and gives a buffered invoke the whole', async () => {
    const files = handler(
      'async def handler(event, context):',
      '    yield "a" * event',
      '    yield "b"',
      '    if event > 1: raise ValueError("late")',
    );
    const api = await RuntimeApi.listen();
    try {
      await live(built, { files, env: { AWS_LAMBDA_RUNTIME_API: api.address } }, async () => {
        const invocation = {
          requestId: 'r-1',
          invocationId: 'i-1',
          deadlineMs: Date.now() + 60_000,
          functionArn: 'arn',
          body: Buffer.from('1'),
        };
        const buffered = api.session.offer(invocation);
        expect(await buffered.outcome).toMatchObject({ kind: 'response', streamed: true, body: Buffer.from('ab') });
        await buffered.finished;
        const pieces: string[] = [];
        const failing = api.session.offer(
          { ...invocation, requestId: 'r-2', body: Buffer.from('2') },
          { onChunk: (chunk) => pieces.push(chunk.toString()) },
        );
        expect(await failing.outcome).toMatchObject({
          kind: 'response',
          trailer: { body: expect.toSatisfy((body: Buffer) => JSON.parse(body.toString()).errorMessage === 'late') },
        });
        await failing.finished;
        expect(pieces.join('')).toBe('aab');
        // A buffered invoke takes 6 MiB: the rest is refused, and the runtime goes on.
        const large = api.session.offer({ ...invocation, requestId: 'r-3', body: Buffer.from('7000000') });
        expect((await large.outcome).kind).toBe('too-large');
        await large.finished;
        expect(api.session.violations).toEqual([]);
      });
    } finally {
      await api.close();
    }
  });
});
