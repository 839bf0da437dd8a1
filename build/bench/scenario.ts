// What a benchmark is, as data: who is started, what is done to each, what is read off, and what it should come to.
// Scenarios (scenarios/*.ts) make these values, run.ts obeys them, report.ts words them. Refuses to know how a runtime
// is started (runtimes/) and how time is taken (native/harness.c).
import type { Command, StepResult } from './harness.ts';
import type { Workbench } from './workbench.ts';

export interface Subject {
  readonly name: string;
  readonly command: Command;
  /** The harness's words: `['ready', 1, 'trips', 20]`. */
  readonly steps: readonly (string | number)[];
  /** What is read off one run: figures by key, in nanoseconds, kB or whatever the figure's unit scales. */
  readonly read: (results: readonly StepResult[]) => Figures | Promise<Figures>;
  /** Who cannot do it is left out with what was said; of others it is an error. */
  readonly optional?: boolean;
}

export type Figures = Readonly<Record<string, number>>;

export type Unit = 'ms' | 'µs' | 's' | 'MB' | 'MB/s' | '/s' | 'million' | 'x' | '';

export interface Figure {
  readonly key: string;
  readonly title: string;
  readonly unit: Unit;
  /** More is better: rates. Everything else is better when it is less. */
  readonly more?: boolean;
}

/** A figure of a subject, in a table's cell. */
export interface Cell {
  readonly subject: string;
  readonly figure: string;
}

/** Something that the measurements should come to. Without `to` it is a figure by itself, in its unit. */
export interface Goal {
  readonly what: string;
  readonly of: Cell;
  readonly to?: Cell;
  /** A subject that does nothing of its own: its figure is taken off both, so that what is left is the runtimes'. */
  readonly lessFloor?: string;
  /** Absent: shown, and nothing is promised. */
  readonly target?: { readonly bound: 'at most' | 'at least'; readonly value: number };
}

export interface Trial {
  readonly event: string;
  readonly subjects: readonly Subject[];
  readonly figures: readonly Figure[];
  readonly goals: readonly Goal[];
  /** Figures of a subject that follow from others, run by run. */
  readonly derive?: (
    samples: Readonly<Record<string, readonly number[]>>,
  ) => Readonly<Record<string, readonly number[]>>;
  /** Who could not take part, and why. */
  readonly left?: readonly string[];
}

export const groups = ['cold', 'warm', 'throughput', 'memory', 'counts', 'special', 'aws'] as const;
export type Group = (typeof groups)[number];

export interface Scenario {
  readonly name: string;
  readonly group: Group;
  /** The handler's row in the overview; absent: it has none there. */
  readonly handler?: string;
  /** The keys of figures that stand in the overview. */
  readonly overview?: readonly string[];
  readonly title: string;
  /** One or two sentences: what is done, from where to where. */
  readonly how: string;
  /** How many of the asked runs it takes: long ones need fewer. */
  readonly share: number;
  /** False: what is read off does not depend on what is in a cache. */
  readonly warmUp?: false;
  /** Undefined: it makes no sense for this build. Only `left`: what it takes is not here. */
  readonly prepare: (bench: Workbench) => Promise<Trial | Pick<Trial, 'left'> | undefined>;
}

/** The nth result of a kind of step. */
export function stepOf<K extends StepResult['step']>(
  results: readonly StepResult[],
  step: K,
  nth = 0,
): Extract<StepResult, { step: K }> {
  const found = results.filter((one): one is Extract<StepResult, { step: K }> => one.step === step)[nth];
  if (found === undefined) throw new Error(`the harness has no ${step} number ${nth}`);
  return found;
}
