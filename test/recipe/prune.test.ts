import { readFile } from 'node:fs/promises';
import picomatch from 'picomatch';
import { expect, test } from 'vitest';
import { parsePrune, plan } from '../../build/recipe/plan.ts';
import { bootstrap, builder, lock, shipped } from './support/plans.ts';

// Top-level modules written in Python, as four stock installations have them.
interface Stdlib {
  readonly files: readonly string[];
  readonly packages: readonly string[];
}
const stdlib: Record<string, Stdlib> = JSON.parse(
  await readFile(new URL('./fixtures/stdlib.json', import.meta.url), 'utf8'),
);

// A rule may name a module that only newer versions have (_pyrepl came with 3.13).
test.each(Object.keys(stdlib))('rules of %s name exactly the modules they remove', async (name) => {
  const choice = { flavor: 'default', arch: 'x86_64', profile: 'fast', prune: 'slim' } as const;
  const { prune } = plan(await shipped(name), choice, await lock(), builder, bootstrap);
  const lib = `lib/python${name}`;
  const { files, packages } = stdlib[name]!;
  const places = [
    ...files.map((module) => [module, `${lib}/${module}.py`] as const),
    ...packages.map((module) => [module, `${lib}/${module}/__init__.py`] as const),
  ];
  for (const rule of prune) {
    const matches = picomatch([...rule.patterns], { dot: true });
    const removed = places.filter(([, path]) => matches(path)).map(([module]) => module);
    const named = (rule.modules ?? []).filter((module) => files.includes(module) || packages.includes(module));
    expect(removed.toSorted(), rule.id).toEqual(named.toSorted());
  }
});

const lib = 'lib/python3.13t';
test.each([
  ['tests', `${lib}/test/test_os.py`],
  ['tests', `${lib}/unittest/test/__main__.py`],
  ['tests', `${lib}/lib2to3/tests/data/x.py`],
  ['idle', `${lib}/idlelib/idle_test/htest.py`],
  ['idle', 'bin/idle3.13'],
  ['turtle', `${lib}/__pycache__/turtle.cpython-313.pyc`],
  ['ensurepip', `${lib}/ensurepip/_bundled/pip-26.2.1-py3-none-any.whl`],
  ['build-configuration', `${lib}/config-3.13t-x86_64-linux-gnu/Makefile`],
  ['build-configuration', 'lib/pkgconfig/python-3.13t.pc'],
  ['build-configuration', 'bin/python3.13t-config'],
  ['build-configuration', 'bin/python3-config'],
  ['static-libraries', 'lib/libpython3.13t.a'],
  ['headers', 'include/python3.13t/Python.h'],
  ['manuals', 'share/man/man1/python3.13.1'],
  ['scripts', 'bin/pydoc3'],
  [undefined, 'bin/python3.13t'],
  [undefined, 'bin/python3'],
  [undefined, `${lib}/os.py`],
  [undefined, `${lib}/unittest/mock.py`],
  [undefined, `${lib}/pydoc.py`],
  [undefined, `${lib}/decimal.py`],
  [undefined, `${lib}/datetime.py`],
  [undefined, `${lib}/_sysconfigdata_t_linux_x86_64-linux-gnu.py`],
  [undefined, `${lib}/LICENSE.txt`],
])('%s takes %s', async (id, path) => {
  const choice = { flavor: 'free-threaded', arch: 'x86_64', profile: 'fast' } as const;
  const { prune } = plan(await shipped('3.13'), choice, await lock(), builder, bootstrap);
  expect(prune.find(({ patterns }) => picomatch([...patterns], { dot: true })(path))?.id).toBe(id);
});

test('every module a rule names exists somewhere', async () => {
  const choice = { flavor: 'default', arch: 'x86_64', profile: 'fast' } as const;
  const existing = new Set(Object.values(stdlib).flatMap(({ files, packages }) => [...files, ...packages]));
  for (const name of Object.keys(stdlib)) {
    const { prune } = plan(await shipped(name), choice, await lock(), builder, bootstrap);
    const named = prune.flatMap(({ modules }) => modules ?? []);
    // Came within the series: 3.13.1.
    const newer = ['_apple_support'];
    expect(named.filter((module) => !existing.has(module) && !newer.includes(module))).toEqual([]);
  }
});

test('a preset applies where somebody asks for it, and only there', async () => {
  const choice = { flavor: 'default', arch: 'x86_64', profile: 'fast' } as const;
  const recipe = await shipped('3.13');
  const ids = (made: { prune: readonly { id: string }[] }) => made.prune.map(({ id }) => id);
  const usual = plan(recipe, choice, await lock(), builder, bootstrap);
  const slim = plan(recipe, { ...choice, prune: 'slim' }, await lock(), builder, bootstrap);
  expect(ids(usual).some((id) => id.startsWith('slim-'))).toBe(false);
  expect(ids(slim).slice(0, usual.prune.length)).toEqual(ids(usual));
  expect(
    ids(slim)
      .slice(usual.prune.length)
      .every((id) => id.startsWith('slim-')),
  ).toBe(true);
  expect(slim.name).toBe('python3.13-x86_64-fast-slim');
  const own = plan({ ...recipe, presets: ['slim'] }, choice, await lock(), builder, bootstrap);
  expect(ids(own)).toEqual(ids(slim));
  expect(() => parsePrune('tiny')).toThrow(expect.objectContaining({ code: 'USAGE' }));
});

test.each([
  ['big5.py', true],
  ['cp932.py', true],
  ['__pycache__/mac_roman.cpython-313.pyc', true],
  ['utf_8.py', false],
  ['cp1252.py', false],
  ['cp437.py', false],
  ['iso8859_15.py', false],
  ['idna.py', false],
])('slim and encodings/%s', async (file, leaves) => {
  const choice = { flavor: 'default', arch: 'x86_64', profile: 'fast', prune: 'slim' } as const;
  const { prune } = plan(await shipped('3.13'), choice, await lock(), builder, bootstrap);
  const rule = prune.find(({ id }) => id === 'slim-encodings');
  expect(picomatch([...(rule?.patterns ?? [])])(`lib/python3.13/encodings/${file}`)).toBe(leaves);
});
