import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { minors } from '../../build/recipe/cpython.ts';
import { loadRecipe, parseRecipeFile, recipeNames } from '../../build/recipe/load.ts';
import { failure, rejection } from './support/failure.ts';

const packageDir = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recipes-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function own(name: string, text: string): Promise<{ kind: 'file'; path: string }> {
  const path = join(folder, `${name}.toml`);
  await writeFile(path, text);
  return { kind: 'file', path };
}

test('there is a recipe for every CPython we know facts of, oldest first', async () => {
  expect(await recipeNames(packageDir)).toEqual([...minors]);
});

test.each(minors)('%s loads, with its support dates in order', async (name) => {
  const recipe = await loadRecipe({ kind: 'shipped', name }, packageDir);
  expect(recipe.python).toBe(name);
  expect(recipe.shipped).toBe(true);
  const { firstRelease, securityOnly, endOfLife } = recipe.status;
  expect([firstRelease, securityOnly, endOfLife].toSorted()).toEqual([firstRelease, securityOnly, endOfLife]);
  expect(Object.keys(recipe.flavors)).toEqual(
    Number(name.slice(2)) >= 13 ? ['default', 'free-threaded', 'jit'] : ['default'],
  );
});

test('a recipe of one’s own inherits, adds, replaces and keeps', async () => {
  const reference = await own(
    'mine',
    `extends = "3.14"
keep = ["headers"]
configure = [{ value = "--with-tail-call-interp", reason = "clang 20 is on our builders." }]

[[without]]
module = "_sqlite3"
reason = "Our functions use DynamoDB."

[[prune]]
id = "scripts"
patterns = ["bin/idle*"]
reason = "We want pydoc."

[flavor.jit]
notes = ["Ask the platform team first."]
`,
  );
  const recipe = await loadRecipe(reference, packageDir);
  expect(recipe).toMatchObject({ name: 'mine', shipped: false, python: '3.14', keep: ['headers'] });
  expect(recipe.configure).toEqual([{ value: '--with-tail-call-interp', reason: 'clang 20 is on our builders.' }]);
  expect(recipe.without.map(({ value }) => value)).toContain('_tkinter');
  expect(recipe.without.at(-1)).toEqual({ value: '_sqlite3', reason: 'Our functions use DynamoDB.' });
  expect(recipe.prune.filter(({ id }) => id === 'scripts').map(({ patterns }) => patterns)).toEqual([['bin/idle*']]);
  expect(recipe.flavors.jit).toMatchObject({ experimental: true });
  expect(recipe.flavors.jit!.notes.at(-1)).toBe('Ask the platform team first.');
  expect(recipe.oldest?.version).toBe('3.14.5');
});

test('a recipe may extend a file next to it', async () => {
  await own('team', 'extends = "3.13"\nepoch = 1700000000\n');
  const recipe = await loadRecipe(await own('service', 'extends = "./team.toml"\n'), packageDir);
  expect(recipe).toMatchObject({ name: 'service', python: '3.13', epoch: 1700000000 });
});

test('malformed TOML: file, line and the parser’s frame', () => {
  const error = failure(() => parseRecipeFile('extends = "base"\npython = [3.13\nx = 1\n', 'recipes/mine.toml'));
  expect(error).toMatchInlineSnapshot(
    `[MakeRuntimeError: recipes/mine.toml:3 is not valid TOML: expected comma or end of structure.]`,
  );
  expect(error.detail).toMatchInlineSnapshot(`
    "2:  python = [3.13
    3:  x = 1
        ^"
  `);
});

const bad: [string, string][] = [
  ['an unknown key', 'extends = "3.13"\n\n[flavor.jit]\nexperimantal = true\n'],
  ['an unknown key far from every known one', 'zzzzzzzzz = 1\n'],
  ['an unknown table', '[flavour.jit]\nexperimental = true\n'],
  ['an unknown flavour', '[flavor.nogil]\n'],
  ['a version that is none of ours', 'python = "3.9"\n'],
  ['an unquoted version', 'python = 3.10\n'],
  ['a wrong type', 'keep = "headers"\n'],
  ['an unquoted date', '[status]\nfirst-release = 2024-10-07\nsecurity-only = "2026-10-07"\nend-of-life = "soon"\n'],
  ['a rule without a reason', '[[prune]]\nid = "one"\npatterns = ["share/**"]\n'],
  ['an empty reason', '[[configure]]\nvalue = "--foo"\nreason = ""\n'],
  ['an absolute pattern', '[[prune]]\nid = "one"\npatterns = ["/usr/**"]\nreason = "because of it"\n'],
  ['no patterns', '[[prune]]\nid = "one"\npatterns = []\nreason = "because of it"\n'],
  ['an epoch before ZIP’s', 'epoch = 1\n'],
  ['an epoch in milliseconds', 'epoch = 1767225600000\n'],
];

test.each(bad)('%s', (_, text) => {
  const error = failure(() => parseRecipeFile(text, 'recipes/mine.toml'));
  expect(error.code).toBe('RECIPE_INVALID');
  expect(error.remedy).toMatch(/recipe\.schema\.json/);
  expect(error.detail === undefined ? error.message : `${error.message}\n${error.detail}`).toMatchSnapshot();
});

const unusable: [string, string][] = [
  ['extends what is not there', 'extends = "3.16"\n'],
  ['extends itself', 'extends = "./it.toml"\n'],
  ['says no CPython series', 'extends = "base"\n'],
  ['stands alone', 'python = "3.13"\n'],
  ['offers a flavour that CPython lacks', 'extends = "3.12"\n[flavor.jit]\n'],
  ['keeps a rule that is not there', 'extends = "3.13"\nkeep = ["header"]\n'],
  ['keeps one in a flavour', 'extends = "3.13"\n[flavor.jit]\nkeep = ["zzzzzzzzzzzz"]\n'],
  [
    'names an oldest release of another series',
    'extends = "3.13"\n[oldest]\nversion = "3.12.1"\nreason = "just because"\n',
  ],
];

test.each(unusable)('a recipe that %s', async (_, text) => {
  const error = await rejection(loadRecipe(await own('it', text), packageDir));
  expect(error.code).toBe('RECIPE_INVALID');
  expect(error.message.replaceAll(folder, '/somewhere')).toMatchSnapshot();
});

test('a path that leads nowhere', async () => {
  const error = await rejection(loadRecipe({ kind: 'file', path: join(folder, 'none.toml') }, packageDir));
  expect(error).toMatchObject({ code: 'RECIPE_UNKNOWN', message: `There is no recipe file ${folder}/none.toml.` });
});

test('a folder is not a recipe', async () => {
  const error = await rejection(loadRecipe({ kind: 'file', path: folder }, packageDir));
  expect(error.code).toBe('RECIPE_UNKNOWN');
});
