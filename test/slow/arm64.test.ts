// Lambda's other architecture from a machine that is not one: our own C code and linking for arm64, run by qemu in the
// sandbox, and (npm run test:thorough) a whole cross-compiled interpreter. readelf is the judge of what was linked.
// MAKE_RUNTIME_TEST_CACHE as in build.test.ts.
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileKey, libraryKey, train } from '../../build/compile/compile.ts';
import { glibcFloor } from '../../build/compile/link.ts';
import { findEmulation } from '../../build/lambda/emulation.ts';
import { ExecutionEnvironment } from '../../build/lambda/environment.ts';
import { Sandbox } from '../../build/lambda/sandbox.ts';
import type { Context } from '../../build/lib/context.ts';
import { shortDigest } from '../../build/recipe/canonical.ts';
import { compilerFlags, linkerFlags, prefix } from '../../build/recipe/cpython.ts';
import { crossArguments, crossFor } from '../../build/recipe/cross.ts';
import { symbolBindings } from '../../build/recipe/glibc.ts';
import type { Cross, Plan } from '../../build/recipe/model.ts';
import { plan } from '../../build/recipe/plan.ts';
import { cachePath } from '../../build/source/cache.ts';
import { highestGlibc, readElf } from '../../build/tree/elf.ts';
import { tinySource } from '../compile/support/tiny-source.ts';
import { settings } from '../lambda/support/function.ts';
import { bootstrap, builder, lock, shipped } from '../recipe/support/plans.ts';
import { thoroughTest } from '../support/thorough.ts';

const root = join(import.meta.dirname, '..', '..');
const gcc = 'aarch64-linux-gnu-gcc';
let dir: string;
let ctx: Context;
let refusal: string | undefined;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-arm64-'));
  // The sandbox's user has to get in.
  await chmod(dir, 0o755);
  ctx = {
    report: () => {},
    signal: new AbortController().signal,
    cacheDir: process.env['MAKE_RUNTIME_TEST_CACHE'] ?? join(dir, 'cache'),
    packageDir: root,
    env: process.env,
    offline: false,
  };
  refusal = await whyNot();
  if (refusal !== undefined) console.warn(`not tested: ${refusal}`);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function whyNot(): Promise<string | undefined> {
  if (process.arch !== 'x64') return `cross-compiling from ${process.arch}`;
  const { failed } = await execa(gcc, ['--version'], { reject: false });
  if (failed)
    return `arm64: there is no ${gcc} (apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)`;
  try {
    await (await Sandbox.open({ layerDirs: [], archOf: async () => 'arm64' }, ctx)).close();
    return undefined;
  } catch (error) {
    return `arm64 programs: ${(error as Error).message}`;
  }
}

/** A layer folder whose bootstrap is compiled from C, with the flags that the interpreter gets. */
async function layerOf(sources: readonly string[], link: readonly string[] = []): Promise<string> {
  const layer = await mkdtemp(join(dir, 'layer-'));
  await chmod(layer, 0o755);
  const flags = [
    ...compilerFlags('3.13', 'default', 'arm64', 'fast'),
    ...linkerFlags('3.13', 'default', 'arm64', []),
  ].flatMap(({ value }) => value.split(' '));
  await execa(gcc, [
    ...flags,
    '-D_GNU_SOURCE',
    '-Werror=incompatible-pointer-types',
    '-o',
    join(layer, 'bootstrap'),
    ...sources,
    ...link,
  ]);
  return layer;
}

const sandboxed = (layer: string) => Sandbox.open({ layerDirs: [layer], archOf: async () => 'arm64' }, ctx);

