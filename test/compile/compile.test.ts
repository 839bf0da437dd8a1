import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compile, compileKey } from '../../build/compile/compile.ts';
import { exists } from '../../build/lib/folder.ts';
import { tinySource } from './support/tiny-source.ts';

let dir: string;
beforeEach(async () => {
  // A space in the path, because somebody's home folder has one.
  dir = await mkdtemp(join(tmpdir(), 'make-runtime compile '));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('compiles once, keeps only the result, and names no scratch folder', async () => {
  const { plan, source, ctx, events } = await tinySource(dir);
  const first = await compile(plan, { source }, ctx);
  expect(first.cached).toBe(false);
  expect((await readdir(join(first.prefix, 'bin'))).sort()).toEqual(['python3.13']);
  expect((await readdir(first.embed)).sort()).toEqual(['include', 'lib', 'libs', 'notices']);
  expect(await readFile(join(first.embed, 'libs'), 'utf8')).toBe('-lm\n');
  expect(await readFile(join(first.prefix, 'lib/python3.13/_sysconfigdata.py'), 'utf8')).toBe('scratch is /build\n');
  expect(await readdir(join(first.prefix, '../../..'))).toEqual(['content.sha256', 'embed', 'root']);
  expect(await readFile(first.log, 'utf8')).toContain('configured with -q --prefix=/opt/lang');
  const steps = events.flatMap((event) => (event.type === 'progress' ? [event.text] : []));
  expect(steps).toContain('compiling');
  expect(steps).toContain('compiling: 1 files');
  expect(await compile(plan, { source }, ctx)).toEqual({ ...first, cached: true });
});

test('the key is what the result depends on, and nothing else', async () => {
  const { plan } = await tinySource(dir);
  expect(compileKey({ ...plan, prune: [], bootstrap: 'other' })).toBe(compileKey(plan));
  expect(compileKey({ ...plan, cflags: [] })).not.toBe(compileKey(plan));
  expect(compileKey({ ...plan, source: { ...plan.source, sha256: '0' } })).not.toBe(compileKey(plan));
  expect(compileKey({ ...plan, builder: { ...plan.builder, compiler: 'cc 13' } })).not.toBe(compileKey(plan));
});

test('a cached result that was changed by hand is made again, with a warning', async () => {
  const { plan, source, ctx, events } = await tinySource(dir);
  const first = await compile(plan, { source }, ctx);
  const file = join(first.prefix, 'bin/python3.13');
  const content = await readFile(file, 'utf8');
  const poisons = [
    () => writeFile(file, `${content}# more\n`),
    () => chmod(file, 0o644),
    () => writeFile(join(first.embed, 'lib', 'libextra.a'), ''),
    () => rm(join(first.embed, 'libs')),
    () => rm(join(first.prefix, '../../../content.sha256')),
  ];
  for (const poison of poisons) {
    await poison();
    events.length = 0;
    expect(await compile(plan, { source }, ctx)).toEqual({ ...first, cached: false });
    expect(events).toContainEqual({ type: 'warn', message: expect.stringContaining('not what was written there') });
    expect(await readFile(file, 'utf8')).toBe(content);
  }
  events.length = 0;
  expect((await compile(plan, { source }, ctx)).cached).toBe(true);
  expect(events).toEqual([]);
});

test('a compile failure shows command, cause and log, and leaves nothing in the cache', async () => {
  const { plan, source, ctx } = await tinySource(dir, {
    make: `echo "gcc -c bad.c"; echo "bad.c:1: error: expected ';'"; exit 1`,
  });
  const error = await compile(plan, { source }, ctx).then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toMatchObject({
    code: 'COMPILE_FAILED',
    message: expect.stringMatching(/^Compiling CPython 3\.13\.\d+ failed while compiling/),
    detail: expect.stringContaining('failing command: gcc -c bad.c'),
  });
  expect(await readdir(join(ctx.cacheDir, 'compile'))).toEqual([]);
  expect(await readFile(/full log: (.*)/.exec(error.detail)?.[1] as string, 'utf8')).toContain('expected');
});

test('a full disk inside the build', async () => {
  const { plan, source, ctx } = await tinySource(dir, { make: 'head -c 1 /dev/zero > /dev/full' });
  await expect(compile(plan, { source }, ctx)).rejects.toMatchObject({ code: 'DISK_FULL' });
  expect(await readdir(join(ctx.cacheDir, 'compile'))).toEqual([]);
});

test('no compiler: refused before anything is unpacked', async () => {
  const { plan, source, ctx } = await tinySource(dir);
  const without = { ...ctx, env: { ...ctx.env, CC: 'no-such-cc' } };
  await expect(compile(plan, { source }, without)).rejects.toMatchObject({
    code: 'COMPILER_MISSING',
    message: expect.stringContaining('no-such-cc'),
  });
  expect(await readdir(join(ctx.cacheDir, 'compile'))).toEqual([]);
});

test('kill -9 in the middle, then a re-run', async () => {
  const flag = join(dir, 'started');
  const { plan, source, ctx } = await tinySource(dir, { make: `test -e '${flag}' || { touch '${flag}'; sleep 60; }` });
  const module = join(import.meta.dirname, '../../build/compile/compile.ts');
  const program = `
    import { compile } from ${JSON.stringify(module)};
    const { plan, source, ctx } = JSON.parse(process.argv[1]);
    await compile(plan, { source }, { ...ctx, env: process.env, report: () => {}, signal: new AbortController().signal });`;
  const { report: _report, signal: _signal, env: _env, ...plain } = ctx;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', program, JSON.stringify({ plan, source, ctx: plain })],
    { stdio: 'inherit' },
  );
  while (!(await exists(flag))) await wait(20);
  child.kill('SIGKILL');
  await once(child, 'exit');
  const left = await readdir(join(ctx.cacheDir, 'compile'));
  expect(left.length).toBe(1);
  expect(left[0]).toMatch(/\.partial$/);

  const built = await compile(plan, { source }, ctx);
  expect(built.cached).toBe(false);
  expect(await readdir(join(ctx.cacheDir, 'compile'))).toEqual([built.key]);
});
