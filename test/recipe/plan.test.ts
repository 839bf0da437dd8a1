import { beforeAll, describe, expect, test } from 'vitest';
import { shortDigest } from '../../build/recipe/canonical.ts';
import { cpython, minors } from '../../build/recipe/cpython.ts';
import { describe as describePlan } from '../../build/recipe/describe.ts';
import { listRecipes } from '../../build/recipe/list.ts';
import type { Recipe } from '../../build/recipe/load.ts';
import type { Flavor, Lock, Plan } from '../../build/recipe/model.ts';
import { chooseFlavor, parseArch, parseLibraries, parseProfile, pinsOf, plan } from '../../build/recipe/plan.ts';
import { failure } from './support/failure.ts';
import { bootstrap, builder, deepFreeze, lock as readLock, shipped } from './support/plans.ts';

let lock: Lock;
const recipes = new Map<string, Recipe>();

beforeAll(async () => {
  lock = await readLock();
  for (const name of minors) recipes.set(name, await shipped(name));
});

function make(name: string, flavor: Flavor = 'default', choice: Partial<Parameters<typeof plan>[1]> = {}): Plan {
  return plan(recipes.get(name)!, { flavor, arch: 'x86_64', profile: 'fast', ...choice }, lock, builder, bootstrap);
}

const values = (entries: readonly { value: string }[]) => entries.map(({ value }) => value);
const variants = minors.flatMap((minor) => cpython[minor].flavors.map((flavor) => [minor, flavor] as const));

describe.each(variants)('%s %s', (name, flavor) => {
  test('the plan is what it was', async () => {
    const { id, ...content } = make(name, flavor);
    // The part that is the same in every plan has a snapshot of its own below.
    const { symbolBindings: _, builder: __, ...own } = content;
    await expect(JSON.stringify(own, null, 2)).toMatchFileSnapshot(`./__snapshots__/plans/${name}-${flavor}.json`);
    expect(id).toBe(shortDigest(content));
  });

  test('every choice has a reason, and every line fits 100 columns', () => {
    const made = make(name, flavor);
    const reasoned = [
      ...made.configure,
      ...made.cflags,
      ...made.ldflags,
      ...made.withoutModules,
      ...made.prune,
      ...made.libraries,
      ...made.symbolBindings,
      ...made.requires,
    ];
    expect(reasoned.filter(({ reason }) => reason.trim().length < 5)).toEqual([]);
    const long = describePlan(made)
      .split('\n')
      .filter((line) => line.length > 100);
    expect(long).toEqual([]);
  });
});

test('symbols are bound to what each architecture’s glibc had first', () => {
  const intel = make('3.13').symbolBindings;
  const arm = make('3.13', 'default', { arch: 'arm64' }).symbolBindings;
  const find = (bindings: Plan['symbolBindings'], name: string) => bindings.find(({ symbol }) => symbol === name);
  expect(find(intel, 'hypot')).toMatchObject({ version: 'GLIBC_2.2.5' });
  expect(find(arm, 'hypot')).toMatchObject({ version: 'GLIBC_2.17' });
  expect(find(intel, '__isoc23_strtol')).toMatchObject({ target: 'strtol', version: 'GLIBC_2.2.5' });
  expect(find(intel, '__isoc23_sscanf')).toMatchObject({ target: '__isoc99_sscanf', version: 'GLIBC_2.7' });
  expect(intel.map(({ symbol, target = symbol, version }) => `${symbol} ${target}@${version}`)).toMatchSnapshot();
});

test('names say interpreter, architecture and profile', () => {
  expect(make('3.13', 'free-threaded')).toMatchObject({
    name: 'python3.13t-x86_64-fast',
    python: { version: '3.13.15', minor: '3.13', executable: 'python3.13t' },
  });
  expect(make('3.14', 'jit', { arch: 'arm64' }).name).toBe('python3.14-jit-arm64-fast');
});

test('a recipe of one’s own has its name in the plan’s', () => {
  const own = { ...recipes.get('3.13')!, name: 'mine', shipped: false };
  const choice = { flavor: 'default', arch: 'x86_64', profile: 'fast' } as const;
  expect(plan(own, choice, lock, builder, bootstrap).name).toBe('mine-python3.13-x86_64-fast');
});