test('symbols newer than the floor are bound to arm64’s first ones, and still do their work', async ({ skip }) => {
  skip(refusal !== undefined, refusal);
  const bindings = symbolBindings('arm64');
  const source = join(dir, 'floor.c');
  // hypot has a new version in Debian's 2.36. The C23 names are what a newer header makes of strtol and sscanf.
  await writeFile(
    source,
    [
      '#include <math.h>\n#include <stdio.h>',
      'long __isoc23_strtol(const char *, char **, int); int __isoc23_sscanf(const char *, const char *, ...);',
      'int main(int count, char **words) { int read = 0; __isoc23_sscanf(words[2], "%d", &read);',
      '  printf("%g %ld %d", hypot(count, 4), __isoc23_strtol(words[1], 0, 10), read); }',
    ].join('\n'),
  );
  const stubs = join(dir, 'floor.S');
  await writeFile(stubs, glibcFloor(bindings, 'arm64'));
  const wraps = bindings.map(({ symbol }) => `-Wl,--wrap=${symbol}`);
  const layer = await layerOf([source, stubs], [...wraps, '-lm']);
  const program = join(layer, 'bootstrap');

  const { stdout: symbols } = await execa('readelf', ['-W', '--dyn-syms', program]);
  const versions = [...symbols.matchAll(/@GLIBC_(\S+)/g)].map(([, version]) => version);
  expect([...new Set(versions)].sort()).toEqual(['2.17', '2.34']);
  expect(symbols).toMatch(/hypot@GLIBC_2\.17/);
  const elf = readElf(await readFile(program));
  expect(elf && { arch: elf.arch, type: elf.type, interpreter: elf.interpreter, highest: highestGlibc(elf) }).toEqual({
    arch: 'arm64',
    type: 'executable',
    interpreter: '/lib/ld-linux-aarch64.so.1',
    highest: '2.34',
  });
  expect(elf).toMatchObject({ stack: 'plain', relro: true, bindNow: true, textRelocations: false });

  const sandbox = await sandboxed(layer);
  try {
    expect(await sandbox.run(['/opt/bootstrap', '42', '17'])).toMatchObject({ stdout: '5 42 17', exitCode: 0 });
  } finally {
    await sandbox.close();
  }
});

test('our Runtime API client, compiled for arm64, is invoked; what it executes is emulated too', async ({ skip }) => {
  skip(refusal !== undefined, refusal);
  const source = join(dir, 'main.c');
  await writeFile(
    source,
    [
      '#include "runtime_api.h"\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/utsname.h>',
      '#include <unistd.h>',
      'int main(int count, char **words) {',
      '  struct utsname name; uname(&name);',
      '  if (count > 1) return printf("%s %s", words[0], name.machine) < 0;',
      '  char child[200] = "", link[200] = ""; FILE *pipe = popen("exec /opt/bootstrap child", "r");',
      '  child[fread(child, 1, 199, pipe)] = 0; pclose(pipe); readlink("/proc/self/exe", link, 199);',
      '  ra_client *client = ra_open(getenv("AWS_LAMBDA_RUNTIME_API"), "test"); ra_head head;',
      '  while (ra_next(client, &head) == RA_OK) {',
      '    char id[100], answer[1000], *body; size_t length; snprintf(id, 100, "%.*s", (int)head.request_id.length, head.request_id.at);',
      '    if (ra_read_rest(client, &body, &length) != RA_OK) return 1;',
      '    int size = snprintf(answer, 1000, "{\\"event\\":%.*s,\\"machine\\":\\"%s\\",\\"child\\":\\"%s\\",\\"exe\\":\\"%s\\",\\"uid\\":%d,\\"prefix\\":%d}",',
      '      (int)length, body, name.machine, child, link, getuid(), getenv("QEMU_LD_PREFIX") != NULL);',
      '    free(body); struct iovec body_part = {answer, size}; if (ra_respond(client, id, NULL, "application/json", &body_part, 1, &head) != RA_OK) return 1;',
      '  } return 2; }',
    ].join('\n'),
  );
  const layer = await layerOf([source, join(root, 'bootstrap-src/runtime_api.c'), '-I', join(root, 'bootstrap-src')]);
  const environment = await ExecutionEnvironment.create({ layerDirs: [layer], settings: settings('any') }, ctx);
  try {
    for (const event of [{ first: true }, ['second']]) {
      const result = await environment.invoke(Buffer.from(JSON.stringify(event)));
      expect(result.statusKind, result.logs.map(({ text }) => text).join('\n')).toBe('ok');
      expect(JSON.parse(result.payload.toString())).toEqual({
        event,
        machine: 'aarch64',
        child: '/opt/bootstrap aarch64',
        exe: '/opt/bootstrap',
        uid: 993,
        prefix: 0,
      });
    }
    expect(environment.violations).toEqual([]);
  } finally {
    await environment.shutdown();
  }
  // Nothing of it is left on the machine.
  expect(existsSync('/proc/sys/fs/binfmt_misc/make-runtime-arm64')).toBe(false);
});

