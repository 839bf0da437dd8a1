// Medians, intervals and verdicts, against figures from a table of the binomial distribution.
import { expect, test } from 'vitest';
import { judge } from '../../build/bench/run.ts';
import type { Goal } from '../../build/bench/scenario.ts';
import { intervalOfMedian, median, pairedRatios, quantile } from '../../build/bench/statistics.ts';

const upTo = (n: number): number[] => Array.from({ length: n }, (_, index) => n - index);

test('medians and quantiles', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(quantile(upTo(11), 0.1)).toBe(2);
  expect(median([])).toBeNaN();
});

// Conover, Practical Nonparametric Statistics, table A3: the ranks of a 95 % interval for the median of n values.
test.each([
  [5, 1, 5],
  [6, 1, 6],
  [9, 2, 8],
  [10, 2, 9],
  [15, 4, 12],
  [20, 6, 15],
  [25, 8, 18],
  [30, 10, 21],
  [40, 14, 27],
])('the median of %i values lies between the ranks %i and %i', (n, low, high) => {
  expect(intervalOfMedian(upTo(n))).toEqual({ low, high });
});

test('ratios are of neighbours, so that a machine that slows down does not tilt them', () => {
  expect(median(pairedRatios([1, 2, 4, 8], [2, 4, 8, 16]))).toBe(0.5);
});

const samples: Record<string, number[]> = {
  ours: [10, 11, 12, 10, 11, 12],
  theirs: [100, 101, 102, 100, 101, 102],
  floor: [5, 5, 5, 5, 5, 5],
  noisy: [20, 60, 200, 40, 100, 90],
};
const verdict = (of: string, to: string | undefined, value: number, more: Partial<Goal> = {}) =>
  judge(
    {
      what: 'x',
      of: { subject: of, figure: 'f' },
      ...(to === undefined ? {} : { to: { subject: to, figure: 'f' } }),
      target: { bound: 'at most', value },
      ...more,
    },
    ({ subject }) => samples[subject] ?? [],
  );

test('a target is met, missed, or lost in the noise', () => {
  expect(verdict('ours', 'theirs', 0.125).verdict).toBe('met');
  expect(verdict('ours', 'theirs', 0.05).verdict).toBe('missed');
  expect(verdict('ours', 'noisy', 0.125).verdict).toBe('unsure');
  expect(verdict('ours', undefined, 11.5).verdict).toBe('unsure');
  expect(verdict('theirs', 'ours', 0, { target: { bound: 'at least', value: 8 } }).verdict).toBe('met');
  const { target: _, ...promisesNothing } = { what: 'x', of: { subject: 'ours', figure: 'f' }, target: undefined };
  expect(judge(promisesNothing, () => [1]).verdict).toBeUndefined();
});

test('the floor is taken off both sides', () => {
  const { measured } = verdict('ours', 'theirs', 1, { lessFloor: 'floor' });
  expect(measured).toBeCloseTo(6 / 96, 2);
});
