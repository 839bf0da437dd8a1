// The build script is a pure function of the plan: one snapshot per recipe and flavour, and a shell that can parse it.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { libraryScript } from '../../build/compile/libraries-script.ts';
import { glibcFloor } from '../../build/compile/link.ts';
import { compileScript, quote, trainingScript } from '../../build/compile/script.ts';
import { cpython, minors } from '../../build/recipe/cpython.ts';
import { plan } from '../../build/recipe/plan.ts';
import { bootstrap, builder, lock, shipped } from '../recipe/support/plans.ts';

test('the script of every recipe and flavour', async () => {
  for (const name of minors) {
    for (const flavor of cpython[name].flavors) {
      const choice = { flavor, arch: 'x86_64', profile: 'fast' } as const;
      const made = plan(await shipped(name), choice, await lock(), builder, bootstrap);
      const script = compileScript(made);
      expect(compileScript(structuredClone(made))).toBe(script);
      execFileSync('sh', ['-n'], { input: script });
      const file = join(import.meta.dirname, '__snapshots__', 'scripts', `${name}-${flavor}.sh`);
      await expect(script).toMatchFileSnapshot(file);
    }
  }
});

test('the scripts of the release profile: libraries, training, interpreter', async () => {
  for (const name of ['3.11', '3.14'] as const) {
    const choice = { flavor: 'default', arch: 'x86_64', profile: 'release', training: 't'.repeat(64) } as const;
    const made = plan(await shipped(name), choice, await lock(), builder, bootstrap);
    const folder = join(import.meta.dirname, '__snapshots__', 'scripts');
    const scripts = [
      ['release', compileScript(made)],
      ['training', trainingScript(made)],
      ...made.libraries.map((library) => [`library-${library.name}`, libraryScript(library, made)] as const),
    ] as const;
    for (const [what, script] of scripts) {
      execFileSync('sh', ['-n'], { input: script });
      // The libraries of one release stand for all.
      if (name === '3.11' && what.startsWith('library-')) continue;
      const file = what.startsWith('library-') ? `${what}.sh` : `${name}-${what}.sh`;
      await expect(script).toMatchFileSnapshot(join(folder, file));
    }
  }
});

test("a library that the distribution's OpenSSL needs becomes part of its archive", async () => {
  const choice = { flavor: 'default', arch: 'x86_64', profile: 'fast' } as const;
  const planned = async (recipe: string) =>
    plan(await shipped(recipe), choice, await lock(), { ...builder, archivesNeed: ['zlib', 'zstd'] }, bootstrap);
  for (const recipe of ['3.13', '3.14']) {
    const merged = (await planned(recipe)).libraries.filter(({ mergedInto }) => mergedInto === 'libcrypto.a');
    expect(merged.map(({ name }) => name).sort()).toEqual(['zlib', 'zstd']);
  }
  const merging = compileScript(await planned('3.13'))
    .split('\n')
    .filter((line) => line.includes('ar -M'));
  expect(merging).toHaveLength(2);
  // Done for real: a program that names one of them not at all, and the other too early.
  const dir = await mkdtemp(join(tmpdir(), 'make-runtime merge-'));
  try {
    const sources = {
      crypto: 'int ZSTD_compress(void), deflate(void); int crypto(void) { return ZSTD_compress() + deflate(); }',
      zstd: 'int ZSTD_compress(void) { return 40; }',
      z: 'int deflate(void) { return 2; }',
      main: 'int crypto(void); int main(void) { return crypto(); }',
    };
    await mkdir(join(dir, 'lib'));
    for (const [name, text] of Object.entries(sources)) {
      await writeFile(join(dir, `${name}.c`), text);
      execFileSync('cc', ['-c', `${name}.c`], { cwd: dir });
      if (name !== 'main') execFileSync('ar', ['rcs', `lib/lib${name}.a`, `${name}.o`], { cwd: dir });
    }
    const link = () =>
      execFileSync('cc', ['main.o', '-Llib', '-lz', '-lcrypto', '-o', 'main'], { cwd: dir, stdio: 'pipe' });
    expect(link).toThrow(/ZSTD_compress/);
    execFileSync('sh', ['-euc', merging.join('\n')], { env: { ...process.env, WORK: dir } });
    link();
    expect(spawnSync(join(dir, 'main')).status).toBe(42);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('quoting survives a shell', () => {
  for (const word of ['plain', "it's", '$HOME `id`', 'a b', '-DX="y"', '']) {
    expect(execFileSync('sh', ['-c', `printf %s ${quote(word)}`], { encoding: 'utf8' })).toBe(word);
  }
});

test('a symbol binding is a jump to the older version of the symbol', () => {
  const binding = { symbol: 'hypot', version: 'GLIBC_2.2.5', reason: 'new in 2.35' };
  expect(glibcFloor([binding], 'x86_64')).toMatchInlineSnapshot(`
    "/* hypot: new in 2.35 */
    .symver make_runtime_hypot, hypot@GLIBC_2.2.5
    .globl __wrap_hypot
    .type __wrap_hypot, %function
    __wrap_hypot: jmp make_runtime_hypot@PLT
    .section .note.GNU-stack, "", %progbits
    "
  `);
  expect(glibcFloor([{ ...binding, version: 'GLIBC_2.17' }], 'arm64')).toContain(
    '__wrap_hypot: b make_runtime_hypot\n',
  );
  const renamed = { symbol: '__isoc23_strtol', target: 'strtol', version: 'GLIBC_2.2.5', reason: 'C23' };
  expect(glibcFloor([renamed], 'x86_64')).toContain('.symver make_runtime___isoc23_strtol, strtol@GLIBC_2.2.5');
});