test('what is trained for arm64 is run by qemu, and its counters are what comes out', async ({ skip }) => {
  skip(refusal !== undefined, refusal);
  const program = "int main(int count, char **words) { return count == 5 && words[4][0] == '4' ? 0 : 9; }";
  const tiny = await tinySource(await mkdtemp(join(dir, 'tiny-')), {
    platform: `true\npython:\n\techo "${program}" > python.c && $$CC $$CFLAGS_NODIST -c python.c && $$CC -fprofile-generate python.o -o python`,
  });
  const cross = crossFor('x86_64', 'arm64') as Cross;
  const choice = { flavor: 'default', arch: 'arm64', profile: 'release', training: 't'.repeat(64), cross } as const;
  const real = plan(await shipped('3.13'), choice, await lock(), { ...builder, cross }, bootstrap);
  const requires = real.requires.filter(({ tool }) => tool === 'qemu-aarch64');
  expect(requires).toHaveLength(1);
  const made = { ...real, libraries: [], requires, source: tiny.plan.source };
  const inputs = { source: tiny.source, buildPython: dir };
  const { path } = await train(made, inputs, join(root, 'recipes/training/function.py'), tiny.ctx);
  expect((await execa('tar', ['-tf', path])).stdout).toBe('./python.gcda');
  await execa('tar', ['-xf', path, '-C', dir]);
  // gcov's own tool for the target reads it: one function that was called once.
  const { stdout } = await execa('aarch64-linux-gnu-gcov-dump', ['-l', join(dir, 'python.gcda')]);
  expect(stdout).toMatch(/counters/i);
});

