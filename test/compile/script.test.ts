// The build script is a pure function of the plan: one snapshot per recipe and flavour, and a shell that can parse it.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { glibcFloor } from '../../build/compile/link.ts';
import { compileScript, quote } from '../../build/compile/script.ts';
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
