// Two results of the same benchmark at different times: what has become worse, what better, and what nobody can say.
// Times are compared beside something that has not changed, measured in the same runs, because a machine changes too.

import { table } from './markdown.ts';
import { labelOf, type Measured, type MeasuredSubject, type Result } from './result.ts';
import type { Figure, Unit } from './scenario.ts';
import { type Interval, median, pairedRatios, quantile, type Shift, shiftBetween } from './statistics.ts';
import { number, withUnit } from './wording.ts';

export interface Change {
  readonly scenario: string;
  readonly subject: string;
  readonly figure: Figure;
  readonly before: number;
  readonly after: number;
  /** What it was divided by before it was compared, in the same runs. */
  readonly beside: string | undefined;
  /** New over old; above one is more, which is better for a rate and worse for everything else. */
  readonly ratio: number;
  /** Of this ratio alone, 95 %. */
  readonly interval: Interval;
  readonly verdict: 'worse' | 'better' | 'same' | 'unsure';
}

export interface Comparison {
  readonly changes: readonly Change[];
  /** What a reader has to know: another machine, figures that only one of both has. */
  readonly notes: readonly string[];
}

const timed: ReadonlySet<Unit> = new Set(['s', 'ms', 'µs', '/s', 'MB/s']);

interface Candidate {
  readonly scenario: string;
  readonly subject: string;
  readonly figure: Figure;
  readonly medians: readonly [number, number];
  readonly beside: string | undefined;
  readonly old: readonly number[];
  readonly now: readonly number[];
  readonly repeats: boolean;
}

/**
 * A change is called worse or better when its interval lies wholly on one side of one, although as many figures were
 * looked at as there are (each interval is as wide as that takes: Bonferroni), and when it is larger than `tolerance`.
 * Same: its own interval lies within the tolerance. Everything else is unsure.
 * @param tolerance the fraction that nobody minds, such as 0.03
 */
export function compare(before: Result, after: Result, tolerance: number): Comparison {
  const notes: string[] = [];
  const otherMachine = (['processor', 'cores', 'system'] as const).filter(
    (key) => before.machine[key] !== after.machine[key],
  );
  if (otherMachine.length > 0)
    notes.push(
      `Another machine (${otherMachine.join(', ')}): times are compared only beside something measured in the same runs.`,
    );
  const candidates: Candidate[] = [];
  const old = new Map(before.scenarios.map((measured) => [labelOf(measured), measured]));
  const runtimes = new Set(after.runtimes.map(({ name }) => name));
  const ours = new Set(after.runtimes.filter(({ kind }) => kind === 'artifact').map(({ name }) => name));
  for (const measured of after.scenarios) {
    const was = old.get(labelOf(measured));
    if (was === undefined) notes.push(`${labelOf(measured)} is only in the new result.`);
    else candidates.push(...candidatesOf(was, measured, { ours, runtimes }, otherMachine.length > 0));
  }
  const now = new Set(after.scenarios.map(labelOf));
  for (const label of old.keys()) if (!now.has(label)) notes.push(`${label} is only in the old result.`);
  const changes = candidates.map((one) => judged(one, tolerance, candidates.length));
  return { changes, notes };
}

function candidatesOf(
  was: Measured,
  is: Measured,
  { ours, runtimes }: { readonly ours: ReadonlySet<string>; readonly runtimes: ReadonlySet<string> },
  otherMachine: boolean,
): Candidate[] {
  const isOurs = (name: string): boolean => [...ours].some((one) => name === one || name.startsWith(`${one}, `));
  const named = (measured: Measured, name: string): MeasuredSubject | undefined =>
    measured.subjects.find((one) => one.name === name);
  const found: Candidate[] = [];
  for (const subject of is.subjects) {
    const earlier = named(was, subject.name);
    if (!isOurs(subject.name) || earlier === undefined) continue;
    for (const figure of is.figures) {
      const [a, b] = [earlier.samples[figure.key], subject.samples[figure.key]];
      if (a === undefined || b === undefined || a.length === 0 || b.length === 0) continue;
      const about = {
        scenario: labelOf(is),
        subject: subject.name,
        figure,
        medians: [median(a), median(b)] as const,
        repeats: is.group === 'counts',
      };
      const controls = timed.has(figure.unit)
        ? is.subjects.flatMap(({ name, samples }) => {
            const then = named(was, name)?.samples[figure.key];
            const now = samples[figure.key];
            // Plain Python is the artifact's own interpreter: it changes with what is judged.
            const own = isOurs(name) || (!runtimes.has(name) && /python/.test(name));
            if (own || then?.length !== a.length || now?.length !== b.length) return [];
            return { name, old: pairedRatios(a, then), now: pairedRatios(b, now) };
          })
        : [];
      // The steadiest: a floor of microseconds says nothing of a program of seconds, and the other way round.
      const [control] = controls.sort((x, y) => unsteadiness(x) - unsteadiness(y));
      if (control !== undefined) {
        found.push({ ...about, beside: control.name, old: control.old, now: control.now });
      } else if (!otherMachine || !timed.has(figure.unit)) {
        found.push({ ...about, beside: undefined, old: a, now: b });
      }
    }
  }
  return found;
}