describe('a whole runtime', () => {
  let layerPath = '';
  const run = (args: string[], input = '') =>
    execa(process.execPath, [join(root, 'dist/cli.js'), ...args], {
      cwd: dir,
      reject: false,
      input,
      env: { MAKE_RUNTIME_CACHE: ctx.cacheDir, CI: '1' },
    });

  thoroughTest('3.13 is cross-compiled, green in every check that verify has, and answers', async ({ skip }) => {
    skip(refusal !== undefined, refusal);
    const built = await run(['build', '3.13', '--arch', 'arm64', '--output', join(dir, 'out')]);
    expect(built.stderr).not.toMatch(/✗/);
    expect(built.exitCode).toBe(0);
    const layer = built.stdout.trim();
    const verdict = JSON.parse((await run(['--json', 'verify', layer])).stdout);
    expect(verdict).toMatchObject({ arch: 'arm64', ok: true });
    const by = (check: string) => verdict.findings.filter((one: { check: string }) => one.check === check);
    expect(by('run.skipped')).toEqual([]);
    expect(by('run.emulated')).toHaveLength(1);
    for (const check of ['run.version', 'run.relocatable', 'run.stdlib', 'run.tls', 'run.pyc'])
      expect(by(check).map(({ level }: { level: string }) => level)).toContain('pass');

    const code = join(dir, 'code');
    await mkdir(code);
    await writeFile(
      join(code, 'app.py'),
      [
        'import hashlib, platform, sqlite3, subprocess, sys, sysconfig, zlib',
        'def handler(event, context):',
        '    child = subprocess.run([sys.executable, "-c", "import platform; print(platform.machine())"],',
        '                           capture_output=True, text=True, check=True).stdout.strip()',
        '    return {"event": event, "machine": platform.machine(), "child": child, "crc": zlib.crc32(b"123456789"),',
        '            "tag": sysconfig.get_platform(), "cc": sysconfig.get_config_var("CC"),',
        '            "soabi": sysconfig.get_config_var("SOABI"), "hash": sys.hash_info.algorithm,',
        '            "sql": sqlite3.connect(":memory:").execute("select sqrt(16)").fetchone()[0],',
        '            "sha": hashlib.sha256(b"").hexdigest()[:8]}',
      ].join('\n'),
    );
    layerPath = layer;
    const args = ['invoke', layer, '--code', code, '--handler', 'app.handler', '--memory', '512', '--timeout', '60'];
    const invoked = await run([...args, '--event', '{"n": 1}']);
    expect(invoked.stderr).not.toContain('bug');
    expect(JSON.parse(invoked.stdout)).toEqual({
      event: { n: 1 },
      machine: 'aarch64',
      child: 'aarch64',
      // The check value of CRC-32 itself; computed by an instruction there.
      crc: 0xcbf43926,
      tag: 'linux-aarch64',
      cc: expect.stringMatching(/^gcc( |$)/),
      soabi: 'cpython-313-aarch64-linux-gnu',
      hash: 'siphash13',
      sql: 4,
      sha: 'e3b0c442',
    });
  });

  thoroughTest('pyconfig.h is the one that configure writes when its programs do run', async ({ skip }) => {
    skip(refusal !== undefined || layerPath === '', refusal);
    const made: Plan = JSON.parse(await readFile(join(layerPath, '..', 'plan.json'), 'utf8'));
    const cross = made.builder.cross as Cross;
    const answers = crossArguments('3.13', 'arm64', cross).map(({ value }) => value);
    const own = made.configure.map(({ value }) => value).filter((value) => !answers.includes(value));
    const work = await mkdtemp(join(dir, 'configure-'));
    for (const name of ['src', 'build']) await mkdir(join(work, name));
    const libraries = made.libraries.map((library) => libraryKey(library, made));
    const folder = join(ctx.cacheDir, 'libraries', `all-${shortDigest(libraries)}`);
    for (const name of ['lib', 'include']) await cp(join(folder, name), join(work, name), { recursive: true });
    await execa('tar', [
      '-xf',
      cachePath(ctx.cacheDir, made.source.sha256),
      '-C',
      join(work, 'src'),
      '--strip-components=1',
    ]);
    const { handler = '' } = await findEmulation('arm64', ctx);
    const program = [
      'if [ -n "$HANDLER" ]; then',
      '  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc',
      '  printf %s "$HANDLER" > /proc/sys/fs/binfmt_misc/register',
      'fi',
      `export QEMU_LD_PREFIX=/usr/${cross.host} CC=${gcc} AR=${cross.host}-ar CPATH=../include LDFLAGS='-no-pie -L../lib'`,
      `exec ../src/configure -q --build=${cross.host} --host=${cross.host} "$@"`,
    ];
    const spaces = ['--user', '--map-root-user', '--mount', '--propagation', 'private'];
    await execa('unshare', [...spaces, 'sh', '-euc', program.join('\n'), 'sh', ...own], {
      cwd: join(work, 'build'),
      env: { HANDLER: handler },
    });
    const theirs = await readFile(join(work, 'build', 'pyconfig.h'), 'utf8');
    const installed = join(ctx.cacheDir, 'compile', compileKey(made), 'root', prefix, 'include/python3.13/pyconfig.h');
    expect(await readFile(installed, 'utf8')).toBe(theirs);
    expect(theirs).toContain('#define HAVE_COMPUTED_GOTOS 1');
  });
});
