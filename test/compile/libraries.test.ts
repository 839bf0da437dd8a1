// Compiling pinned libraries, with one that takes milliseconds; the real ones are compiled in test/slow.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compileKey, libraryKey, train } from '../../build/compile/compile.ts';
import { compileLibraries } from '../../build/compile/libraries.ts';
import { profileDigest, requireProfile } from '../../build/compile/profile.ts';
import type { Library, Plan } from '../../build/recipe/model.ts';
import { rejection } from '../recipe/support/failure.ts';
import { pin } from '../source/support/pins.ts';
import { type Tiny, tinySource } from './support/tiny-source.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime libraries '));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const commands = [
  'mkdir -p "$OUT/lib" && $CC $CFLAGS $OPTIONS -c one.c -o one.o',
  'ar rc "$OUT/lib/libone.a" one.o',
  'cp one.h "$OUT/include/"',
];

/** A library of one function, in an archive whose files are as old as `date` says. */
async function tinyLibrary(
  tiny: Tiny,
  date: Date,
  own = commands,
): Promise<{ plan: Plan; sources: Map<string, string> }> {
  const root = join(dir, 'one-1.0');
  await mkdir(root, { recursive: true });
  await writeFile(
    join(root, 'one.c'),
    '#include "one.h"\nint one(void) { return ONE; }\nint unused(void) { return 2; }\n',
  );
  await writeFile(join(root, 'one.h'), 'int one(void);\n');
  await writeFile(join(root, 'LICENSE'), 'do what you like\n');
  for (const file of ['one.c', 'one.h', 'LICENSE']) await utimes(join(root, file), date, date);
  const archive = join(dir, `one-${date.getTime()}.tar`);
  execFileSync('tar', ['-cf', archive, '-C', dir, 'one-1.0']);
  const library: Library = {
    name: 'one',
    origin: 'source',
    archives: ['libone.a'],
    header: 'one.h',
    modules: ['_one'],
    packages: { apt: 'libone-dev', dnf: 'one-devel' },
    licence: 'MIT',
    reason: 'for this test',
    source: pin(Buffer.from('one'), ['https://a.example/one.tar'], { name: 'one', version: '1.0' }),
    build: {
      cflags: [{ value: '-O2 -g', reason: 'with dates and paths to get rid of' }],
      options: [{ value: '-DONE=1', reason: 'one' }],
      commands: own,
      notice: 'LICENSE',
    },
  };
  return { plan: { ...tiny.plan, libraries: [library] }, sources: new Map([['one', archive]]) };
}

test('compiles once; archive, header and licence are what is left, the same at any time in any folder', async () => {
  const tiny = await tinySource(dir);
  const { plan, sources } = await tinyLibrary(tiny, new Date('2020-01-01'));
  const first = await compileLibraries(plan, sources, tiny.ctx);
  expect(first.cached).toBe(false);
  const list = async (path: string) => (await readdir(path, { recursive: true })).sort();
  expect(await list(first.path!)).toEqual([
    'content.sha256',
    'include',
    'include/one.h',
    'lib',
    'lib/libone.a',
    'notices',
    'notices/one.txt',
  ]);
  expect(await readFile(join(first.path!, 'notices/one.txt'), 'utf8')).toBe('do what you like\n');
  expect(await compileLibraries(plan, sources, tiny.ctx)).toEqual({ ...first, cached: true });

  const elsewhere = { ...tiny.ctx, cacheDir: join(dir, 'another cache') };
  const later = await tinyLibrary(tiny, new Date('2024-05-05'));
  const second = await compileLibraries(later.plan, later.sources, elsewhere);
  const bytes = await readFile(join(first.path!, 'lib/libone.a'));
  expect(bytes.equals(await readFile(join(second.path!, 'lib/libone.a')))).toBe(true);
  expect(bytes.includes(Buffer.from(dir))).toBe(false);
});

test('a plan with the machine’s own libraries has nothing to compile', async () => {
  const { plan, ctx } = await tinySource(dir);
  expect(await compileLibraries(plan, new Map(), ctx)).toEqual({ path: undefined, cached: true });
});

test('a library that does not compile says which, and leaves nothing', async () => {
  const tiny = await tinySource(dir);
  const { plan, sources } = await tinyLibrary(tiny, new Date(), ['exit 3']);
  expect(await rejection(compileLibraries(plan, sources, tiny.ctx))).toMatchObject({
    code: 'COMPILE_FAILED',
    message: 'Compiling one 1.0 failed while compiling a library (exit status 3).',
  });
  expect(await readdir(join(tiny.ctx.cacheDir, 'libraries'))).toEqual([]);
});

test('another CPython, profile or bootstrap does not compile a library again; another flag or source does', async () => {
  const tiny = await tinySource(dir);
  const { plan } = await tinyLibrary(tiny, new Date());
  const [one] = plan.libraries as [Library];
  const key = libraryKey(one, plan);
  expect(libraryKey(one, { ...plan, cflags: [], source: { ...plan.source, sha256: '0' }, bootstrap: 'b' })).toBe(key);
  expect(libraryKey({ ...one, source: { ...one.source!, sha256: '0' } }, plan)).not.toBe(key);
  const flagged: Library = { ...one, build: { ...one.build!, cflags: [{ value: '-O3', reason: 'faster' }] } };
  expect(libraryKey(flagged, plan)).not.toBe(key);
  expect(compileKey({ ...plan, libraries: [flagged] })).not.toBe(compileKey(plan));
});

test('the training leaves its counters, whoever the files belong to, and nothing else', async () => {
  const tiny = await tinySource(dir, {
    platform:
      "printf '#!/bin/sh\\ntouch Objects/a.gcda b.gcda\\n' > python; chmod 755 python; mkdir -p Objects; touch old.gcda",
  });
  const plan: Plan = {
    ...tiny.plan,
    profiling: { training: 't', arguments: ['1'], reason: 'for this test', generate: [], use: [] },
  };
  const program = join(dir, 'function.py');
  await writeFile(program, '');
  const { path, cached } = await train(plan, { source: tiny.source }, program, tiny.ctx);
  expect(cached).toBe(false);
  expect(execFileSync('tar', ['-tf', path], { encoding: 'utf8' })).toBe('./Objects/a.gcda\n./b.gcda\n');
  expect((await train(plan, { source: tiny.source }, program, tiny.ctx)).cached).toBe(true);

  const sha256 = await profileDigest(path, tiny.ctx.signal);
  await requireProfile(path, sha256, tiny.ctx.signal);
  const { signal } = tiny.ctx;
  const invalid = { code: 'PROFILE_DATA_INVALID' };
  expect(await rejection(requireProfile(path, '0', signal))).toMatchObject(invalid);
  for (const wrong of [program, dir, join(dir, 'missing')]) {
    expect(await rejection(profileDigest(wrong, signal))).toMatchObject(invalid);
  }
  expect(compileKey({ ...plan, profiling: { ...plan.profiling!, data: sha256 } })).not.toBe(compileKey(plan));
});
