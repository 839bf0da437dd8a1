// What happens behind the API: environments that come and go, asynchronous events, logs, several invocations in one
// environment, and an end that leaves nothing.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Entry } from '../../build/serve/journal.ts';
import { serve } from '../../build/serve/serve.ts';
import { fixtureLayer, machinePython, remove, scratch, testContext } from '../lambda/support/function.ts';
import { fixtures, type LocalLambda, localLambda, send } from './support/local.ts';

const folder = scratch('environments');
afterAll(() => remove(folder));

const path = (name: string): string => `/2015-03-31/functions/${name}/invocations`;
const later = { 'X-Amz-Invocation-Type': 'Event' };

/** Waits for an entry of the journal, also one that is there already. */
function entry<T extends Entry['type']>(
  { journal }: LocalLambda,
  type: T,
  wanted: (entry: Extract<Entry, { type: T }>) => boolean = () => true,
): Promise<Extract<Entry, { type: T }>> {
  return new Promise((resolve) => {
    const look = (one: Entry): void => {
      if (one.type === type && wanted(one as Extract<Entry, { type: T }>)) resolve(one as Extract<Entry, { type: T }>);
    };
    journal.read(look);
    for (const one of journal.since(0)) look(one);
  });
}

describe('environments', () => {
  test('an idle one is asked to leave; the end of all leaves nothing', async () => {
    const local = await localLambda({ leaves: 'app.leaves' }, { idleSeconds: 0.2 });
    try {
      await send(local.port, 'POST', path('leaves'), { body: '{}' });
      expect((await entry(local, 'environment-ended')).why).toBe('idle');
      const lines = local.journal.since(0).flatMap((one) => (one.type === 'log' ? [one.text] : []));
      expect(lines.at(-1)).toBe('asked to leave');
      await send(local.port, 'POST', path('leaves'), { body: '{}' });
    } finally {
      await local.close();
    }
    const ended = local.journal.since(0).filter(({ type }) => type === 'environment-ended');
    expect(ended.map((one) => 'why' in one && one.why)).toEqual(['idle', 'shutdown']);
    expect(await readdir(join(local.context.cacheDir, 'lambda'))).toEqual([]);
    await expect(send(local.port, 'GET', '/')).rejects.toThrow(/ECONNREFUSED/);
  });
});

