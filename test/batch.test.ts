import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { batchError, buildAll, everyRequest, share } from '../build/batch.ts';
import type { Context } from '../build/lib/context.ts';
import { MakeRuntimeError } from '../build/lib/errors.ts';
import type { ReportEvent } from '../build/lib/report.ts';
import type { Built } from '../build/pipeline.ts';
import { packageDir } from './recipe/support/plans.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-batch-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const context = (signal = new AbortController().signal): Context & { events: ReportEvent[] } => {
  const events: ReportEvent[] = [];
  return {
    events,
    report: (event) => void events.push(event),
    signal,
    cacheDir: join(dir, 'cache'),
    packageDir,
    env: { PATH: process.env['PATH'] },
    offline: true,
  };
};
const machine = { cores: 8, memory: 64e9 };

test('a machine is shared by cores and by memory, and never left without a compiler', () => {
  expect(share({ cores: 8, memory: 64e9 }, 4, 'fast')).toEqual({ builds: 4, jobs: 2 });
  expect(share({ cores: 8, memory: 64e9 }, 20, 'fast')).toEqual({ builds: 8, jobs: 1 });
  expect(share({ cores: 8, memory: 2.5e9 }, 20, 'fast')).toEqual({ builds: 2, jobs: 4 });
  expect(share({ cores: 8, memory: 7e9 }, 20, 'release')).toEqual({ builds: 2, jobs: 4 });
  expect(share({ cores: 1, memory: 1e8 }, 3, 'release')).toEqual({ builds: 1, jobs: 1 });
  expect(share({ cores: 3, memory: 64e9 }, 0, 'fast')).toEqual({ builds: 1, jobs: 3 });
});

test('a failure is passed over, a plan that cannot be made too, and rows tell the builds apart', async () => {
  const ctx = context();
  const together = { now: 0, most: 0 };
  const results = await buildAll(
    ['3.11', '3.12', 'python3.12', '3.13', '2.7'].map((recipe) => ({ recipe, engine: 'host' })),
    dir,
    ctx,
    { cores: 2, memory: 64e9 },
    async (_request, plan, _output, own) => {
      together.now += 1;
      together.most = Math.max(together.most, together.now);
      own.report({ type: 'progress', stage: 'compile', text: 'compiling' });
      expect(own.env['MAKE_RUNTIME_JOBS']).toBe('1');
      await new Promise((resolve) => setTimeout(resolve, 20));
      together.now -= 1;
      if (plan.python.minor === '3.12') throw new MakeRuntimeError('COMPILE_FAILED', 'no', { remedy: 'read the log' });
      return { plan } as unknown as Built;
    },
  );
  expect(results.map(({ name, built }) => [name, built !== undefined])).toEqual([
    ['2.7', false],
    ['python3.11-x86_64-fast', true],
    ['python3.12-x86_64-fast', false],
    ['python3.13-x86_64-fast', true],
  ]);
  expect(together.most).toBe(2);
  expect(ctx.events.map(({ build }) => build).sort()).toEqual([
    'python3.11-x86_64-fast',
    'python3.12-x86_64-fast',
    'python3.13-x86_64-fast',
  ]);
  expect(batchError(results)).toMatchObject({
    code: 'BUILDS_FAILED',
    message: '2 of 4 builds failed; the others are done.',
    detail: expect.stringContaining('python3.12-x86_64-fast: no [COMPILE_FAILED]\n  read the log'),
  });
  expect(batchError(results.filter(({ name }) => name !== '2.7'))).toMatchObject({ code: 'COMPILE_FAILED' });
  expect(batchError(results.filter(({ built }) => built))).toBeUndefined();
});

test('a bug of ours is not hidden among failures', async () => {
  const results = await buildAll([{ recipe: '3.13', engine: 'host' }], dir, context(), machine, async () => {
    throw new TypeError('a mistake');
  });
  expect(batchError(results)).toBeInstanceOf(TypeError);
});

test('Ctrl-C starts nothing more', async () => {
  const abort = new AbortController();
  let started = 0;
  const running = buildAll(
    ['3.11', '3.12', '3.13'].map((recipe) => ({ recipe, engine: 'host' })),
    dir,
    context(abort.signal),
    { cores: 1, memory: 64e9 },
    async () => {
      started += 1;
      abort.abort();
      throw new MakeRuntimeError('CANCELLED', 'stopped');
    },
  );
  await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(started).toBe(1);
});

test('--all is every recipe in every flavour it has', () => {
  const recipes = [
    { name: '3.12', flavors: ['default'] },
    { name: '3.13', flavors: ['default', 'free-threaded', 'jit'] },
  ] as const;
  expect(everyRequest(recipes, { arch: 'x86_64' }).map(({ recipe, flavor }) => `${recipe} ${flavor}`)).toEqual([
    '3.12 default',
    '3.13 default',
    '3.13 free-threaded',
    '3.13 jit',
  ]);
  expect(everyRequest(recipes, { flavor: 'jit' })).toEqual([{ recipe: '3.13', flavor: 'jit' }]);
});
