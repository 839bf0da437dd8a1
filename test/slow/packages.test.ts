// Packages that people use on Lambda, as the third judge of the bootstrap: one sample function each, through the layer.
// Pinned, so that a failure is ours. MAKE_RUNTIME_PACKAGES_REPORT=<file> writes what docs/tested-packages.md shows.
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ExecutionEnvironment } from '../../build/lambda/environment.ts';
import { remove, settings, testContext } from '../lambda/support/function.ts';
import { judgedLayers, root, unpacked } from './judges/layer.ts';
import { awsStub, credentials, functionFolder, type Invoked, invoke, pinned, xrayDaemon } from './judges/packages.ts';

const folder = await mkdtemp(join(tmpdir(), 'make-runtime-packages-'));
const layers = await judgedLayers(folder);
const report: unknown[] = [];
afterAll(async () => {
  const path = process.env['MAKE_RUNTIME_PACKAGES_REPORT'];
  const pins = { aws: await pinned('aws'), native: await pinned('native'), otel: await pinned('otel') };
  if (path !== undefined) await writeFile(path, `${JSON.stringify({ pins, report }, undefined, 2)}\n`);
  remove(folder);
});

/** API Gateway's payload format 2.0, as far as frameworks read it. */
function httpEvent(method: string, path: string, body?: unknown, query = ''): object {
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query,
    headers: { host: 'api.example.com', 'content-type': 'application/json' },
    requestContext: {
      accountId: '123456789012',
      apiId: 'api',
      domainName: 'api.example.com',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'agent' },
      requestId: 'gateway-request',
      stage: '$default',
      time: '12/Mar/2020:19:03:58 +0000',
      timeEpoch: 1583348638390,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    isBase64Encoded: false,
  };
}

const jsonLines = (logs: readonly string[]): Record<string, unknown>[] =>
  logs.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>);

const traceId = 'Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1';
const trace = '1-5bef4de7-ad49b0e87f6ef6c87fc2e700';