test('the newest pin is the default, and a version picks another', () => {
  expect(make('3.13').source.version).toBe('3.13.15');
  const older = make('3.13', 'default', { version: '3.13.5' });
  expect(older.source.sha256).toBe('93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640');
  expect(older.python.version).toBe('3.13.5');
  expect(older.id).not.toBe(make('3.13').id);
});

test('final releases come before pre-releases, whatever their number', () => {
  const rc = pinsOf(lock, '3.15').find(({ version }) => version === '3.15.0rc1');
  const final = { ...rc!, version: '3.15.0' };
  const next = { ...rc!, version: '3.15.1rc1' };
  expect(pinsOf({ sources: [rc!, next, final] }, '3.15').map(({ version }) => version)).toEqual([
    '3.15.0',
    '3.15.1rc1',
    '3.15.0rc1',
  ]);
});

test('a pre-release is noted', () => {
  expect(make('3.15', 'default', { version: '3.15.0rc1' }).notes).toContain(
    '3.15.0rc1 is a pre-release: for trying things, not for production.',
  );
});

test('the same input gives the same plan, and no input is touched', () => {
  const recipe = recipes.get('3.14')!;
  const choice = deepFreeze({ flavor: 'jit', arch: 'arm64', profile: 'fast' } as const);
  const frozenBuilder = deepFreeze(structuredClone(builder));
  const once = plan(recipe, choice, lock, frozenBuilder, bootstrap);
  const twice = plan(
    structuredClone(recipe),
    { ...choice },
    structuredClone(lock),
    structuredClone(builder),
    bootstrap,
  );
  expect(JSON.stringify(twice)).toBe(JSON.stringify(once));
});

test('a plan is plain data', () => {
  const made = make('3.13', 'jit');
  expect(JSON.parse(JSON.stringify(made))).toEqual(made);
});

test('whatever shapes the artifact changes the id', () => {
  const recipe = recipes.get('3.13')!;
  const choice = { flavor: 'default', arch: 'x86_64', profile: 'fast' } as const;
  const ids = [
    plan(recipe, choice, lock, builder, bootstrap),
    plan(recipe, { ...choice, arch: 'arm64' }, lock, builder, bootstrap),
    plan(recipe, { ...choice, flavor: 'free-threaded' }, lock, builder, bootstrap),
    plan(recipe, { ...choice, withHeaders: true }, lock, builder, bootstrap),
    plan(recipe, choice, lock, { ...builder, compiler: 'cc 13' }, bootstrap),
    plan(recipe, choice, lock, { ...builder, packages: {} }, bootstrap),
    plan(recipe, choice, lock, builder, 'c'.repeat(64)),
    plan({ ...recipe, epoch: recipe.epoch + 1 }, choice, lock, builder, bootstrap),
    plan({ ...recipe, cflags: [{ value: '-O2', reason: 'smaller' }] }, choice, lock, builder, bootstrap),
  ].map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{16}$/);
});

test('headers stay when asked for', () => {
  const ids = (made: Plan) => made.prune.map(({ id }) => id);
  expect(ids(make('3.13'))).toContain('headers');
  expect(ids(make('3.13', 'default', { withHeaders: true }))).not.toContain('headers');
});

test('a library leaves with the last module that needs it', () => {
  const recipe = recipes.get('3.13')!;
  const without = (...modules: string[]): Recipe => ({
    ...recipe,
    without: [...recipe.without, ...modules.map((value) => ({ value, reason: 'not used' }))],
  });
  const names = (one: Recipe) =>
    plan(one, { flavor: 'default', arch: 'x86_64', profile: 'fast' }, lock, builder, bootstrap).libraries.map(
      ({ name }) => name,
    );
  expect(names(without('_ssl'))).toContain('openssl');
  expect(names(without('_ssl', '_hashlib'))).not.toContain('openssl');
});

