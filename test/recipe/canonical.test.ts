import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson, shortDigest } from '../../build/recipe/canonical.ts';

test('canonical JSON is JSON, and says the same', () => {
  fc.assert(
    // JSON knows no -0, so the round trip is compared with JSON's own.
    fc.property(fc.jsonValue(), (value) => {
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('the order in which members were added does not matter', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (members) => {
      const reversed = Object.fromEntries(Object.entries(members).toReversed());
      expect(canonicalJson(reversed)).toBe(canonicalJson(members));
      expect(shortDigest(reversed)).toBe(shortDigest(members));
    }),
  );
});

test('the order of an array does matter, white space there is none', () => {
  expect(canonicalJson({ b: [2, 1], a: { d: 'x', c: null } })).toBe('{"a":{"c":null,"d":"x"},"b":[2,1]}');
  expect(shortDigest([1, 2])).not.toBe(shortDigest([2, 1]));
});

test('an absent member and an undefined one are the same', () => {
  expect(canonicalJson({ a: 1, b: undefined })).toBe('{"a":1}');
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, 1n, () => 1, [undefined]])('%s has no JSON form', (value) => {
  expect(() => canonicalJson(value)).toThrow(TypeError);
});