describe.each(layers.map((layer) => [layer.version, layer] as const))('python%s', (_, layer) => {
  const aws = functionFolder(layer, 'aws', folder);
  const native = functionFolder(layer, 'native', folder);
  /** A free-threaded build without the GIL to the end, others with it. */
  const gil = !layer.freeThreaded;
  const note = (sample: string, [first, ...more]: readonly Invoked[]): void => {
    const maxMemoryMb = Math.max(first!.maxMemoryMb, ...more.map((one) => one.maxMemoryMb));
    const machine = layer.machine ? { machine: true } : {};
    report.push({ sample, python: layer.version, ...machine, gil, initMs: first!.initMs, maxMemoryMb });
  };
  const folderOf = async (made: typeof aws, skip: (when: boolean, why?: string) => void): Promise<string> => {
    const answer = await made;
    skip('missing' in answer, 'missing' in answer ? answer.missing : undefined);
    return (answer as { path: string }).path;
  };

  test('Powertools: logger, metrics, event handler', async ({ skip }) => {
    const code = await folderOf(aws, skip);
    const results = await invoke(
      layer,
      code,
      'powertools.handler',
      [httpEvent('GET', '/orders/7'), httpEvent('GET', '/orders/0'), httpEvent('POST', '/divide', { by: 0 })],
      { POWERTOOLS_LOG_LEVEL: 'INFO', POWERTOOLS_TRACE_DISABLED: 'true' },
    );
    const [found, absent, divided] = results.map(({ payload }) => payload as { statusCode: number; body: string });
    expect(found!.statusCode).toBe(200);
    expect(JSON.parse(found!.body)).toMatchObject({ number: 7, gil });
    expect([absent!.statusCode, JSON.parse(absent!.body)]).toEqual([404, expect.objectContaining({ statusCode: 404 })]);
    expect([divided!.statusCode, JSON.parse(divided!.body)]).toEqual([500, { caught: 'division by zero' }]);
    const [, second, third] = results.map(({ logs }) => jsonLines(logs));
    const first = jsonLines(results[0]!.logs);
    expect(first).toContainEqual(
      expect.objectContaining({
        level: 'INFO',
        message: 'found',
        number: '7',
        service: 'orders',
        cold_start: true,
        function_name: 'function',
        function_memory_size: '1024',
        function_request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        correlation_id: 'gateway-request',
      }),
    );
    // Embedded metrics are lines on stdout that CloudWatch reads: whole ones, and one of them for the cold start.
    expect(first).toContainEqual(expect.objectContaining({ Found: [1], service: 'orders', _aws: expect.anything() }));
    expect(first).toContainEqual(expect.objectContaining({ ColdStart: [1], function_name: 'function' }));
    expect(second!.filter((line) => 'ColdStart' in line)).toEqual([]);
    const exception = third!.find(({ message }) => message === 'divided');
    expect(exception).toMatchObject({ level: 'ERROR', cold_start: false, exception_name: 'ZeroDivisionError' });
    expect(exception!['exception']).toContain('File "/var/task/powertools.py"');
    note('powertools', results);
  });

  test('Powertools: idempotency', async ({ skip }) => {
    const code = await folderOf(aws, skip);
    const events = [{ payment: 1 }, { payment: 1, other: true }, { payment: 2 }];
    const results = await invoke(layer, code, 'idempotency.handler', events);
    const payloads = results.map(({ payload }) => payload);
    expect(payloads).toEqual([1, 1, 2].map((runs) => expect.objectContaining({ runs, gil })));
    note('idempotency', results);
  });

  test('Powertools and aws-xray-sdk: segments reach the daemon under the trace of the invocation', async ({ skip }) => {
    const code = await folderOf(aws, skip);
    const daemon = await xrayDaemon();
    const env = { AWS_XRAY_DAEMON_ADDRESS: daemon.address, POWERTOOLS_METRICS_DISABLED: 'true' };
    const all = { timeoutSeconds: 30, memoryMb: 1024, env };
    const layerDir = await unpacked(layer, testContext(folder));
    try {
      for (const [handler, event, name] of [
        ['tracing.handler', { number: 7 }, 'block'],
        ['powertools.handler', httpEvent('GET', '/orders/7'), '## handler'],
      ] as const) {
        const environment = await ExecutionEnvironment.create(
          { layerDirs: [layerDir], codeDir: code, settings: settings(handler, all) },
          testContext(folder),
        );
        try {
          const sampled = await environment.invoke(Buffer.from(JSON.stringify(event)), { traceId });
          expect(sampled.statusKind, sampled.payload.toString()).toBe('ok');
          await expect.poll(() => daemon.segments.map((segment) => segment.name)).toContain(name);
          const segment = daemon.segments.find((one) => one.name === name)!;
          expect(segment).toMatchObject({ trace_id: trace, parent_id: '9a9197af755a6419' });
          if (name === 'block') expect(segment).toMatchObject({ annotations: { number: 7 } });
          // The next invocation has another trace, and this one is not to be sampled.
          const before = daemon.segments.length;
          const other = traceId.replace('5bef4de7', '5bef4de8').replace('Sampled=1', 'Sampled=0');
          expect((await environment.invoke(Buffer.from(JSON.stringify(event)), { traceId: other })).statusKind).toBe(
            'ok',
          );
          expect(daemon.segments.length).toBe(before);
          if (name === 'block') {
            expect(JSON.parse(sampled.payload.toString())).toMatchObject({ trace, gil });
            note('xray', [{ payload: undefined, logs: [], initMs: sampled.initMs, maxMemoryMb: sampled.maxMemoryMb }]);
          }
        } finally {
          await environment.shutdown();
        }
      }
    } finally {
      daemon.close();
    }
  });

  test('boto3: clients at import, signed requests, TLS set up', async ({ skip }) => {
    const code = await folderOf(aws, skip);
    const stub = await awsStub();
    try {
      const event = { id: '1', text: 'ü😀' };
      const results = await invoke(layer, code, 'clients.handler', [event, event], { ...credentials, STUB: stub.url });
      for (const { payload } of results)
        expect(payload).toMatchObject({
          body: 'the object’s text',
          error: 'ResourceNotFoundException',
          region: 'eu-central-1',
          gil,
        });
      expect(stub.requests.map(({ complaint }) => complaint)).toEqual(stub.requests.map(() => undefined));
      const targets = [
        'DynamoDB_20120810.PutItem',
        'GET /bucket/folder/a%20key%2B%C3%A9.txt',
        'DynamoDB_20120810.GetItem',
      ];
      expect(stub.requests.map(({ target }) => target)).toEqual([...targets, ...targets]);
      expect(JSON.parse(stub.requests[0]!.body)).toMatchObject({ Item: { id: { S: '1' }, é: { S: 'ü😀' } } });
      note('boto3', results);
    } finally {
      stub.close();
    }
  });

  test('FastAPI behind Mangum', async ({ skip }) => {
    const code = await folderOf(aws, skip);
    const order = { name: 'Käse', amount: 2.5 };
    const results = await invoke(layer, code, 'web.handler', [
      httpEvent('POST', '/orders', order),
      httpEvent('POST', '/orders', { name: 'none', amount: 0 }),
      httpEvent('GET', '/threads', undefined, 'q=a%20b'),
      httpEvent('GET', '/nowhere'),
    ]);
    const answers = results.map(({ payload }) => payload as { statusCode: number; body: string });
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 422, 200, 404]);
    expect(JSON.parse(answers[0]!.body)).toMatchObject({ order, started: 1, gil });
    expect(JSON.parse(answers[1]!.body).detail[0]).toMatchObject({ type: 'greater_than', loc: ['body', 'amount'] });
    expect(JSON.parse(answers[2]!.body)).toEqual({ q: 'a b', main: false });
    note('fastapi', results);
  });

  test('NumPy, pandas, Pillow, jsonschema, Jinja2 in threads', async ({ skip }) => {
    const code = await folderOf(native, skip);
    const events = [{ threads: 1 }, { threads: 4 }];
    const results = await invoke(layer, code, 'arrays.handler', events, { OPENBLAS_NUM_THREADS: '1' });
    for (const [at, { payload }] of results.entries()) {
      const each = <T>(answer: T): T[] =>
        events.slice(at, at + 1).flatMap(({ threads }) => Array(threads).fill(answer));
      expect(payload).toMatchObject({
        close: true,
        frames: each({ a: 2450, b: 2500 }),
        pictures: each(['PNG', 32, 16, true]),
        texts: each(true),
        checks: each("'one' is not of type 'integer'"),
        compiled: [true, true],
        gil,
      });
    }
    note('arrays', results);
  });

  test('no extension module turns the GIL back on', async ({ skip }) => {
    const modules = {
      aws: ['pydantic_core', 'wrapt', 'boto3'],
      native: ['numpy', 'pandas', 'PIL._imaging', 'rpds', 'markupsafe'],
    };
    for (const [pins, made] of [
      ['aws', aws],
      ['native', native],
    ] as const) {
      const code = await folderOf(made, skip);
      const [result] = await invoke(layer, code, 'loads.handler', [modules[pins]]);
      expect(result!.payload).toEqual(Object.fromEntries(modules[pins].map((name) => [name, { imports: true, gil }])));
    }
  });

  test('a wrapper script that puts its own handler first', async ({ skip }) => {
    skip(!(await haveWrappers()), noWrappers);
    const code = await folderOf(aws, skip);
    const env = { AWS_LAMBDA_EXEC_WRAPPER: '/var/task/replace.sh' };
    const results = await invoke(layer, code, 'idempotency.handler', [{ payment: 1 }], env);
    expect(results[0]!.payload).toEqual({
      original: expect.objectContaining({ runs: 1, gil }),
      variable: 'set',
      handler: 'replacing.handler',
    });
  });

  test('OpenTelemetry’s automatic instrumentation, through a wrapper script', async ({ skip }) => {
    skip(!(await haveWrappers()), noWrappers);
    const code = await folderOf(functionFolder(layer, 'otel', folder), skip);
    const stub = await awsStub();
    const env = { ...credentials, STUB: stub.url, AWS_LAMBDA_EXEC_WRAPPER: '/var/task/instrument.sh' };
    try {
      const made = await ExecutionEnvironment.create(
        {
          layerDirs: [await unpacked(layer, testContext(folder))],
          codeDir: code,
          settings: settings('clients.handler', { timeoutSeconds: 30, memoryMb: 1024, env }),
        },
        testContext(folder),
      );
      try {
        const result = await made.invoke(Buffer.from(JSON.stringify({ id: '1', text: 'x' })), { traceId });
        const lines = result.logs.map(({ text }) => text).join('\n');
        expect(result.statusKind, lines).toBe('ok');
        expect(JSON.parse(result.payload.toString())).toMatchObject({ body: 'the object’s text', gil });
        // The console exporter writes one JSON object per span, over many lines.
        const spans = lines.split(/^(?=\{$)/m).filter((text) => text.startsWith('{'));
        const parsed = spans.map((text) => JSON.parse(text.slice(0, text.lastIndexOf('\n}') + 2)) as Span);
        const names = parsed.map(({ name }) => name);
        expect(names).toEqual(expect.arrayContaining(['DynamoDB.PutItem', 'S3.GetObject', 'tested']));
        // All under the trace of the invocation, in OpenTelemetry's spelling of it.
        const id = `0x${trace.slice(2).replace('-', '')}`;
        expect(new Set(parsed.map(({ context }) => context.trace_id))).toEqual(new Set([id]));
        // The handler's own span has the function's name, and the caller of the invocation as its parent.
        expect(parsed.find(({ name }) => name === 'tested')!.parent_id).toBe('0x9a9197af755a6419');
        note('otel', [{ payload: undefined, logs: [], initMs: result.initMs, maxMemoryMb: result.maxMemoryMb }]);
      } finally {
        await made.shutdown();
      }
    } finally {
      stub.close();
    }
  });
});

interface Span {
  readonly name: string;
  readonly context: { readonly trace_id: string };
  readonly parent_id: string | null;
}

const noWrappers = 'AWS_LAMBDA_EXEC_WRAPPER not built yet';

/** By the sources, not by trying: once it is there, a wrapper that does not work is a failure and not a skip. */
async function haveWrappers(): Promise<boolean> {
  return (await readFile(join(root, 'bootstrap-src', 'bootstrap.c'), 'utf8')).includes('AWS_LAMBDA_EXEC_WRAPPER');
}
