import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { engineNamed, hostEngine } from '../../build/compile/engine.ts';
import { exists } from '../../build/lib/folder.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-engine-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const run = (program: string, signal = new AbortController().signal, lines: string[] = []) =>
  hostEngine({ env: { PATH: process.env['PATH'], SECRET: 'not for children' } }).run({
    program,
    environment: { GREETING: 'hello' },
    folders: { WORK: { path: dir, writable: true } },
    log: join(dir, 'logs', 'log'),
    signal,
    onLine: (l) => lines.push(l),
  });

test('runs a program, hands on its lines and keeps all of it in the log', async () => {
  const lines: string[] = [];
  const status = await run('echo "$GREETING"\necho "err" >&2\nenv | grep -c SECRET\nexit 7\n', undefined, lines);
  expect(status).toBe(7);
  expect(lines).toEqual(['hello', 'err', '0']);
  expect(await readFile(join(dir, 'logs', 'log'), 'utf8')).toBe('hello\nerr\n0\n');
});

test('commands of the program find nothing on their stdin', async () => {
  const lines: string[] = [];
  expect(await run('cat >/dev/null\necho still here\n', undefined, lines)).toBe(0);
  expect(lines).toEqual(['still here']);
});

test('when the signal fires, every descendant dies and the error is CANCELLED', async () => {
  const abort = new AbortController();
  const pidFile = join(dir, 'pid');
  const running = run(`sh -c 'echo $$ > "${pidFile}"; sleep 1000' & wait`, abort.signal);
  while (!(await exists(pidFile)) || (await readFile(pidFile, 'utf8')) === '') await wait(10);
  const pid = Number(await readFile(pidFile, 'utf8'));
  abort.abort();
  await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
  await expect.poll(() => isAlive(pid)).toBe(false);
});

test('a log on a full disk ends the program and says so', async () => {
  const running = hostEngine({ env: { PATH: process.env['PATH'] } }).run({
    program: 'echo one; sleep 1000',
    environment: {},
    folders: { WORK: { path: dir, writable: true } },
    log: '/dev/full',
    signal: new AbortController().signal,
    onLine: () => {},
  });
  await expect(running).rejects.toMatchObject({ code: 'DISK_FULL' });
});

test('an engine that does not exist', () => {
  expect(() => engineNamed('dokcer')).toThrow(expect.objectContaining({ code: 'ENGINE_UNKNOWN' }));
});

/** A killed process may stay a zombie for a moment where nobody reaps orphans: dead all the same. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat !== undefined && !/^\d+ \(.*\) [ZX]/.test(stat);
}

test('the host probe and its refusals', async () => {
  // A compiler of our own making: it has no header, no archive, and says so as cc does.
  const { installCommand, probeHost, requireComplete } = await import('../../build/compile/host.ts');
  const { librariesFor } = await import('../../build/recipe/libraries.ts');
  const bin = join(dir, 'bin');
  await import('node:fs/promises').then(({ mkdir }) => mkdir(bin));
  const tool = (name: string, text: string) => writeFile(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  for (const name of ['make', 'tar', 'xz', 'ar', 'ld', 'objcopy', 'apt-get']) await tool(name, `echo ${name} 1.0`);
  await tool('dpkg-query', 'echo zlib1g-dev 1.2.3; exit 1');
  await tool(
    'cc',
    'case $1 in --version) echo "cc 12.2";; -E) sed -n "s/^missing/missing/p";; -print-file-name=*) echo "${1#*=}";; esac',
  );
  const libraries = librariesFor('3.13', []);
  const probe = await probeHost(libraries, { PATH: `${bin}:/usr/bin:/bin` });
  expect(probe.builder.compiler).toBe('cc 12.2');
  expect(probe.builder.packages).toEqual({ 'zlib1g-dev': '1.2.3' });
  expect(probe.missing).toContainEqual({
    kind: 'header',
    name: 'openssl/ssl.h',
    modules: ['_ssl', '_hashlib'],
    packages: ['libssl-dev'],
  });
  expect(probe.missing).toContainEqual(expect.objectContaining({ kind: 'archive', name: 'libsqlite3.a' }));
  expect(installCommand(probe)?.join(' ')).toMatch(/^apt-get install -y .*\blibssl-dev\b/);
  expect(() => requireComplete(probe)).toThrow(
    expect.objectContaining({ code: 'HEADER_MISSING', remedy: expect.stringContaining('apt-get install') }),
  );

  const none = await probeHost(libraries, { PATH: bin, CC: 'no-such-compiler' });
  expect(none.builder.compiler).toBeNull();
  // One command is to cure everything, also what only a compiler could have looked for.
  expect(installCommand(none)?.join(' ')).toMatch(/ gcc .*\blibssl-dev\b/);
  expect(installCommand(none)?.join(' ')).not.toContain('zlib1g-dev');
  expect(() => requireComplete(none)).toThrow(
    expect.objectContaining({ code: 'COMPILER_MISSING', message: expect.stringContaining('no-such-compiler') }),
  );
});

test('the JIT needs its own LLVM and says so before anything is compiled', async () => {
  const { probeHost, requireComplete } = await import('../../build/compile/host.ts');
  const { requirements } = await import('../../build/recipe/cpython.ts');
  const bin = join(dir, 'bin');
  await import('node:fs/promises').then(({ mkdir }) => mkdir(bin));
  const tool = (name: string, text: string) => writeFile(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  for (const name of ['cc', 'make', 'tar', 'xz', 'ar', 'ld', 'objcopy']) await tool(name, `echo ${name} 1.0`);
  await tool('python3', 'echo True');
  await tool('clang', 'echo Debian clang version 19.1.7');
  const env = { PATH: bin };
  const needs = requirements('3.13', 'jit');
  expect(() => requireComplete({ missing: [] } as never)).not.toThrow();
  const probe = await probeHost([], env, needs);
  expect(() => requireComplete(probe)).toThrow(
    expect.objectContaining({
      code: 'LLVM_MISSING',
      message: expect.stringContaining('LLVM 18'),
    }),
  );
  await tool('clang-18', 'echo Debian clang version 18.1.8');
  await tool('llvm-readobj-18', 'echo LLVM; echo "  LLVM version 18.1.8"');
  await tool('python3', 'echo False');
  expect((await probeHost([], env, needs)).missing).toEqual([
    expect.objectContaining({ kind: 'requirement', name: expect.stringContaining('Python 3.11') }),
  ]);
  await tool('python3', 'echo True');
  expect((await probeHost([], env, needs)).missing).toEqual([]);
});
