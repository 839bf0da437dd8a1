// Numbers and verdicts in words, the same in tables, charts and comparisons. Refuses to know where they are shown.
import type { MeasuredGoal, Result } from './result.ts';
import type { Unit } from './scenario.ts';
import { quantile } from './statistics.ts';

/** Three digits that count. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const size = Math.abs(value);
  const text = value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
  return Number(text) === 0 ? text.replace('-', '') : text;
}

export const withUnit = (value: number, unit: Unit): string =>
  unit === '' ? number(value) : `${number(value)} ${unit}`;

export const spread = (values: readonly number[]): string =>
  `${number(quantile(values, 0.1))} to ${number(quantile(values, 0.9))}`;

/** A ratio or figure, what it should be, and what is to be said of it, a cell each. */
export function goalCells(
  { what, lessFloor, measured, interval, target, verdict }: MeasuredGoal,
  runs: number,
): string[] {
  // Fewer than six values have no interval of 95 %: what is shown is their range.
  const always = runs < 6 ? (runs === 1 ? ', in one run' : `, in all ${runs} runs`) : '';
  const said = { met: `met${always}`, missed: `missed${always}`, unsure: 'the noise is larger than the difference' };
  return [
    lessFloor === undefined ? what : `${what}, both less ${lessFloor}`,
    number(measured),
    runs === 1 ? '' : `${number(interval.low)} to ${number(interval.high)}`,
    target === undefined ? '' : `${target.bound} ${number(target.value)}`,
    verdict === undefined ? '' : said[verdict],
  ];
}

export const runsInWords = (runs: number): string => (runs === 1 ? 'One run.' : `${runs} runs.`);

/** What was measured, where, when and how: the line without which a figure is worth nothing. */
export function provenance({ command, runtimes, machine, date, load, version }: Result): string {
  const [first] = runtimes;
  const what = first === undefined ? '' : ` of ${first.identity} (CPython ${first.python})`;
  const where = `${machine.processor}, ${machine.cores} cores, ${machine.system}, Linux ${machine.kernel}`;
  const busy = `load average ${load[0].toFixed(1)} before and ${load[1].toFixed(1)} after`;
  return `\`${command}\`${what} on ${where}, ${date.slice(0, 10)}, ${busy}, make-runtime ${version}.`;
}

/** Things of one kind under a heading each, in the order in which they first come. */
export function grouped<T>(all: readonly T[], by: (one: T) => string): [string, T[]][] {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(by(one), [...(groups.get(by(one)) ?? []), one]);
  return [...groups];
}
