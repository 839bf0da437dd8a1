import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { engineNamed, hostEngine } from '../../build/compile/engine.ts';
import { installCommand, probeHost, requireComplete } from '../../build/compile/host.ts';
import { requirementCommands } from '../../build/compile/requirement.ts';
import { exists } from '../../build/lib/folder.ts';
import { type Minor, requirements } from '../../build/recipe/cpython.ts';
import { librariesFor } from '../../build/recipe/libraries.ts';
import type { Requirement } from '../../build/recipe/model.ts';

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
  const bin = join(dir, 'bin');
  await mkdir(bin);
  const tool = (name: string, text: string) => writeFile(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  for (const name of ['make', 'tar', 'xz', 'ar', 'ld', 'objcopy', 'apt-get']) await tool(name, `echo ${name} 1.0`);
  await tool('dpkg-query', 'echo zlib1g-dev 1.2.3; exit 1');
  await tool(
    'cc',
    'case $1 in --version) echo "cc 12.2";; -E) sed -n "s/^missing/missing/p";; -print-file-name=*) echo "${1#*=}";; esac',
  );
  const libraries = librariesFor('3.13', []);
  const probe = await probeHost({ libraries, requires: [] }, { PATH: `${bin}:/usr/bin:/bin` });
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

  const none = await probeHost({ libraries, requires: [] }, { PATH: bin, CC: 'no-such-compiler' });
  expect(none.builder.compiler).toBeNull();
  // One command is to cure everything, also what only a compiler could have looked for.
  expect(installCommand(none)?.join(' ')).toMatch(/ gcc .*\blibssl-dev\b/);
  expect(installCommand(none)?.join(' ')).not.toContain('zlib1g-dev');
  expect(() => requireComplete(none)).toThrow(
    expect.objectContaining({ code: 'COMPILER_MISSING', message: expect.stringContaining('no-such-compiler') }),
  );
});

