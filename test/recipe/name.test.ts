import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseRecipeName, printRecipeName } from '../../build/recipe/name.ts';
import { failure } from './support/failure.ts';

const known = ['3.10', '3.11', '3.12', '3.13', '3.14', '3.15'];
const shipped = (name: string) => ({ kind: 'shipped', name });

test.each([
  ['3.13', { reference: shipped('3.13') }],
  ['3.13t', { reference: shipped('3.13'), flavor: 'free-threaded' }],
  ['python3.13', { reference: shipped('3.13') }],
  ['python3.13t', { reference: shipped('3.13'), flavor: 'free-threaded' }],
  ['Python 3.13', { reference: shipped('3.13') }],
  ['cpython-3.13', { reference: shipped('3.13') }],
  ['cpython3.13t', { reference: shipped('3.13'), flavor: 'free-threaded' }],
  ['py3.14', { reference: shipped('3.14') }],
  ['3.13.5', { reference: shipped('3.13'), version: '3.13.5' }],
  ['3.13.5t', { reference: shipped('3.13'), version: '3.13.5', flavor: 'free-threaded' }],
  ['python-3.15.0rc1', { reference: shipped('3.15'), version: '3.15.0rc1' }],
  [' 3.10 ', { reference: shipped('3.10') }],
  ['./mine.toml', { reference: { kind: 'file', path: './mine.toml' } }],
  ['fast.toml', { reference: { kind: 'file', path: 'fast.toml' } }],
])('%s', (typed, expected) => {
  expect(parseRecipeName(typed, known)).toEqual(expected);
});

test.each([
  ['3.9', 'Did you mean "3.10"? Known recipes: 3.10, 3.11, 3.12, 3.13, 3.14, 3.15.'],
  ['3.133', 'Did you mean "3.13"?'],
  ['ruby', 'Known recipes: 3.10'],
  ['', 'Known recipes: 3.10'],
  ['2.7', 'Known recipes: 3.10'],
])('"%s" is unknown', (typed, remedy) => {
  const error = failure(() => parseRecipeName(typed, known));
  expect(error.code).toBe('RECIPE_UNKNOWN');
  expect(error.message).toBe(`There is no recipe "${typed}".`);
  expect(error.remedy).toContain(remedy);
});

test('whatever is typed gives a shipped recipe, a path or RECIPE_UNKNOWN', () => {
  fc.assert(
    fc.property(fc.string(), (typed) => {
      try {
        const { reference } = parseRecipeName(typed, known);
        if (reference.kind === 'shipped') expect(known).toContain(reference.name);
        else expect(typed.trim()).toBe(reference.path);
      } catch (error) {
        expect(error).toMatchObject({ code: 'RECIPE_UNKNOWN' });
      }
    }),
  );
});

test('what is printed names what was meant', () => {
  const flavor = fc.constantFrom('default' as const, 'free-threaded' as const, 'jit' as const);
  fc.assert(
    fc.property(fc.constantFrom(...known), flavor, (recipe, flavor) => {
      const [name = '', option, asked] = printRecipeName(recipe, flavor).split(' ');
      const parsed = parseRecipeName(name, known);
      expect(parsed.reference).toEqual(shipped(recipe));
      expect(option === '--flavor' ? asked : (parsed.flavor ?? 'default')).toBe(flavor);
    }),
  );
});
