// Real compiles, from nothing, through the program as users run it. Takes a few minutes per interpreter.
// MAKE_RUNTIME_TEST_CACHE=<folder> keeps the compiled interpreters between runs while working on these tests.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exitStatus } from '../../build/lib/errors.ts';

const root = join(import.meta.dirname, '..', '..');
let dir: string;
let cache: string;
let layer: string;

beforeAll(async () => {
  // A space, because a home folder may have one.
  dir = await mkdtemp(join(tmpdir(), 'make-runtime slow '));
  cache = process.env['MAKE_RUNTIME_TEST_CACHE'] ?? join(dir, 'cache');
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const run = (args: string[], env: Record<string, string> = {}, input = '') =>
  execa(process.execPath, [join(root, 'dist/cli.js'), ...args], {
    cwd: dir,
    reject: false,
    input,
    env: { MAKE_RUNTIME_CACHE: cache, CI: '1', ...env },
  });

interface Ended {
  readonly exitCode?: number | undefined;
  readonly escapedCommand: string;
  readonly stderr: string;
}

const good = (result: Ended): void => {
  if (result.exitCode !== 0)
    throw new Error(`${result.escapedCommand} ended with ${result.exitCode}:\n${result.stderr}`);
};

/** The newest release of a series that can be had here: what `build` says to do when the newest pinned one cannot. */
async function build(recipe: string, options: string[] = [], env: Record<string, string> = {}): Promise<string> {
  let result = await run(['build', recipe, '--output', join(dir, 'out'), ...options], env);
  if (result.exitCode === exitStatus.SOURCE_OLDER_AVAILABLE) {
    const older = /--python (\S+)/.exec(result.stderr)?.[1] as string;
    result = await run(['build', recipe, '--output', join(dir, 'out'), '--python', older, ...options], env);
  }
  good(result);
  return result.stdout.trim();
}

describe('free-threaded 3.13, from nothing', () => {
  test('quickstart', async () => {
    const env = { MAKE_RUNTIME_CACHE: cache, CI: '1' };
    const result = await execa('npm', ['run', '--silent', 'quickstart', '--', '--output', join(dir, 'out')], {
      cwd: root,
      env,
      reject: false,
    });
    good(result);
    expect(result.stdout).toMatch(/response +\{"greeting":"Hello, Lambda!"/);
    expect(result.stdout).toMatch(/init +\d+\.\d ms/);
    expect(result.stdout).toMatch(/sys\._is_gil_enabled\(\) +False/);
    expect(result.stderr).toMatch(/REPORT RequestId: \S+\tDuration: [\d.]+ ms/);
    layer = /unpacked: (.*layer\.zip)$/m.exec(result.stdout)?.[1] as string;
    const files = await readdir(join(layer, '..'));
    expect(files.sort()).toEqual([
      'layer.zip',
      'ledger.json',
      'plan.json',
      'provenance.json',
      'sbom.cdx.json',
      'sbom.spdx.json',
      'verdict.json',
    ]);
    expect((await stat(layer)).size).toBeLessThan(12_000_000);
  });

  test('again: nothing is compiled', async () => {
    const result = await run(['quickstart', '--output', join(dir, 'out')]);
    good(result);
    expect(result.stderr).toMatch(/compile python3\.13t \(free-threaded\) cached/);
    expect(result.stderr).toMatch(/link the bootstrap cached/);
  });

  test('another folder, time zone, umask and home: the same bytes, also of what is stated about it', async () => {
    const { version } = JSON.parse(await readFile(join(layer, '../plan.json'), 'utf8')).python;
    const script = `umask 077; exec "$@"`;
    const other = join(dir, 'another place');
    await mkdir(other);
    // The download is shared, the compiled interpreter is not.
    await mkdir(join(other, 'cache'));
    await execa('cp', ['-R', join(cache, 'sha256'), join(other, 'cache', 'sha256')]);
    const args = ['build', '3.13t', '--python', version, '--output', join(other, 'out')];
    const result = await execa('sh', ['-c', script, 'sh', process.execPath, join(root, 'dist/cli.js'), ...args], {
      cwd: other,
      reject: false,
      env: { MAKE_RUNTIME_CACHE: join(other, 'cache'), CI: '1', TZ: 'Asia/Tokyo', HOME: other, LANG: 'C.UTF-8' },
    });
    good(result);
    const hash = async (path: string) => (await execa('sha256sum', [path])).stdout.split(' ')[0];
    const again = result.stdout.trim();
    expect(await hash(again)).toBe(await hash(layer));
    for (const statement of ['sbom.cdx.json', 'sbom.spdx.json', 'provenance.json'])
      expect(await hash(join(again, '..', statement))).toBe(await hash(join(layer, '..', statement)));
    await rm(other, { recursive: true });
  });

  test('verify proves it, inspect describes it', async () => {
    const verified = await run(['verify', layer, '--json']);
    good(verified);
    const { ok, findings } = JSON.parse(verified.stdout);
    expect(ok).toBe(true);
    expect(findings.filter(({ level }: { level: string }) => level === 'fail' || level === 'warn')).toEqual([]);
    expect(findings.map(({ check }: { check: string }) => check)).toEqual(
      expect.arrayContaining(['elf.glibc', 'run.stdlib', 'run.gil', 'run.tls', 'zip.determinism']),
    );
    const inspected = await run(['inspect', layer, '--json']);
    good(inspected);
    expect(JSON.parse(inspected.stdout)).toMatchObject({ arch: expect.any(String), plan: { flavor: 'free-threaded' } });
  });

  test("the bootstrap's whole contract, on this build", async () => {
    // No space in this path: wrapper scripts, as people write them, do not quote.
    const folder = await mkdtemp(join(tmpdir(), 'make-runtime-contract-'));
    await execa('unzip', ['-q', layer, '-d', folder]);
    await symlink('../bootstrap', join(folder, 'lang', 'bootstrap'));
    const compiled = await readdir(join(cache, 'compile'));
    const key = compiled.find((name) => !name.endsWith('.partial')) as string;
    const result = await execa('npx', ['vitest', 'run', '--project', 'unit', 'test/bootstrap'], {
      cwd: root,
      reject: false,
      env: {
        MAKE_RUNTIME_TEST_HOME: join(folder, 'lang'),
        MAKE_RUNTIME_TEST_INCLUDE: join(cache, 'compile', key, 'embed', 'include'),
      },
    });
    expect(result.stdout).toMatch(/^\d{3,} passed, 0 failed/m);
    expect(result.exitCode).toBe(0);
    await rm(folder, { recursive: true });
  });

  test('readelf agrees: two libraries, nothing newer than glibc 2.34, no executable stack', async () => {
    const folder = join(dir, 'unzipped');
    await execa('unzip', ['-q', layer, '-d', folder]);
    const program = join(folder, 'lang/bin/python3.13t');
    const { stdout: dynamic } = await execa('readelf', ['-dW', program]);
    expect([...dynamic.matchAll(/NEEDED.*\[(.*)\]/g)].map(([, name]) => name).sort()).toEqual([
      'libc.so.6',
      'libm.so.6',
    ]);
    const { stdout: versions } = await execa('readelf', ['-VW', program]);
    const minors = [...versions.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
    expect(Math.max(...minors)).toBeLessThanOrEqual(34);
    const { stdout: segments } = await execa('readelf', ['-lW', program]);
    expect(segments).toMatch(/GNU_STACK.*RW /);
    expect(segments).not.toMatch(/GNU_STACK.*RWE/);
    await rm(folder, { recursive: true });
  });
});

describe('handlers through the real bootstrap', () => {
  const cases: Record<string, { code: string; exit: keyof typeof exitStatus | 0; says: RegExp; options?: string[] }> = {
    'a response': {
      code: 'def handler(event, context):\n    return {"é": event}',
      exit: 0,
      says: /^\{"é": \{"a": 1\}\}$/,
    },
    bytes: { code: 'def handler(event, context):\n    return b"raw"', exit: 0, says: /^raw$/ },
    'no such function': { code: '', exit: 'HANDLER_NOT_FOUND', says: /Handler 'handler' missing on module 'app'/ },
    'an import that fails': {
      code: 'import no_such_module',
      exit: 'FUNCTION_IMPORT_ERROR',
      says: /No module named 'no_such_module'/,
    },
    'raising at import': {
      code: 'raise ValueError("at import")',
      exit: 'FUNCTION_INIT_ERROR',
      says: /ValueError: at import/,
    },
    'a syntax error': { code: 'def handler(:', exit: 'FUNCTION_SYNTAX_ERROR', says: /Syntax error in module 'app'/ },
    'an exception': {
      code: 'def handler(event, context):\n    raise KeyError("missing")',
      exit: 'FUNCTION_ERROR',
      says: /KeyError: 'missing'/,
    },
    'a timeout': {
      code: 'import time\ndef handler(event, context):\n    time.sleep(30)',
      exit: 'FUNCTION_TIMEOUT',
      says: /Task timed out after 1\.00 seconds/,
      options: ['--timeout', '1'],
    },
    exiting: {
      code: 'import os\ndef handler(event, context):\n    os._exit(3)',
      exit: 'FUNCTION_EXIT',
      says: /exit status 3/,
    },
    'not JSON': {
      code: 'def handler(event, context):\n    return object()',
      exit: 'RESPONSE_NOT_JSON',
      says: /Object of type object is not JSON serializable/,
    },
    'more than 6 MB': {
      code: 'def handler(event, context):\n    return "x" * 7_000_000',
      exit: 'RESPONSE_TOO_LARGE',
      says: /exceeded maximum allowed payload size/,
    },
    'more memory than it has': {
      code: 'def handler(event, context):\n    return len(bytearray(b"x") * 900_000_000)',
      exit: 'FUNCTION_OUT_OF_MEMORY',
      says: /memory/,
      options: ['--timeout', '20'],
    },
  };

  test.each(Object.entries(cases))('%s', async (name, { code, exit, says, options = [] }) => {
    const folder = join(dir, 'code', name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'app.py'), `${code}\n`);
    const args = ['invoke', layer, '--code', folder, '--handler', 'app.handler', '--event', '{"a": 1}', ...options];
    const { stdout, stderr, exitCode } = await run(args);
    expect(exitCode, stderr).toBe(exit === 0 ? 0 : exitStatus[exit]);
    if (exit === 0) expect(stdout).toMatch(says);
    else {
      expect(stderr).toMatch(says);
      expect(stderr).toContain(`[${exit}]`);
      expect(JSON.parse(stdout)).toHaveProperty('errorType');
    }
    expect(stderr).toMatch(/REPORT RequestId: /);
  });

  test('a module that is not there', async () => {
    const { stderr, exitCode } = await run(['invoke', layer, '--code', join(dir, 'code'), '--handler', 'nope.handler']);
    expect(exitCode).toBe(exitStatus.FUNCTION_IMPORT_ERROR);
    expect(stderr).toContain("Unable to import module 'nope'");
  });

  test('many events, one environment', async () => {
    const folder = join(dir, 'code', 'counting');
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, 'app.py'),
      'n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return [n, event]\n',
    );
    await writeFile(join(dir, 'events.jsonl'), '1\n"two"\nnull\n');
    const result = await run([
      'invoke',
      layer,
      '--code',
      folder,
      '--handler',
      'app.handler',
      '--event',
      '@events.jsonl',
    ]);
    good(result);
    expect(result.stdout).toBe('[1, 1]\n[2, "two"]\n[3, null]');
    expect(result.stderr.match(/Init Duration/g)).toHaveLength(1);
  });

  test('logs arrive in order, on stderr', async () => {
    const folder = join(dir, 'code', 'logging');
    await mkdir(folder, { recursive: true });
    const code = [
      'import logging',
      'def handler(event, context):',
      '    print("printed")',
      '    logging.getLogger().warning("logged")',
      '    return 1',
    ];
    await writeFile(join(folder, 'app.py'), `${code.join('\n')}\n`);
    const result = await run(['invoke', layer, '--code', folder, '--handler', 'app.handler']);
    good(result);
    expect(result.stderr).toMatch(/START[\s\S]*printed\n\[WARNING\]\t\S+Z\t[0-9a-f-]{36}\tlogged\n[\s\S]*END/);
  });
});

describe('what can go wrong while building', () => {
  test('a compile failure shows command, cause and log', async () => {
    await writeFile(
      join(dir, 'broken.toml'),
      'extends = "3.13"\n\n[[cflags]]\nvalue = "-fno-such-option"\nreason = "This test wants a compiler that refuses."\n',
    );
    const { version } = JSON.parse(await readFile(join(layer, '../plan.json'), 'utf8')).python;
    const { stderr, exitCode } = await run(['build', './broken.toml', '--python', version]);
    expect(stderr).toContain('[COMPILE_FAILED]');
    expect(stderr).toContain('-fno-such-option');
    expect(stderr).toMatch(/full log: .*\.log/);
    expect(exitCode).toBe(exitStatus.COMPILE_FAILED);
  });

  test.skipIf(process.getuid?.() !== 0)('no space left', async () => {
    const small = join(dir, 'small');
    await mkdir(small);
    const mounted = await execa('mount', ['-t', 'tmpfs', '-o', 'size=120m', 'tmpfs', small], { reject: false });
    if (mounted.exitCode !== 0) return; // A container that may not mount.
    try {
      await execa('cp', ['-R', join(cache, 'sha256'), join(small, 'sha256')]);
      const { version } = JSON.parse(await readFile(join(layer, '../plan.json'), 'utf8')).python;
      const { stderr, exitCode } = await run(['build', '3.13', '--python', version], { MAKE_RUNTIME_CACHE: small });
      expect(stderr).toContain('[DISK_FULL]');
      expect(exitCode).toBe(exitStatus.DISK_FULL);
      expect(await readdir(join(small, 'compile'))).toEqual([]);
    } finally {
      await execa('umount', ['--lazy', small]);
    }
  });

  test.each([
    ['SIGINT', exitStatus.CANCELLED],
    ['SIGKILL', null],
  ] as const)('%s in the middle of a compile leaves a cache that is not poisoned', async (signal, status) => {
    const { version } = JSON.parse(await readFile(join(layer, '../plan.json'), 'utf8')).python;
    const output = join(dir, 'interrupted');
    const child = spawn(
      process.execPath,
      [join(root, 'dist/cli.js'), 'build', '3.13', '--python', version, '-o', output],
      {
        env: { ...process.env, MAKE_RUNTIME_CACHE: cache, CI: '1' },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    while (child.exitCode === null && !/^ +compiling$/m.test(stderr)) await wait(50);
    expect(child.exitCode, `it compiled nothing:\n${stderr}`).toBeNull();
    await wait(3000);
    child.kill(signal);
    const [code] = await once(child, 'exit');
    expect(code).toBe(status);
    // make writes to a pipe that nobody reads any more, or was killed with its group: either way it ends.
    const compilers = async () => (await execa('pgrep', ['-f', `${cache}.*partial`], { reject: false })).stdout;
    await expect.poll(compilers, { timeout: 20_000 }).toBe('');
    expect(await readdir(output).catch(() => [])).toEqual([]);
  });
});

describe('other versions', () => {
  test.each([
    ['3.13', ['--python', '3.13.5'], '3.13.5'],
    ['3.11', ['--python', '3.11.2'], '3.11.2'],
  ])('%s %j', async (recipe, options, version) => {
    const path = await build(recipe, options);
    const verified = await run(['verify', path, '--json']);
    good(verified);
    const { findings } = JSON.parse(verified.stdout);
    expect(findings.filter(({ level }: { level: string }) => level === 'fail' || level === 'warn')).toEqual([]);
    const folder = join(dir, 'code', recipe);
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, 'app.py'),
      'import sys\ndef handler(event, context):\n    return [sys.version.split()[0], "é"]\n',
    );
    const { stdout } = await run(['invoke', path, '--code', folder, '--handler', 'app.handler']);
    // Before 3.12 the managed runtime escapes what is not ASCII.
    expect(stdout).toBe(`["${version}", "${recipe === '3.11' ? '\\u00e9' : 'é'}"]`);
  });
});
