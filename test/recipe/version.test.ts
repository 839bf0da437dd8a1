import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareVersions, parseVersion, seriesOf } from '../../build/recipe/version.ts';

const version = fc
  .tuple(fc.nat(4), fc.nat(20), fc.nat(30), fc.constantFrom('', 'a1', 'a12', 'b2', 'b11', 'rc1', 'rc3'))
  .map(([major, minor, patch, pre]) => `${major}.${minor}.${patch}${pre}`);

test('a pre-release comes before its release and after the release before', () => {
  const sorted = ['3.9.21', '3.13.5', '3.13.15', '3.15.0a7', '3.15.0b1', '3.15.0b10', '3.15.0rc1', '3.15.0'];
  expect(sorted.toReversed().toSorted(compareVersions)).toEqual(sorted);
});

test('the order is total and antisymmetric', () => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      expect(Math.sign(compareVersions(a, b))).toBe(0 - Math.sign(compareVersions(b, a)));
      expect(compareVersions(a, b) === 0).toBe(a === b);
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0)
        expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
    }),
  );
});

test('a full version number survives being taken apart', () => {
  fc.assert(
    fc.property(version, (text) => {
      const { major, minor, patch, pre } = parseVersion(text)!;
      expect(`${major}.${minor}.${patch}${pre}`).toBe(text);
      expect(seriesOf(text)).toBe(`${major}.${minor}`);
    }),
  );
  expect(parseVersion('3.13')).toBeUndefined();
  expect(parseVersion('3.13.x')).toBeUndefined();
});