test('flags of a recipe and of its flavour follow ours', () => {
  const recipe = recipes.get('3.14')!;
  const own: Recipe = {
    ...recipe,
    configure: [
      { value: '--with-tail-call-interp', reason: 'clang' },
      { value: '--never', reason: 'for 3.15', since: '3.15' },
    ],
    flavors: { ...recipe.flavors, jit: { ...recipe.flavors.jit!, cflags: [{ value: '-g', reason: 'perf' }] } },
  };
  const made = plan(own, { flavor: 'jit', arch: 'x86_64', profile: 'fast' }, lock, builder, bootstrap);
  expect(values(made.configure).at(-1)).toBe('--with-tail-call-interp');
  expect(values(made.cflags).at(-1)).toBe('-g');
});

test('flavours differ where they should', () => {
  expect(values(make('3.13', 'free-threaded').configure)).toContain('--disable-gil');
  expect(values(make('3.13').configure)).not.toContain('--disable-gil');
  expect(values(make('3.13', 'jit').configure)).toContain('--enable-experimental-jit=yes-off');
  expect(make('3.14', 'jit').requires).toMatchObject([
    { tool: 'llvm', version: '19', exact: true },
    { tool: 'python' },
  ]);
  expect(make('3.14', 'free-threaded').requires).toEqual([]);
});

test('what a module left out cannot give is pruned and named', () => {
  for (const [name, flavor] of variants) {
    const made = make(name, flavor);
    const left = values(made.withoutModules);
    const gone = made.prune.flatMap(({ modules }) => modules ?? []);
    for (const [extension, module] of [
      ['_tkinter', 'tkinter'],
      ['_curses', 'curses'],
      ['_crypt', 'crypt'],
    ] as const)
      expect(gone.includes(module), `${module} in ${name}`).toBe(left.includes(extension));
  }
});

test('Setup.local disables what is left out and never has a line that makesetup misreads', () => {
  for (const name of ['3.10', '3.11'] as const) {
    const { staticModules, withoutModules } = make(name);
    const [, linked = [], disabled = []] = split(staticModules.lines, ['*static*', '*disabled*']);
    expect(values(withoutModules).filter((module) => !disabled.includes(module))).toEqual([]);
    expect(linked.filter((line) => line.includes('='))).toEqual([]);
    expect(linked.map((line) => line.split(' ')[0]).filter((module) => disabled.includes(module!))).toEqual([]);
  }
});

function split(lines: readonly string[], heads: readonly string[]): string[][] {
  const parts: string[][] = [[]];
  for (const line of lines) {
    if (heads.includes(line)) parts.push([]);
    else parts.at(-1)!.push(line);
  }
  return parts;
}

test('the printed plan', async () => {
  await expect(`${describePlan(make('3.13', 'free-threaded'))}\n`).toMatchFileSnapshot(
    './__snapshots__/plan-3.13t.txt',
  );
});

