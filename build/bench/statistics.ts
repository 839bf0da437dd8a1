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

export interface Shift {
  /** How many times as much the values of `b` are as those of `a`: the median of all quotients (Hodges and Lehmann). */
  readonly ratio: number;
  /** Where that lies, with the asked confidence; from 0 to infinity when there are too few values to say. */
  readonly interval: Interval;
}

/**
 * Two samples that were not taken side by side, compared without assuming a distribution: the interval is what the rank
 * test of Mann and Whitney does not reject.
 * @param alpha how often the interval may be wrong
 */
export function shiftBetween(a: readonly number[], b: readonly number[], alpha: number): Shift {
  const quotients = b.flatMap((value) => a.map((base) => (value === base ? 1 : value / base))).sort((x, y) => x - y);
  const skipped = leastRank(a.length, b.length, alpha / 2);
  return {
    ratio: median(quotients),
    interval: {
      low: skipped === 0 ? 0 : (quotients[skipped - 1] as number),
      high: skipped === 0 ? Number.POSITIVE_INFINITY : (quotients[quotients.length - skipped] as number),
    },
  };
}

/** The largest k with P(U < k) <= tail, where U is Mann and Whitney's statistic of n and m values: exactly. */
export function leastRank(n: number, m: number, tail: number): number {
  if (n === 0 || m === 0) return 0;
  // How many of the arrangements have U = u: the coefficients of a Gaussian binomial, divided by their number.
  let ways = [1];
  for (let i = 1; i <= n; i += 1) {
    const grown = new Array<number>(ways.length + m).fill(0);
    for (let u = 0; u < grown.length; u += 1) {
      grown[u] = (ways[u] ?? 0) - (ways[u - m - i] ?? 0) + (grown[u - i] ?? 0);
    }
    // Each factor is a polynomial with as many arrangements as it has steps: kept a probability, so that it cannot overflow.
    ways = grown.map((value) => (value * i) / (m + i));
  }
  let below = 0;
  for (let u = 0; u < ways.length; u += 1) {
    below += Math.max(0, ways[u] as number);
    if (below > tail) return u;
  }
  return ways.length;
}
