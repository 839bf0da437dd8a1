import fc from 'fast-check';
import { parse, stringify } from 'smol-toml';
import { expect, test } from 'vitest';
import { findPositions, lineOf, printPath } from '../../build/recipe/positions.ts';

const text = `# a comment
extends = "base"
notes = [
  "one # not a comment",
  "[[prune]]",
]
"quoted key" = 1
a.b.c = """
x = 1
[nothing]
"""
inline = { d = 1, e = [1, 2] } # after

[flavor.free-threaded]
experimental = true

[[prune]]
id = "one"
patterns = [ "a[0]" ]

[[prune]]
id = 'two'
reason = '''
k = 3
'''
[prune.deep]
x = 1
`;

test.each([
  ['extends', 2],
  ['notes', 3],
  ['quoted key', 7],
  ['a', 8],
  ['a.b.c', 8],
  ['inline', 12],
  ['flavor', 14],
  ['flavor.free-threaded', 14],
  ['flavor.free-threaded.experimental', 15],
  ['prune[0].id', 18],
  ['prune[1]', 21],
  ['prune[1].id', 22],
  ['prune[1].reason', 23],
  ['prune[1].deep.x', 27],
])('%s is on line %i', (path, line) => {
  expect(findPositions(text).get(path)).toBe(line);
});

test('the sample is TOML, and strings are not keys', () => {
  expect(Object.keys(parse(text))).toEqual(['extends', 'notes', 'quoted key', 'a', 'inline', 'flavor', 'prune']);
  const keys = [...findPositions(text).keys()];
  expect(keys).not.toContain('x');
  expect(keys).not.toContain('nothing');
  expect(keys).not.toContain('prune[1].k');
});

test('a path without a line of its own has that of the nearest enclosing key', () => {
  const positions = findPositions(text);
  expect(lineOf(positions, ['notes', 1])).toBe(3);
  expect(lineOf(positions, ['prune', 0, 'patterns', 0])).toBe(19);
  expect(lineOf(positions, ['prune', 1, 'missing'])).toBe(21);
  expect(lineOf(positions, ['absent'])).toBeUndefined();
});

test('every key that a writer of TOML emits is found on the line that names it', () => {
  const key = fc.stringMatching(/^[A-Za-z][\w-]{0,6}$/).filter((name) => !(name in {}));
  const scalar = fc.oneof(fc.string(), fc.integer({ min: -1e6, max: 1e6 }), fc.boolean(), fc.array(fc.string()));
  const table = fc.dictionary(key, scalar, { minKeys: 1 });
  const document = fc.dictionary(key, fc.oneof(scalar, table, fc.array(table, { minLength: 1 })), { minKeys: 1 });
  fc.assert(
    fc.property(document, (value) => {
      const text = stringify(value);
      const lines = text.split('\n');
      const positions = findPositions(text);
      const visit = (at: Record<string, unknown>, path: PropertyKey[]) => {
        for (const [name, member] of Object.entries(at)) {
          const line = positions.get(printPath([...path, name]));
          expect(line, `${printPath([...path, name])} in\n${text}`).toBeDefined();
          expect(lines[line! - 1]).toContain(name);
          if (Array.isArray(member)) {
            member.forEach((one, index) => {
              if (typeof one === 'object') visit(one as Record<string, unknown>, [...path, name, index]);
            });
          } else if (typeof member === 'object' && member !== null)
            visit(member as Record<string, unknown>, [...path, name]);
        }
      };
      visit(value, []);
    }),
  );
});