test('Ctrl-C does not wait for an init phase', async () => {
  const code = join(folder, 'slow-import');
  await mkdir(code);
  await writeFile(join(code, 'app.py'), 'import time\ntime.sleep(9)\n');
  const context = testContext(folder);
  const python = machinePython();
  const starting = serve(
    {
      layerDirs: [fixtureLayer(join(folder, 'slow-layer'), python.command)],
      visible: python.visible,
      functions: [{ name: 'slow', codeDir: code, handler: 'app.handler' }],
      env: {},
      port: 0,
    },
    context,
  );
  const rejected = expect(starting).rejects.toMatchObject({ code: 'CANCELLED' });
  const lambda = join(context.cacheDir, 'lambda');
  while ((await readdir(lambda).catch(() => [])).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  context.abort();
  await rejected;
  expect(await readdir(lambda)).toEqual([]);
});

describe('asynchronous invocations', () => {
  test('are tried again with the same id, and told to the destination', async () => {
    const destinations = join(folder, 'destinations');
    const local = await localLambda(
      { flaky: 'app.flaky', raises: 'app.raises' },
      { retryDelaysMs: [10, 10], destinations, concurrency: 1 },
    );
    try {
      const accepted = await send(local.port, 'POST', path('flaky'), { body: '{"good":3}', headers: later });
      expect([accepted.status, accepted.body]).toEqual([202, '']);
      const requestId = String(accepted.headers['x-amzn-requestid']);
      const failing = await send(local.port, 'POST', path('raises'), { headers: later });
      expect((await entry(local, 'event-record', (one) => one.function === 'flaky')).condition).toBe('Success');
      expect((await entry(local, 'event-record', (one) => one.function === 'raises')).attempts).toBe(3);
      const read = async (file: string) => {
        for (;;) {
          const text = await readFile(join(destinations, file), 'utf8').catch(() => undefined);
          if (text !== undefined) return JSON.parse(text);
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      };
      expect(await read(`flaky/on-success/${requestId}.json`)).toMatchObject({
        version: '1.0',
        requestContext: {
          requestId,
          functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:flaky:$LATEST',
          condition: 'Success',
          approximateInvokeCount: 3,
        },
        requestPayload: { good: 3 },
        responseContext: { statusCode: 200, executedVersion: '$LATEST' },
        responsePayload: { attempts: 3, id: requestId },
      });
      const failed = await read(`raises/on-failure/${failing.headers['x-amzn-requestid']}.json`);
      expect(failed).toMatchObject({
        requestContext: { condition: 'RetriesExhausted', approximateInvokeCount: 3 },
        responseContext: { functionError: 'Unhandled' },
        responsePayload: { errorMessage: 'no good' },
      });
    } finally {
      await local.close();
    }
  });

  test('wait while the function is throttled, and are given up with a word at the end', async () => {
    const local = await localLambda({ slow: 'app.slow' }, { concurrency: 1 });
    const busy = send(local.port, 'POST', path('slow'), { body: '{"seconds":0.2}' });
    await entry(local, 'invocation-started');
    await send(local.port, 'POST', path('slow'), { body: '{"seconds":0}', headers: later });
    expect((await entry(local, 'throttled')).way).toBe('Event');
    await busy;
    await local.close();
    expect(local.context.events).toContainEqual({ type: 'warn', message: '1 asynchronous event was given up.' });
  });
});

describe('logs', () => {
  test('the platform logs JSON when the function does', async () => {
    const env = { AWS_LAMBDA_LOG_FORMAT: 'JSON' };
    const local = await localLambda({ echo: 'app.echo', raises: 'app.raises' }, { env });
    try {
      const good = await send(local.port, 'POST', path('echo'), { headers: { 'X-Amz-Log-Type': 'Tail' } });
      const tail = Buffer.from(String(good.headers['x-amz-log-result']), 'base64').toString();
      const lines = tail.trim().split('\n');
      const records = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
      expect(lines.filter((line) => !line.startsWith('{'))).toEqual(['echoing']);
      expect(records.map(({ type }) => type)).toEqual(['platform.initStart', 'platform.start', 'platform.report']);
      expect(records[2].record).toMatchObject({ status: 'success', metrics: { memorySizeMB: 128 } });
      expect(records[2].record.metrics.initDurationMs).toBeGreaterThan(0);
      const bad = await send(local.port, 'POST', path('raises'), { headers: { 'X-Amz-Log-Type': 'Tail' } });
      const told = Buffer.from(String(bad.headers['x-amz-log-result']), 'base64').toString();
      expect(told).toMatch(/"type":"platform.runtimeDone".*"status":"error"/);
      expect(told).toMatch(/"type":"platform.report".*"status":"error"/);
    } finally {
      await local.close();
    }
  });
});

describe('Managed Instances', () => {
  test('one environment, several invocations at a time, and no more', async () => {
    const local = await localLambda(
      {},
      { functions: [{ name: 'many', codeDir: fixtures, handler: 'app.slow' }], managed: 2, timeoutSeconds: 1 },
    );
    try {
      const ask = (seconds: number) => send(local.port, 'POST', path('many'), { body: `{"seconds":${seconds}}` });
      const [one, two, three] = await Promise.all([ask(0.4), ask(0.4), ask(0.4)]);
      expect([one, two, three].map(({ status }) => status).sort()).toEqual([200, 200, 429]);
      const environments = local.journal.since(0).filter(({ type }) => type === 'environment-ready');
      expect(environments).toHaveLength(1);
      const started = local.journal.since(0).filter((each) => each.type === 'invocation-started');
      const ended = local.journal.since(0).find((each) => each.type === 'invocation-ended');
      expect(started).toHaveLength(2);
      expect(started.every(({ sequence }) => sequence < ended!.sequence)).toBe(true);
      // A timeout ends the waiting only: the other place still works, in the same process.
      const late = await ask(1.3);
      expect(JSON.parse(late.body).errorMessage).toMatch(/Task timed out after 1.00 seconds/);
      expect((await ask(0)).status).toBe(200);
      expect(local.journal.since(0).filter(({ type }) => type === 'environment-ready')).toHaveLength(1);
    } finally {
      await local.close();
    }
  });
});

describe('the page', () => {
  test('is told the functions, and what happens as it happens', async () => {
    const local = await localLambda({ echo: 'app.echo' });
    try {
      const functions = await send(local.port, 'GET', '/_/functions');
      expect(JSON.parse(functions.body)).toMatchObject([{ name: 'echo', handler: 'app.echo', memoryMb: 128 }]);
      const stream = await fetch(`${local.url}/_/events`, { headers: { 'Last-Event-ID': '1' } });
      expect(stream.headers.get('content-type')).toBe('text/event-stream');
      await send(local.port, 'POST', path('echo'));
      let text = '';
      for await (const bytes of stream.body!) {
        text += Buffer.from(bytes).toString();
        if (text.includes('"invocation-ended"')) break;
      }
      const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
      expect(ids[0]).toBe(2);
      expect(ids).toEqual([...ids].sort((one, other) => one - other));
      expect((await send(local.port, 'POST', '/_/functions')).status).toBe(405);
      expect((await send(local.port, 'GET', '/_/', { headers: { Host: 'evil.example' } })).status).toBe(403);
    } finally {
      await local.close();
    }
  });
});

describe('what cannot be served', () => {
  test.each([
    [
      'a handler that is not there',
      { functions: [{ name: 'f', codeDir: fixtures, handler: 'app.nothing' }] },
      'HANDLER_NOT_FOUND',
    ],
    [
      'a module that is not there',
      { functions: [{ name: 'f', codeDir: fixtures, handler: 'no.handler' }] },
      'FUNCTION_IMPORT_ERROR',
    ],
    [
      'a folder that is not there',
      { functions: [{ name: 'f', codeDir: '/nowhere', handler: 'a.b' }] },
      'CODE_NOT_FOUND',
    ],
    [
      'the same, watched',
      { functions: [{ name: 'f', codeDir: '/nowhere', handler: 'a.b' }], watch: true },
      'CODE_NOT_FOUND',
    ],
    ['a name', { functions: [{ name: 'a b', codeDir: fixtures, handler: 'a.b' }] }, 'USAGE'],
    ['a variable', { env: { AWS_LAMBDA_RUNTIME_API: 'x' } }, 'USAGE'],
    ['little memory', { memoryMb: 64 }, 'USAGE'],
    ['a long timeout', { timeoutSeconds: 901 }, 'USAGE'],
    ['a host', { host: '192.0.2.1' }, 'USAGE'],
  ])('%s', async (_, more, code) => {
    await expect(localLambda({ echo: 'app.echo' }, more)).rejects.toMatchObject({ code });
  });

  test('a port that is taken', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await expect(localLambda({ echo: 'app.echo' }, { port })).rejects.toMatchObject({ code: 'PORT_TAKEN' });
    server.close();
  });
});