test("what the system's own archives need is found, missed and recorded", async () => {
  const bin = join(dir, 'bin');
  await mkdir(bin);
  const tool = (name: string, text: string) => writeFile(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  for (const name of ['make', 'tar', 'xz', 'ar', 'ld', 'objcopy', 'apt-get']) await tool(name, `echo ${name} 1.0`);
  await tool('dpkg-query', 'echo libssl-dev 3.5.7; echo libzstd-dev 1.5.7; echo zlib1g-dev 1.3.1');
  const cc = (has: string) =>
    tool(
      'cc',
      `case $1 in --version) echo cc 14;; -print-file-name=${has}) echo "/lib/\${1#*=}";; -print-file-name=*) echo "\${1#*=}";; esac`,
    );
  await tool('nm', `[ "$2" = /lib/libcrypto.a ] && printf ' U memcpy\\n U deflate\\n U ZSTD_compress\\n'`);
  const libraries = librariesFor('3.13', []).filter(({ name }) => name === 'openssl');
  const look = () => probeHost({ libraries, requires: [] }, { PATH: `${bin}:/usr/bin:/bin` });

  await cc('lib*');
  const found = await look();
  expect(found.missing).toEqual([]);
  expect(found.builder).toMatchObject({
    archivesNeed: ['zlib', 'zstd'],
    packages: { 'libssl-dev': '3.5.7', 'libzstd-dev': '1.5.7', 'zlib1g-dev': '1.3.1' },
  });
  await cc('lib[cs]*|-print-file-name=libz.a');
  expect((await look()).missing).toEqual([
    { kind: 'archive', name: 'libzstd.a', modules: ['_ssl', '_hashlib'], packages: ['libzstd-dev'] },
  ]);
  // As on Debian 12: nothing is recorded, and nothing else is wanted.
  await tool('nm', 'echo "                 U memcpy"');
  const none = await look();
  expect(none.missing).toEqual([]);
  expect(none.builder).not.toHaveProperty('archivesNeed');
  expect(none.builder.packages).toEqual({ 'libssl-dev': '3.5.7' });
});

describe("the JIT's LLVM and Python", () => {
  const host = async (tools: Record<string, string>) => {
    const bin = join(dir, 'bin');
    await rm(bin, { recursive: true, force: true });
    await mkdir(bin);
    const all = {
      ...Object.fromEntries(['cc', 'make', 'tar', 'xz', 'ar', 'ld', 'objcopy'].map((name) => [name, 'echo 1.0'])),
      ...tools,
    };
    for (const [name, text] of Object.entries(all))
      await writeFile(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return (minor: Minor) => probeHost({ libraries: [], requires: requirements(minor, 'jit') }, { PATH: bin });
  };
  const clang = (version: string) => `echo Debian clang version ${version}`;
  const readobj = (version: string) => `echo LLVM; echo "  Debian LLVM version ${version}"`;

  test.each([
    [
      '3.13',
      '18',
      'apt-get install clang-18 llvm-18 python3 (Debian 13), dnf install clang18 llvm18 python3.12 (Amazon Linux 2023); or build in a container that has it: --builder debian:trixie.',
    ],
    [
      '3.14',
      '19',
      'apt-get install clang-19 llvm-19 python3 (Debian 12 and 13), dnf install clang19 llvm19 python3.12 (Amazon Linux 2023); or build in a container that has it: --builder debian:trixie.',
    ],
    [
      '3.15',
      '21',
      'apt-get install clang-21 llvm-21 python3 (Debian 12 and 13 with the repository of https://apt.llvm.org); Amazon Linux 2023 is not known to have LLVM 21.',
    ],
  ] as const)('%s: what is missing and who has it', async (minor, llvm, remedy) => {
    const ask = await host({});
    const probe = await ask(minor);
    expect(probe.missing).toEqual([]);
    expect(() => requireComplete(probe)).toThrow(
      expect.objectContaining({
        code: 'LLVM_MISSING',
        message: `Building the JIT needs LLVM ${llvm} (there is no clang, there is no llvm-readobj) and Python 3.11 or newer, not found on this machine.`,
        remedy,
      }),
    );
    const right = await host({
      clang: clang('14.0.6'),
      [`clang-${llvm}`]: clang(`${llvm}.1.8`),
      'llvm-readobj': readobj(`${llvm}.1.8`),
      'python3.12': 'exit 0',
    });
    expect((await right(minor)).gaps).toEqual([]);
  });

  test('one of another version is named with the version it has', async () => {
    const ask = await host({ clang: clang('19.1.7'), 'llvm-readobj-18': readobj('18.1.8'), python3: 'exit 0' });
    const probe = await ask('3.13');
    expect(probe.gaps.map(({ name }) => name)).toEqual(['LLVM 18 (clang is 19.1.7)']);
    expect(() => requireComplete(probe)).toThrow(
      expect.objectContaining({
        remedy: expect.stringMatching(/^apt-get install clang-18 llvm-18 \(Debian 13\), dnf /),
      }),
    );
    // 180 is not 18.
    const other = await host({ clang: clang('180.1'), 'llvm-readobj': readobj('18.1.8'), python3: 'exit 0' });
    expect((await other('3.13')).gaps.map(({ name }) => name)).toEqual(['LLVM 18 (clang is 180.1)']);
  });

  test('only a Python is missing: all there are, are too old', async () => {
    const tools = { clang: clang('18.1.8'), 'llvm-readobj': readobj('18.1.8') };
    const ask = await host({ ...tools, python3: 'exit 1' });
    const probe = await ask('3.13');
    expect(() => requireComplete(probe)).toThrow(
      expect.objectContaining({
        code: 'LLVM_MISSING',
        message: 'Building the JIT needs Python 3.11 or newer, not found on this machine.',
        remedy: 'apt-get install python3 (Debian 12 and later), dnf install python3.12 (Amazon Linux 2023).',
      }),
    );
    // As on Amazon Linux 2023: python3 is 3.9 and stays that.
    expect((await (await host({ ...tools, python3: 'exit 1', 'python3.12': 'exit 0' }))('3.13')).gaps).toEqual([]);
  });

  test('the build uses the Python that was looked for, with the very same question', async () => {
    const real = execFileSync('sh', ['-c', 'command -v python3'], { encoding: 'utf8' }).trim();
    const [command] = requirementCommands(requirements('3.13', 'jit')[1] as Requirement);
    const question = (command as string).slice('python3 '.length);
    expect(() => execFileSync('sh', ['-c', `'${real}' ${question}`])).not.toThrow();
    expect(() => execFileSync('sh', ['-c', `'${real}' ${question.replace('(3, 11)', '(3, 99)')}`])).toThrow();
  });
});
