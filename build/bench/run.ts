// Takes a scenario's samples. Every run starts each subject once, one after the other, so that a machine whose speed
// drifts slows all alike; the first round warms caches and is not counted.
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import { runSteps } from './harness.ts';
import type { Cell, Goal, Scenario, Trial, Unit } from './scenario.ts';
import { type Interval, intervalOfMedian, median, pairedRatios } from './statistics.ts';
import type { Workbench } from './workbench.ts';

/** One number per run, in the order of the runs, in the figure's unit. */
export type Samples = readonly number[];

export interface MeasuredGoal {
  readonly what: string;
  /** What was taken off both sides, if anything. */
  readonly lessFloor: string | undefined;
  readonly measured: number;
  readonly interval: Interval;
  readonly target: Goal['target'];
  /** `unsure`: the interval reaches to both sides of the target. Absent where nothing is promised. */
  readonly verdict: 'met' | 'missed' | 'unsure' | undefined;
}

export interface Measured {
  readonly scenario: string;
  readonly title: string;
  readonly how: string;
  readonly runs: number;
  readonly figures: Trial['figures'];
  readonly subjects: readonly { readonly name: string; readonly samples: Readonly<Record<string, Samples>> }[];
  readonly goals: readonly MeasuredGoal[];
}

/** How many of the harness's units (ns, kB) are one of a figure's. A MB is Lambda's: 1024 kB of 1024 bytes. */
const scale: Readonly<Record<Unit, number>> = { s: 1e9, ms: 1e6, µs: 1e3, MB: 1024, 'MB/s': 1, x: 1, '': 1 };

/** @returns undefined when the scenario makes no sense for this build */
export async function measure(
  scenario: Scenario,
  bench: Workbench,
  asked: number,
  ctx: Context,
): Promise<Measured | undefined> {
  const trial = await scenario.prepare(bench);
  if (trial === undefined) return undefined;
  const runs = Math.max(1, Math.round(asked / scenario.share));
  const unit = new Map(trial.figures.map((figure) => [figure.key, figure.unit]));
  const taken = trial.subjects.map(({ name }) => ({ name, samples: {} as Record<string, number[]> }));
  for (let run = -1; run < runs; run += 1) {
    for (const [index, subject] of trial.subjects.entries()) {
      throwIfCancelled(ctx.signal);
      const results = await runSteps(bench.tools, subject.command, trial.event, subject.steps, ctx);
      if (run < 0) continue;
      const samples = taken[index]?.samples as Record<string, number[]>;
      for (const [key, value] of Object.entries(subject.read(results))) {
        samples[key] ??= [];
        samples[key].push(value / scale[unit.get(key) ?? '']);
      }
    }
    const done = `${scenario.name}: ${run + 1} of ${runs}`;
    ctx.report({ type: 'progress', stage: 'bench', text: run < 0 ? `${scenario.name}: warming up` : done });
  }
  const samplesOf = ({ subject, figure }: Cell): Samples =>
    taken.find(({ name }) => name === subject)?.samples[figure] ?? [];
  const { name, title, how } = scenario;
  const goals = trial.goals.map((goal) => judge(goal, samplesOf));
  return { scenario: name, title, how, runs, figures: trial.figures, subjects: taken, goals };
}

export function judge(goal: Goal, samplesOf: (cell: Cell) => Samples): MeasuredGoal {
  const { what, of, to, lessFloor, target } = goal;
  const above = (cell: Cell): Samples => {
    const samples = samplesOf(cell);
    if (lessFloor === undefined) return samples;
    const floor = samplesOf({ subject: lessFloor, figure: cell.figure });
    return samples.map((value, index) => value - (floor[index] ?? Number.NaN));
  };
  const values = to === undefined ? above(of) : pairedRatios(above(of), above(to));
  const interval = intervalOfMedian(values);
  const within = (value: number): boolean =>
    target !== undefined && (target.bound === 'at most' ? value <= target.value : value >= target.value);
  const [low, high] = [within(interval.low), within(interval.high)];
  const verdict = target === undefined ? undefined : low && high ? 'met' : low || high ? 'unsure' : 'missed';
  return { what, lessFloor, measured: median(values), interval, target, verdict };
}
