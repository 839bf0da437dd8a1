// Control groups as this machine allows them, and both versions of their files as the kernel's documentation has them.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openShares, quotaOf } from '../../build/bench/conditions.ts';
import { compileTools, runSteps, type Tools } from '../../build/bench/harness.ts';
import { stepOf } from '../../build/bench/scenario.ts';
import type { Context } from '../../build/lib/context.ts';
import { haveCompiler } from '../bootstrap/support/built.ts';
import { testContext } from '../lambda/support/function.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'make-runtime-conditions-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('a memory size is a share of a processor', () => {
  expect(quotaOf(1769)).toBe(20_000);
  expect(quotaOf(128)).toBe(1447);
  expect(quotaOf(3538)).toBe(40_000);
});

/** /proc/self of a process in /user/work, and a hierarchy below `root`. */
async function hierarchy(name: string, cgroup: string, type: string): Promise<{ proc: string; root: string }> {
  const root = join(folder, name, 'fs');
  const proc = join(folder, name, 'proc');
  await mkdir(join(root, 'user', 'work'), { recursive: true });
  await mkdir(proc, { recursive: true });
  await writeFile(join(proc, 'cgroup'), cgroup);
  await writeFile(join(proc, 'mountinfo'), `30 24 0:26 / ${root} rw,nosuid shared:9 - ${type}\n`);
  return { proc, root };
}

test('version 2: where groups below have the controller', async () => {
  const { proc, root } = await hierarchy('v2', '0::/user/work\n', 'cgroup2 cgroup2 rw,nsdelegate');
  // Our own has none below it and would not get any (it holds us), the one around it has.
  await writeFile(join(root, 'user', 'work', 'cgroup.subtree_control'), 'memory pids\n');
  await rm(join(root, 'user', 'work', 'cgroup.subtree_control'));
  await mkdir(join(root, 'user', 'work', 'cgroup.subtree_control'));
  await writeFile(join(root, 'user', 'cgroup.subtree_control'), 'cpuset cpu memory\n');
  const shares = await openShares([128, 1769], proc);
  expect(shares.folder(128)).toMatch(new RegExp(`^${root}/user/make-runtime-bench-`));
  expect(await readFile(join(shares.folder(128), 'cpu.max'), 'utf8')).toBe('1447 20000\n');
  expect(await readFile(join(shares.folder(1769), 'cpu.max'), 'utf8')).toBe('20000 20000\n');
});

test('version 1: the hierarchy of the controller', async () => {
  const lines = '3:cpuset:/elsewhere\n2:cpu,cpuacct:/user/work\n0::/\n';
  const { proc } = await hierarchy('v1', lines, 'cgroup cgroup rw,cpu,cpuacct');
  const group = (await openShares([512], proc)).folder(512);
  expect(await readFile(join(group, 'cpu.cfs_quota_us'), 'utf8')).toBe(`${quotaOf(512)}\n`);
  expect(await readFile(join(group, 'cpu.cfs_period_us'), 'utf8')).toBe('20000\n');
});

test('nowhere: a word that helps', async () => {
  const { proc } = await hierarchy('none', '0::/user/work\n', 'tmpfs tmpfs rw');
  await expect(openShares([128], proc)).rejects.toMatchObject({ code: 'SANDBOX_UNAVAILABLE' });
});

const real = await openShares([884]).then(
  (shares) => shares,
  (error: Error) => void console.warn(`not tested: ${error.message}`),
);

describe.skipIf(real === undefined || !(await haveCompiler()))('a program with half a processor', () => {
  let tools: Tools;
  let ctx: Context;
  beforeAll(async () => {
    ctx = { ...testContext(folder), packageDir: join(import.meta.dirname, '../..') };
    tools = await compileTools(ctx);
    await writeFile(join(folder, 'event.json'), '{}');
  });

  test('is stopped for the rest of the time, and the group goes', async () => {
    const group = real?.folder(884) as string;
    const script = 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done';
    const command = { argv: ['/bin/sh', '-c', script] as const, env: {}, cwd: folder };
    const limited = await runSteps(tools, command, join(folder, 'event.json'), ['exit'], ctx, { cgroup: group });
    const { ns, cpu } = stepOf(limited, 'exit');
    // Whatever else the machine does can only make it longer.
    expect(ns).toBeGreaterThan(cpu * 1.5);
    const text = await readFile(join(group, 'cpu.stat'), 'utf8');
    expect(Number(/nr_throttled (\d+)/.exec(text)?.[1])).toBeGreaterThan(0);
    await real?.close();
    await expect(stat(group)).rejects.toThrow();
    expect((await readdir(join(group, '..'))).filter((name) => name.includes(`bench-${process.pid}-`))).toEqual([]);
  });
});
