// The whole way of `make-runtime invoke`: folders and events in, results out, nothing left.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { functionFailure } from '../../build/lambda/failure.ts';
import { invokeArtifact } from '../../build/lambda/invoke.ts';
import { fixtureLayer, fixtures, machinePython, remove, scratch, testContext } from './support/function.ts';

const folder = scratch('invoke');
const { command, visible } = machinePython();
const layer = fixtureLayer(folder, command);
afterAll(() => remove(folder));

const request = (handler: string, texts: readonly string[]) => ({
  layerDirs: [layer],
  codeDir: fixtures,
  visible,
  handler,
  events: texts.map((text) => ({ origin: 'test', payload: Buffer.from(text) })),
});

test('several events in one environment, a failure among them', async () => {
  const context = testContext(folder);
  const results = [];
  for await (const result of invokeArtifact(request('app.counter', ['1', '"exit"', '1', '1']), context))
    results.push(result);
  expect(results.map((result) => functionFailure(result)?.code)).toEqual([
    undefined,
    'FUNCTION_EXIT',
    undefined,
    undefined,
  ]);
  expect(results.map(({ initMs }) => initMs !== undefined)).toEqual([true, false, false, false]);
  const [, , third, fourth] = results.map(
    ({ payload }) => JSON.parse(payload.toString()) as { count: number; pid: number },
  );
  expect([third!.count, fourth!.count]).toEqual([3, 4]);
  expect(third!.pid).toBe(fourth!.pid);
  expect(readdirSync(join(context.cacheDir, 'lambda'))).toEqual([]);
});

test('a consumer that stops early leaves nothing behind', async () => {
  const context = testContext(folder);
  for await (const result of invokeArtifact(request('app.echo', ['1', '2']), context)) {
    expect(result.statusKind).toBe('ok');
    break;
  }
  expect(readdirSync(join(context.cacheDir, 'lambda'))).toEqual([]);
});

test('the function error is one sentence with the remedy, and the trace as detail', async () => {
  const results = [];
  for await (const result of invokeArtifact(request('app.raises', ['{}']), testContext(folder))) results.push(result);
  expect(functionFailure(results[0]!)).toMatchObject({
    code: 'FUNCTION_ERROR',
    message: 'The function raised ValueError: no good.',
    detail: '  File "/var/task/app.py", line 1, in handler',
  });
});