const unsteadiness = (ratios: { readonly old: readonly number[]; readonly now: readonly number[] }): number =>
  Math.max(
    ...[ratios.old, ratios.now].map((values) => (quantile(values, 0.75) - quantile(values, 0.25)) / median(values)),
  );

function judged(
  { scenario, subject, figure, medians: [before, after], beside, old, now, repeats }: Candidate,
  tolerance: number,
  looks: number,
): Change {
  const alone = shiftBetween(old, now, 0.05);
  const strict = repeats ? countsAsTheyAre(old, now) : shiftBetween(old, now, 0.05 / Math.max(1, looks));
  const { ratio } = alone;
  const { low, high } = strict.interval;
  let verdict: Change['verdict'] = 'unsure';
  if (low > 1 && ratio > 1 + tolerance) verdict = figure.more === true ? 'better' : 'worse';
  else if (high < 1 && ratio < 1 / (1 + tolerance)) verdict = figure.more === true ? 'worse' : 'better';
  else if (alone.interval.low >= 1 / (1 + tolerance) && alone.interval.high <= 1 + tolerance) verdict = 'same';
  else if (repeats && low >= 1 / (1 + tolerance) && high <= 1 + tolerance) verdict = 'same';
  const interval = repeats && !Number.isFinite(alone.interval.high) ? strict.interval : alone.interval;
  return { scenario, subject, figure, before, after, beside, ratio, interval, verdict };
}

/** System calls and instructions repeat, so that the range of a few stands for all. */
function countsAsTheyAre(old: readonly number[], now: readonly number[]): Shift {
  const low = Math.min(...now) / Math.max(...old);
  const high = Math.max(...now) / Math.min(...old);
  return { ratio: median(now) / median(old), interval: { low, high } };
}

const words = {
  worse: 'worse',
  better: 'better',
  same: 'the same',
  unsure: 'the noise is larger than the difference',
} as const;

/** A table for people: first what is worse, then what is better; the rest is counted, and shown when asked for. */
export function comparisonInWords({ changes, notes }: Comparison, all: boolean): string {
  const order = ['worse', 'better', 'unsure', 'same'] as const;
  const shown = order
    .flatMap((verdict) => changes.filter((change) => change.verdict === verdict))
    .filter(({ verdict }) => all || verdict === 'worse' || verdict === 'better');
  const rows = shown.map(({ scenario, subject, figure, before, after, beside, ratio, interval, verdict }) => [
    scenario,
    subject,
    figure.title,
    withUnit(before, figure.unit),
    withUnit(after, figure.unit),
    `${number(ratio)} (${number(interval.low)} to ${number(interval.high)})${beside === undefined ? '' : `, beside ${beside}`}`,
    words[verdict],
  ]);
  const count = (verdict: Change['verdict']): number => changes.filter((one) => one.verdict === verdict).length;
  return [
    ...(rows.length === 0
      ? []
      : [...table(['benchmark', 'runtime', 'figure', 'before', 'after', 'after / before', ''], rows), '']),
    `${changes.length} figures: ${count('worse')} worse, ${count('better')} better, ${count('same')} the same, ${count('unsure')} that cannot be told from noise.`,
    ...(count('unsure') > 0 ? ['More --runs tell more of them.'] : []),
    ...notes,
  ].join('\n');
}