describe('the release profile', () => {
  const release = { profile: 'release', training: 't'.repeat(64) } as const;

  test('is printed with every choice and its reason, within 100 columns', async () => {
    const made = make('3.14', 'default', release);
    const text = `${describePlan(made)}\n`;
    await expect(text).toMatchFileSnapshot('./__snapshots__/plan-3.14-release.txt');
    expect(text.split('\n').filter((line) => line.length > 100)).toEqual([]);
    const built = made.libraries.flatMap(({ build }) => (build ? [...build.cflags, ...build.options] : []));
    expect(built.filter(({ reason }) => reason.trim().length < 5)).toEqual([]);
  });

  test('takes every library from pinned source, whatever the builder has installed', () => {
    for (const [name, flavor] of variants) {
      const made = make(name, flavor, release);
      expect(made.libraries.filter(({ origin, source, build }) => origin !== 'source' || !source || !build)).toEqual(
        [],
      );
      expect(made.builder.packages).toEqual({});
    }
    const names = (name: string) => make(name, 'default', release).libraries.map((library) => library.name);
    expect(names('3.12')).toEqual(['openssl', 'sqlite', 'libffi', 'bzip2', 'xz', 'util-linux', 'zlib']);
    expect(names('3.13')).toContain('mpdecimal');
    expect(names('3.13')).not.toContain('zstd');
    expect(names('3.14')).toContain('zstd');
  });

  test('libraries and profile can be chosen apart, and the name says so', () => {
    const pinned = make('3.13', 'default', { libraries: 'source' });
    expect(pinned).toMatchObject({ name: 'python3.13-x86_64-fast-source-libraries' });
    expect(pinned.profiling).toBeUndefined();
    expect(make('3.13', 'default', { ...release, libraries: 'system' })).toMatchObject({
      name: 'python3.13-x86_64-release-system-libraries',
      libraries: make('3.13').libraries,
    });
  });

  test('a stored profile is part of the plan, the training program too', () => {
    const trained = make('3.13', 'default', release);
    expect(make('3.13', 'default', { ...release, training: 'u'.repeat(64) }).id).not.toBe(trained.id);
    const stored = make('3.13', 'default', { ...release, profileData: 'd'.repeat(64) });
    expect(stored.profiling?.data).toBe('d'.repeat(64));
    expect(stored.id).not.toBe(trained.id);
  });

  test('arm64 asks OpenSSL for arm64', () => {
    const openssl = make('3.13', 'default', { ...release, arch: 'arm64' }).libraries[0];
    expect(openssl?.build?.options[0]?.value).toBe('linux-aarch64');
  });
});

