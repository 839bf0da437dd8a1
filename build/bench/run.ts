// Takes a scenario's samples. Every run starts each subject once, one after the other, so that a machine whose speed
// drifts slows all alike; the first round warms caches and is not counted.
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import type { Conditions } from './conditions.ts';
import { runSteps, type StepResult, type Surroundings } from './harness.ts';
import type { Measured, MeasuredGoal, Samples } from './result.ts';
import type { Cell, Goal, Scenario, Subject, Trial, Unit } from './scenario.ts';
import { intervalOfMedian, median, pairedRatios } from './statistics.ts';
import type { Workbench } from './workbench.ts';

/** How many of the harness's units (ns, kB) are one of a figure's. A MB is Lambda's: 1024 kB of 1024 bytes. */
const scale: Readonly<Record<Unit, number>> = {
  s: 1e9,
  ms: 1e6,
  µs: 1e3,
  MB: 1024,
  million: 1e6,
  'MB/s': 1,
  '/s': 1,
  x: 1,
  '': 1,
};

/** One name may have several subjects: programs of which each gives some of its figures. */
interface Taken {
  readonly name: string;
  readonly samples: Record<string, number[]>;
  size: number;
  left: number;
}

/**
 * @param asked runs; the scenario takes its share of them
 * @param group a control group, when the processor is limited
 * @returns undefined when the scenario makes no sense for this build
 */
export async function measure(
  scenario: Scenario,
  bench: Workbench,
  asked: number,
  { conditions, group }: { readonly conditions: Conditions; readonly group: string | undefined },
  ctx: Context,
): Promise<Measured | undefined> {
  const trial = await scenario.prepare(bench);
  if (trial === undefined) return undefined;
  const { name, title, how, group: kind, handler, overview = [] } = scenario;
  const about = { scenario: name, group: kind, ...(handler && { handler }), overview, conditions, title, how };
  if (!('subjects' in trial))
    return { ...about, runs: 0, figures: [], subjects: [], goals: [], left: trial.left ?? [] };
  const runs = Math.max(1, Math.round(asked / scenario.share));
  const around: Surroundings = { cold: conditions.cold, ...(group === undefined ? {} : { cgroup: group }) };
  const { taken, left } = await takeSamples(trial, runs, scenario, bench, { conditions, around }, ctx);
  const samplesOf = ({ subject, figure }: Cell): Samples =>
    taken.find((one) => one.name === subject)?.samples[figure] ?? [];
  const there = new Set(taken.map((one) => one.name));
  const goals = trial.goals
    .filter(({ of, to }) => there.has(of.subject) && (to === undefined || there.has(to.subject)))
    .map((goal) => judge(goal, samplesOf));
  const subjects = taken.map(({ name: subject, samples, size, left: kept }) => ({
    name: subject,
    samples,
    ...(conditions.cold && size > 0 ? { evicted: { size: size / 1024 / 1024, left: kept / 1024 / 1024 } } : {}),
  }));
  return { ...about, runs, figures: trial.figures, subjects, goals, left: [...(trial.left ?? []), ...left] };
}

async function takeSamples(
  trial: Trial,
  runs: number,
  { name, warmUp }: Scenario,
  bench: Workbench,
  { conditions, around }: { readonly conditions: Conditions; readonly around: Surroundings },
  ctx: Context,
): Promise<{ taken: readonly Taken[]; left: readonly string[] }> {
  const unit = new Map<string, Unit>(trial.figures.map((figure) => [figure.key, figure.unit]));
  const taken = new Map<string, Taken>();
  const left: string[] = [];
  let present = trial.subjects;
  const first = warmUp === false ? 0 : -1;
  for (let run = first; run < runs; run += 1) {
    for (const subject of present) {
      throwIfCancelled(ctx.signal);
      const { name: who, steps } = subject;
      let results: readonly StepResult[];
      try {
        results = await runSteps(bench.tools, withMemory(subject.command, conditions), trial.event, steps, ctx, around);
      } catch (error) {
        if (run > first || subject.optional !== true) throw error;
        throwIfCancelled(ctx.signal);
        present = present.filter((one) => one.name !== who);
        left.push(`${who}: ${(error as Error).message}`);
        continue;
      }
      const figures = await subject.read(results);
      if (run < 0) continue;
      const mine = taken.get(who) ?? { name: who, samples: {}, size: 0, left: 0 };
      taken.set(who, mine);
      for (const [key, value] of Object.entries(figures)) {
        mine.samples[key] ??= [];
        mine.samples[key].push(value / scale[unit.get(key) ?? '']);
      }
      for (const step of results) {
        if (step.step !== 'evict') continue;
        mine.size = Math.max(mine.size, step.bytes);
        mine.left = Math.max(mine.left, step.left);
      }
    }
    const done = `${name}: ${run + 1} of ${runs}`;
    ctx.report({ type: 'progress', stage: 'bench', text: run < 0 ? `${name}: warming up` : done });
  }
  const { derive } = trial;
  if (derive !== undefined) {
    for (const one of taken.values()) {
      for (const [key, values] of Object.entries(derive(one.samples)))
        one.samples[key] = values.map((value) => value / scale[unit.get(key) ?? '']);
    }
  }
  // What only led to other figures is not kept.
  for (const { samples } of taken.values())
    for (const key of Object.keys(samples)) if (!unit.has(key)) delete samples[key];
  return { taken: [...taken.values()], left };
}

/** A function may read its size, and some libraries do. */
function withMemory(command: Subject['command'], { memory }: Conditions): Subject['command'] {
  if (memory === undefined || command.env['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'] === undefined) return command;
  return { ...command, env: { ...command.env, AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memory) } };
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
  return { what, of, to, lessFloor, measured: median(values), interval, target, verdict };
}
