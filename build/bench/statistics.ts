// Medians, intervals and ratios of samples. No distribution is assumed: times have long tails.
// Refuses to know what was measured.

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear interpolation between the nearest ranks; NaN for no values. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * fraction;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Where the median lies, with a confidence of at least 95 %: between the order statistics that a binomial distribution
 * of "below or above" allows. With fewer than six values there is no such interval, and the whole range is given.
 */
export function intervalOfMedian(values: readonly number[]): Interval {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  if (n === 0) return { low: Number.NaN, high: Number.NaN };
  // The largest k with P(Binomial(n, 1/2) < k) <= 0.025.
  let k = 0;
  let term = 0.5 ** n;
  for (let below = term; below <= 0.025 && k < Math.floor((n - 1) / 2); below += term) {
    k += 1;
    term *= (n - k + 1) / k;
  }
  const skipped = Math.max(0, k - 1);
  return { low: sorted[skipped] as number, high: sorted[n - 1 - skipped] as number };
}

/** a[i] / b[i]: the quotients of neighbours in time, whose median a machine that drifts does not tilt. */
export function pairedRatios(a: readonly number[], b: readonly number[]): number[] {
  return a.slice(0, b.length).map((value, index) => value / (b[index] as number));
}