describe('refusals', () => {
  test('a word that is no profile', () => {
    expect(failure(() => parseProfile('debug')).code).toBe('PROFILE_UNSUPPORTED');
  });

  test('libraries from nowhere', () => {
    expect(parseLibraries('source')).toBe('source');
    expect(failure(() => parseLibraries('conda')).code).toBe('USAGE');
  });

  test('a library without a pin', () => {
    const without = { sources: lock.sources.filter(({ name }) => name !== 'zlib') };
    const choice = { flavor: 'default', arch: 'x86_64', profile: 'release' } as const;
    expect(failure(() => plan(recipes.get('3.13')!, choice, without, builder, bootstrap))).toMatchObject({
      code: 'LOCK_INVALID',
      message: expect.stringContaining('zlib'),
    });
  });

  test('a flavour the version does not have names those that do', () => {
    const error = failure(() => make('3.12', 'free-threaded'));
    expect(error).toMatchObject({ code: 'FLAVOR_UNAVAILABLE', message: 'CPython 3.12 has no free-threaded build.' });
    expect(error.remedy).toBe('These versions have one: 3.13, 3.14, 3.15. For example: make-runtime build 3.15t');
  });

  test('a flavour that only the recipe leaves out', () => {
    const { jit: _, ...flavors } = recipes.get('3.13')!.flavors;
    const own = { ...recipes.get('3.13')!, name: 'mine', flavors };
    const error = failure(() =>
      plan(own, { flavor: 'jit', arch: 'x86_64', profile: 'fast' }, lock, builder, bootstrap),
    );
    expect(error).toMatchObject({ code: 'FLAVOR_UNAVAILABLE', message: 'Recipe mine does not offer the flavour jit.' });
  });

  test('JIT with free-threading', () => {
    const error = failure(() => chooseFlavor('free-threaded', 'jit'));
    expect(error.code).toBe('FLAVOR_CONFLICT');
    expect(error.message).toMatch(/cannot run its JIT in a free-threaded build/);
  });

  test.each([
    [
      'free-threaded',
      '--enable-experimental-jit',
      'Leave out --enable-experimental-jit or --disable-gil in the recipe.',
    ],
    ['free-threaded', '--enable-experimental-jit=yes-off', expect.stringContaining('=yes-off')],
    ['jit', '--disable-gil', expect.stringContaining('--disable-gil')],
    ['free-threaded', '--disable-experimental-jit', undefined],
    ['free-threaded', '--enable-experimental-jit=no', undefined],
    ['jit', '--enable-gil', undefined],
  ] as const)('the other of the two as a flag of a recipe: %s with %s', (flavor, value, remedy) => {
    const recipe = recipes.get('3.14')!;
    const own: Recipe = { ...recipe, configure: [{ value, reason: 'to see what happens' }] };
    const make = () => plan(own, { flavor, arch: 'x86_64', profile: 'fast' }, lock, builder, bootstrap);
    if (remedy === undefined) expect(make).not.toThrow();
    else expect(failure(make)).toMatchObject({ code: 'FLAVOR_CONFLICT', remedy });
  });

  test('a name and an option that disagree', () => {
    expect(failure(() => chooseFlavor('free-threaded', 'default')).code).toBe('FLAVOR_CONFLICT');
    expect(chooseFlavor('free-threaded', 'free-threaded')).toBe('free-threaded');
    expect(chooseFlavor('free-threaded', undefined)).toBe('free-threaded');
    expect(chooseFlavor(undefined, 'jit')).toBe('jit');
    expect(chooseFlavor(undefined, undefined)).toBe('default');
  });

  test('a word that is no flavour', () => {
    const error = failure(() => chooseFlavor(undefined, 'freethreaded'));
    expect(error).toMatchObject({ code: 'FLAVOR_UNAVAILABLE' });
    expect(error.remedy).toBe('Did you mean "free-threaded"? Flavours are default, free-threaded, jit.');
  });

  test('an unpinned version lists the pins', () => {
    const error = failure(() => make('3.13', 'default', { version: '3.13.99' }));
    expect(error).toMatchObject({
      code: 'PYTHON_NOT_PINNED',
      message: 'CPython 3.13.99 is not pinned in the lock file.',
      remedy: 'Pinned for this recipe: 3.13.15, 3.13.5.',
    });
  });

  test('a version of another series', () => {
    const error = failure(() => make('3.13', 'default', { version: '3.12.14' }));
    expect(error).toMatchObject({
      code: 'PYTHON_NOT_PINNED',
      message: 'Recipe 3.13 builds CPython 3.13, not 3.12.14.',
    });
  });

  test('3.14 before 3.14.5, even when it is pinned', () => {
    const pin = { ...pinsOf(lock, '3.14')[0]!, version: '3.14.3' };
    const choice = { flavor: 'default', arch: 'x86_64', profile: 'fast' } as const;
    const only = { sources: [pin] };
    const recipe = recipes.get('3.14')!;
    const asked = failure(() => plan(recipe, { ...choice, version: '3.14.3' }, only, builder, bootstrap));
    expect(asked.message).toMatch(/^CPython 3\.14\.3 is not offered: 3\.14\.0 to 3\.14\.4 have the incremental/);
    expect(failure(() => plan(recipe, choice, only, builder, bootstrap)).code).toBe('PYTHON_NOT_PINNED');
  });

  test('an architecture Lambda does not have', () => {
    expect(parseArch('aarch64')).toBe('arm64');
    expect(parseArch('amd64')).toBe('x86_64');
    expect(failure(() => parseArch('riscv64'))).toMatchObject({
      code: 'ARCH_UNSUPPORTED',
      remedy: 'Architectures are x86_64 and arm64.',
    });
    expect(failure(() => parseArch('constructor')).code).toBe('ARCH_UNSUPPORTED');
  });
});

test('the list, on a day in each phase', () => {
  const rows = (today: string) =>
    listRecipes([...recipes.values()], lock, today).map(({ name, phase, newest }) => `${name} ${phase} ${newest}`);
  expect(rows('2026-11-21')).toEqual([
    '3.10 end-of-life 3.10.21',
    '3.11 security 3.11.16',
    '3.12 security 3.12.14',
    '3.13 security 3.13.15',
    '3.14 bugfix 3.14.8',
    '3.15 bugfix 3.15.0',
  ]);
  expect(rows('2026-10-01').at(-1)).toBe('3.15 pre-release 3.15.0');
  expect(listRecipes([recipes.get('3.13')!], lock, '2026-11-21')[0]).toEqual({
    name: '3.13',
    flavors: ['default', 'free-threaded', 'jit'],
    experimental: ['free-threaded', 'jit'],
    newest: '3.13.15',
    pinned: ['3.13.15', '3.13.5'],
    phase: 'security',
    endOfLife: '2029-10-31',
  });
});
