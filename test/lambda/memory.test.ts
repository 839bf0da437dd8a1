// The memory limit: the watchdog over real processes, and that a cgroup is only relied on when the kernel answers.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { createMeter } from '../../build/lambda/memory.ts';
import { descendants, isAlive } from '../../build/lambda/processes.ts';
import { machinePython, remove, scratch } from './support/function.ts';

const folder = scratch('memory');
const MiB = 1024 * 1024;
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => remove(folder));

function python(code: string): ChildProcess {
  const child = spawn(machinePython().command, ['-IS', '-c', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

const said = (child: ChildProcess): Promise<unknown> => new Promise((resolve) => child.stdout!.once('data', resolve));

describe('watchdog', () => {
  test('sees a peak that was over before it looked', async () => {
    const child = python('x = b"1" * 100_000_000; del x; print(1, flush=True); import time; time.sleep(60)');
    let calls = 0;
    const meter = createMeter(64 * MiB, () => calls++, join(folder, 'absent'));
    expect(meter.kind).toBe('watchdog');
    await said(child);
    meter.watch(() => [child.pid!]);
    expect(meter.peakBytes()).toBeGreaterThan(100_000_000);
    expect(meter.exceeded()).toBe(true);
    expect(calls).toBe(1);
    meter.stop();
  });

  test('counts memory that forked processes share only once', async () => {
    const child = python(
      'import os, time; x = b"1" * 40_000_000\nfor _ in range(3):\n  if os.fork() == 0: time.sleep(60)\nprint(1, flush=True); time.sleep(60)',
    );
    const meter = createMeter(100 * MiB, () => {}, join(folder, 'absent'));
    await said(child);
    const members = (): number[] => [child.pid!, ...descendants(child.pid!)];
    expect(members()).toHaveLength(4);
    meter.watch(members);
    for (let looks = 0; looks < 3; looks += 1) meter.peakBytes();
    expect(meter.exceeded()).toBe(false);
    expect(meter.peakBytes()).toBeGreaterThan(40_000_000);
    meter.stop();
    for (const pid of members()) process.kill(pid, 'SIGKILL');
  });
});

test('a folder that only looks like a cgroup is not relied on', () => {
  const mount = join(folder, 'cgroup');
  mkdirSync(mount);
  writeFileSync(join(mount, 'cgroup.subtree_control'), 'cpu memory pids\n');
  // Nothing fills a new folder here, so there is no memory.peak to read: better the watchdog than no limit at all.
  expect(createMeter(MiB, () => {}, mount).kind).toBe('watchdog');
  const made = readdirSync(mount).filter((name) => name.startsWith('make-runtime'));
  expect(made).toHaveLength(1);
  for (const name of made) expect(readFileSync(join(mount, name, 'memory.max'), 'latin1')).toBe(String(MiB));
});

test('a zombie is not alive', async () => {
  const child = python('import os, time\nif os.fork() == 0: os._exit(0)\nprint(1, flush=True); time.sleep(60)');
  await said(child);
  const [zombie] = descendants(child.pid!);
  while (isAlive(zombie!)) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(descendants(child.pid!)).toEqual([zombie]);
  expect(isAlive(process.pid)).toBe(true);
  expect(isAlive(0x7fffffff)).toBe(false);
});
