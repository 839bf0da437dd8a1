// The C program that measures, with the C program that answers at once and with programs whose figures are known.
import { mkdir, mkdtemp, readFile, rm, statfs, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileTools, runSteps, type Tools } from '../../build/bench/harness.ts';
import { stepOf } from '../../build/bench/scenario.ts';
import type { Context } from '../../build/lib/context.ts';
import { haveCompiler } from '../bootstrap/support/built.ts';
import { testContext } from '../lambda/support/function.ts';

describe.skipIf(!(await haveCompiler()))('the harness', () => {
  let folder: string;
  let tools: Tools;
  let ctx: Context;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'make-runtime-harness-'));
    await writeFile(join(folder, 'small.json'), '{"a":1}');
    await writeFile(join(folder, 'large.json'), JSON.stringify({ a: 'x'.repeat(5_000_000) }));
    ctx = { ...testContext(folder), packageDir: join(import.meta.dirname, '../..') };
    tools = await compileTools(ctx);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const run = (argv: [string, ...string[]], steps: (string | number)[], event = 'small.json') =>
    runSteps(tools, { argv, env: { PATH: '/usr/bin:/bin' }, cwd: folder }, join(folder, event), steps, ctx);

  test('times invocations one by one and several at once', async () => {
    const results = await run([tools.answer], ['ready', 1, 'trips', 20, 'memory', 'load', 1, 50]);
    expect(results.map(({ step }) => step)).toEqual(['ready', 'trips', 'memory', 'load']);
    const { response, again, cpu } = stepOf(results, 'trips');
    expect(response).toHaveLength(20);
    expect(again).toHaveLength(20);
    expect(Math.min(...response)).toBeGreaterThan(0);
    for (const [index, value] of response.entries()) expect(again[index]).toBeGreaterThanOrEqual(value);
    expect(cpu).toBeGreaterThan(0);
    const { processes, resident, proportional, peak } = stepOf(results, 'memory');
    expect(processes).toBe(1);
    expect(peak).toBeGreaterThanOrEqual(resident);
    expect(resident).toBeGreaterThanOrEqual(proportional);
  });

  test('hands over large events and takes them back', async () => {
    const results = await run([tools.answer], ['ready', 1, 'trips', 3, 'memory'], 'large.json');
    expect(stepOf(results, 'memory').peak * 1024).toBeGreaterThan(5_000_000);
  });

  test('reads a stream to its end', async () => {
    const results = await run([tools.answer, '10000000'], ['ready', 1, 'stream', 10_000_000, 'trips', 1]);
    const { bytes } = stepOf(results, 'stream');
    expect(bytes).toBeGreaterThan(10_000_000);
    expect(bytes).toBeLessThan(10_001_000);
  });

  test('counts a whole process tree', async () => {
    const results = await run(['/bin/sh', '-c', 'sleep 9 & sleep 9 & wait'], ['pause', 300, 'memory']);
    expect(stepOf(results, 'memory').processes).toBe(3);
  });

  test('keeps itself and the program on one core', async () => {
    const script = `grep Cpus_allowed_list /proc/self/status > ${join(folder, 'cores')}`;
    const results = await run(['/bin/sh', '-c', script], ['pin', 'exit']);
    const { core } = stepOf(results, 'pin');
    expect(await readFile(join(folder, 'cores'), 'utf8')).toBe(`Cpus_allowed_list:\t${core}\n`);
    await expect(run(['/bin/true'], ['exit', 'pin'])).rejects.toThrow(/no step called pin/);
  });

  test('takes files out of the page cache and counts what stays', async () => {
    const files = join(folder, 'files');
    await mkdir(files);
    await writeFile(join(files, 'large'), Buffer.alloc(3_000_000, 'x'));
    await writeFile(join(files, 'empty'), '');
    await symlink('/usr/bin/env', join(files, 'link'));
    const command = { argv: ['/bin/true'] as const, env: {}, cwd: folder, files: [files] };
    const cold = await runSteps(tools, command, join(folder, 'small.json'), ['exit'], ctx, { cold: true });
    // tmpfs has no other place for its pages than memory.
    const disk = (await statfs(files)).type !== 0x01021994;
    expect(stepOf(cold, 'evict')).toMatchObject({
      files: 1,
      denied: 0,
      bytes: 3_000_000,
      ...(disk ? { left: 0 } : {}),
    });
    const warm = await runSteps(tools, command, join(folder, 'small.json'), ['exit'], ctx);
    expect(warm.map(({ step }) => step)).toEqual(['exit']);
    // The C library is mapped by every program there is.
    const libc = /\S*\/libc\.so\.6/.exec(await readFile('/proc/self/maps', 'utf8'))?.[0];
    if (libc === undefined) return;
    const used = { ...command, files: [libc] };
    const step = stepOf(
      await runSteps(tools, used, join(folder, 'small.json'), ['exit'], ctx, { cold: true }),
      'evict',
    );
    expect(step.left).toBeGreaterThan(0);
  });

  test('asks a program to end, so that what wraps it can write', async () => {
    const script = `trap 'echo ended > ${join(folder, 'ended')}; exit' TERM; while :; do sleep 0.05; done`;
    const results = await run(['/bin/sh', '-c', script], ['pause', 300, 'end']);
    expect(results.at(-1)).toEqual({ step: 'end' });
    expect(await readFile(join(folder, 'ended'), 'utf8')).toBe('ended\n');
  });

  test('knows the peak and the processor time of a program that ends', async () => {
    const copy = '/usr/bin/dd if=/dev/zero of=/dev/null bs=40M count=2'.split(' ') as [string, ...string[]];
    const { peak, cpu, ns } = stepOf(await run(copy, ['exit']), 'exit');
    expect(peak).toBeGreaterThan(40 * 1024);
    expect(peak).toBeLessThan(60 * 1024);
    expect(cpu).toBeGreaterThan(0);
    expect(ns).toBeGreaterThan(0);
  });

  test('says what is wrong with a program', async () => {
    const sh = (script: string) => ['/bin/sh', '-c', script] as [string, ...string[]];
    await expect(run(sh('echo oh >&2; exit 3'), ['ready', 1])).rejects.toMatchObject({
      code: 'FUNCTION_ERROR',
      message: '/bin/sh was not measured: the program has ended with status 3.',
      detail: expect.stringMatching(/^oh$/m),
    });
    await expect(run(sh('exit 3'), ['exit'])).rejects.toThrow(/ended with wait status/);
    await expect(run(['/nowhere'], ['ready', 1])).rejects.toMatchObject({
      detail: expect.stringContaining('cannot run /nowhere'),
    });
    await expect(run(['/bin/true'], ['exit', 'never'])).rejects.toThrow(/no step called never/);
  });

  test('leaves nothing behind when it is stopped', async () => {
    const stop = new AbortController();
    const running = runSteps(
      tools,
      { argv: ['/bin/sh', '-c', `sleep 77777 & echo $! > ${join(folder, 'pid')}; wait`], env: {}, cwd: folder },
      join(folder, 'small.json'),
      ['pause', 300, 'ready', 1],
      { ...ctx, signal: stop.signal },
    );
    setTimeout(() => stop.abort(), 500);
    await expect(running).rejects.toThrow(/Stopped/);
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
    expect(pid).toBeGreaterThan(1);
    await expect
      .poll(() => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'gone'), { timeout: 5000 })
      .toMatch(/^gone|\) Z /);
  });
});
