// A plan for an architecture that its builder is not: what it says beside, and what it refuses.
import { beforeAll, describe, expect, test } from 'vitest';
import { cpython, minors } from '../../build/recipe/cpython.ts';
import { crossFor } from '../../build/recipe/cross.ts';
import { describe as describePlan } from '../../build/recipe/describe.ts';
import type { Recipe } from '../../build/recipe/load.ts';
import type { Arch, Cross, Flavor, Lock, Plan } from '../../build/recipe/model.ts';
import { needs, plan } from '../../build/recipe/plan.ts';
import { bootstrap, builder, lock as readLock, shipped } from './support/plans.ts';

let lock: Lock;
const recipes = new Map<string, Recipe>();
const cross = crossFor('x86_64', 'arm64') as Cross;
const values = (entries: readonly { value: string }[]) => entries.map(({ value }) => value);

beforeAll(async () => {
  lock = await readLock();
  for (const name of minors) recipes.set(name, await shipped(name));
});

type Choice = Partial<Parameters<typeof plan>[1]>;

function make(name: string, flavor: Flavor = 'default', choice: Choice = {}): Plan {
  const crossed = { ...builder, compiler: 'aarch64-linux-gnu-gcc (Debian 12.2.0-14) 12.2.0', cross };
  const all = { flavor, arch: 'arm64', profile: 'fast', cross, ...choice } as const;
  return plan(recipes.get(name)!, all, lock, crossed, bootstrap);
}

test('nothing is crossed between equals', () => {
  expect(crossFor('arm64', 'arm64')).toBeUndefined();
  expect(crossFor('arm64', 'x86_64')).toEqual({ from: 'arm64', build: 'aarch64-linux-gnu', host: 'x86_64-linux-gnu' });
  const choice = { flavor: 'default', arch: 'arm64', profile: 'fast' } as const;
  const native = plan(recipes.get('3.13')!, choice, lock, builder, bootstrap);
  expect(values(native.configure).filter((value) => /^--(build|host)=|_file__dev_/.test(value))).toEqual([]);
  expect(native.libraries.every(({ origin }) => origin === 'system')).toBe(true);
});

test('the plan is what it was', async () => {
  const { id: _, symbolBindings: __, source: ___, libraries, ...own } = make('3.13');
  const compiled = libraries.map(({ name, build }) => [name, build?.options, build?.commands]);
  await expect(JSON.stringify({ ...own, libraries: compiled }, null, 2)).toMatchFileSnapshot(
    './__snapshots__/plans/3.13-cross-arm64.json',
  );
});

describe.each(minors.flatMap((minor) => cpython[minor].flavors.map((flavor) => [minor, flavor] as const)))(
  '%s %s',
  (name, flavor) => {
    test('libraries from source, answers with reasons, lines of at most 100 columns', () => {
      const made = make(name, flavor);
      expect(made.name).toMatch(/-arm64-fast$/);
      expect(made.libraries.every(({ origin }) => origin === 'source')).toBe(true);
      expect(values(made.configure)).toEqual(
        expect.arrayContaining(['--build=x86_64-linux-gnu', '--host=aarch64-linux-gnu', 'ac_cv_computed_gotos=yes']),
      );
      expect(made.configure.filter(({ reason }) => reason.trim().length < 5)).toEqual([]);
      const text = describePlan(made);
      expect(text.split('\n').filter((line) => line.length > 100)).toEqual([]);
      expect(text).toContain('x86_64 that cross-compiles for arm64');
      expect(text).toContain('build-python');
    });
  },
);

test('what wchar_t is like belongs to the target', () => {
  const signed = (arch: Arch) => {
    const other = arch === 'arm64' ? 'x86_64' : 'arm64';
    return values(make('3.13', 'default', { arch, cross: crossFor(other, arch) as Cross }).configure).filter((value) =>
      value.startsWith('ac_cv_wchar'),
    );
  };
  expect(signed('arm64')).toEqual(['ac_cv_wchar_t_signed=no']);
  expect(signed('x86_64')).toEqual(['ac_cv_wchar_t_signed=yes']);
});

test("what Graviton has is asked for on arm64, of the interpreter and of every library, and of no other's", () => {
  const arm = make('3.13', 'free-threaded');
  for (const flags of [arm.cflags, ...arm.libraries.map(({ build }) => build?.cflags ?? [])])
    expect(values(flags)).toEqual(expect.arrayContaining(['-march=armv8.2-a', '-mtune=neoverse-n1']));
  const choice = { flavor: 'default', arch: 'x86_64', profile: 'release', training: 't' } as const;
  const intel = plan(recipes.get('3.13')!, choice, lock, builder, bootstrap);
  expect(JSON.stringify(intel)).not.toContain('armv8');
});

test("the builder's own archives are refused", () => {
  expect(() => make('3.13', 'default', { libraries: 'system' })).toThrow(
    expect.objectContaining({ code: 'USAGE', remedy: expect.stringContaining('--libraries system') }),
  );
});

test('training runs what was compiled, so it needs qemu; a stored profile does not', () => {
  const tools = (choice: Choice) => make('3.13', 'default', choice).requires.map(({ tool }) => tool);
  const release = { profile: 'release', training: 't'.repeat(64) } as const;
  expect(tools(release)).toContain('qemu-aarch64');
  expect(tools({ ...release, profileData: 'd'.repeat(64) })).not.toContain('qemu-aarch64');
  expect(tools({})).not.toContain('qemu-aarch64');
  const choice = { flavor: 'default', arch: 'arm64', ...release, cross } as const;
  expect(needs(recipes.get('3.13')!, choice, lock)).toMatchObject({ cross, libraries: [] });
});
