// Comparisons of two results: the ranks against scipy's exact test of Mann and Whitney, and what is called worse.
import { describe, expect, test } from 'vitest';
import { compare, comparisonInWords } from '../../build/bench/compare.ts';
import { leastRank, shiftBetween } from '../../build/bench/statistics.ts';
import { result, sample } from './support/result.ts';

// scipy 1.17.1, mannwhitneyu(method='exact', alternative='less'): the first U whose p is above 0.025.
test.each([
  [3, 3, 0],
  [4, 4, 1],
  [5, 5, 3],
  [8, 8, 14],
  [10, 7, 15],
  [10, 10, 24],
  [20, 20, 128],
  [30, 30, 318],
])('of %i and %i values the rank is %i', (n, m, rank) => {
  expect(leastRank(n, m, 0.025)).toBe(rank);
  expect(leastRank(m, n, 0.025)).toBe(rank);
});

test('the ratio of two samples lies in an interval that few values make infinite', () => {
  expect(shiftBetween([1, 2, 3, 4, 5], [2, 4, 6, 8, 10], 0.05).ratio).toBe(2);
  expect(shiftBetween([10, 11, 12, 10.5, 11.5], [20, 22, 24, 21, 23], 0.05).interval.low).toBeGreaterThan(1.6);
  expect(shiftBetween([1, 1], [9, 9], 0.05).interval).toEqual({ low: 0, high: Number.POSITIVE_INFINITY });
});

const wobble = (value: number, runs = 20): number[] =>
  Array.from({ length: runs }, (_, run) => value * (1 + ((run * 13) % 7) / 300));

describe('what has changed', () => {
  const before = result([sample('round-trip', 'response', 'µs', { 'make-runtime': wobble(20), floor: wobble(8) })]);
  const verdicts = (values: Record<string, number[]>, more = {}) =>
    compare(before, result([sample('round-trip', 'response', 'µs', values)], more), 0.03).changes.map(
      (one) => one.verdict,
    );

  test('slower is worse, faster is better, the same is the same', () => {
    expect(verdicts({ 'make-runtime': wobble(24), floor: wobble(8) })).toEqual(['worse']);
    expect(verdicts({ 'make-runtime': wobble(16), floor: wobble(8) })).toEqual(['better']);
    expect(verdicts({ 'make-runtime': wobble(20), floor: wobble(8) })).toEqual(['same']);
  });

  test('a machine that is slower as a whole is not a regression', () => {
    expect(verdicts({ 'make-runtime': wobble(40), floor: wobble(16) })).toEqual(['same']);
    expect(verdicts({ 'make-runtime': wobble(40) }, { cores: 64 })).toEqual([]);
  });

  test('the steadiest neighbour is the measure, and plain Python never, which is our own interpreter', () => {
    const noisy = [9, 30, 5, 12, 80, 7, 11, 40, 6, 13, 9, 30, 5, 12, 80, 7, 11, 40, 6, 13];
    const both = (value: number) =>
      result([
        sample('init', 'wall', 'ms', {
          'make-runtime': wobble(value),
          'python -I -S -c pass': wobble(value),
          'awslambdaric 4.2.2': noisy,
          true: wobble(2),
        }),
      ]);
    expect(compare(both(10), both(12), 0.03).changes).toMatchObject([{ beside: 'true', verdict: 'worse' }]);
  });

  test('a difference below the tolerance is none, and one within the noise is unsure', () => {
    expect(verdicts({ 'make-runtime': wobble(20.3), floor: wobble(8) })).toEqual(['same']);
    expect(verdicts({ 'make-runtime': [12, 70, 15, 60, 18, 50], floor: wobble(8, 6) })).toEqual(['unsure']);
    expect(verdicts({ 'make-runtime': [60], floor: [8] })).toEqual(['unsure']);
  });

  test('less of a rate is worse', () => {
    const rate = (value: number) =>
      result([sample('throughput', 'rate', '/s', { 'make-runtime': wobble(value) }, true)]);
    expect(compare(rate(1000), rate(800), 0.03).changes[0]?.verdict).toBe('worse');
    expect(compare(rate(1000), rate(1300), 0.03).changes[0]?.verdict).toBe('better');
  });

  test('counts repeat, so that one is enough', () => {
    const counted = (value: number) => result([sample('counts', 'calls', '', { 'make-runtime': [value] })]);
    expect(compare(counted(205), counted(260), 0.03).changes[0]?.verdict).toBe('worse');
    expect(compare(counted(205), counted(206), 0.03).changes[0]?.verdict).toBe('same');
  });

  test('with many figures a single odd one is not yet a finding', () => {
    // Seven of seven against seven: 5 % of such pairs look different by chance alone when forty are looked at.
    const many = (shift: number) =>
      result(
        Array.from({ length: 40 }, (_, index) =>
          sample(`memory-${index}`, 'resident', 'MB', {
            'make-runtime': [10, 11, 12, 13, 14].map((value) => (index === 0 ? value * shift : value)),
          }),
        ),
      );
    expect(compare(many(1), many(1.5), 0.03).changes[0]?.verdict).toBe('unsure');
  });

  test('in words: what is worse comes first, and what only one has is named', () => {
    const now = result([
      sample('round-trip', 'response', 'µs', { 'make-runtime': wobble(24), floor: wobble(8) }),
      sample('init', 'wall', 'ms', { 'make-runtime': wobble(10) }),
    ]);
    const text = comparisonInWords(compare(before, now, 0.03), false);
    expect(text).toMatch(/\| round-trip +\| make-runtime +\| response .*beside floor +\| worse/);
    expect(text).toContain('init is only in the new result.');
    expect(text).toContain('1 figures: 1 worse');
  });
});
