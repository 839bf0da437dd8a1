// What a benchmark has found, as data: what --json prints, --out keeps, and reports and comparisons read.
// Refuses to know how it was measured and how it is shown.
import { readFile } from 'node:fs/promises';
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Conditions } from './conditions.ts';
import type { Cell, Figure, Goal, Group } from './scenario.ts';
import type { Interval } from './statistics.ts';

/** One number per run, in the order of the runs, in the figure's unit. */
export type Samples = readonly number[];

export interface MeasuredGoal {
  readonly what: string;
  readonly of: Cell;
  readonly to: Cell | undefined;
  /** What was taken off both sides, if anything. */
  readonly lessFloor: string | undefined;
  readonly measured: number;
  readonly interval: Interval;
  readonly target: Goal['target'];
  /** `unsure`: the interval reaches to both sides of the target. Absent where nothing is promised. */
  readonly verdict: 'met' | 'missed' | 'unsure' | undefined;
}

export interface MeasuredSubject {
  readonly name: string;
  readonly samples: Readonly<Record<string, Samples>>;
  /** With a cold page cache: MB of its files, and how much of that the kernel kept nevertheless, at most. */
  readonly evicted?: { readonly size: number; readonly left: number };
}

export interface Measured {
  readonly scenario: string;
  readonly group: Group;
  readonly handler?: string;
  readonly overview: readonly string[];
  readonly conditions: Conditions;
  readonly title: string;
  readonly how: string;
  readonly runs: number;
  readonly figures: readonly Figure[];
  readonly subjects: readonly MeasuredSubject[];
  readonly goals: readonly MeasuredGoal[];
  /** Who could not take part, and why. */
  readonly left: readonly string[];
}

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly system: string;
  readonly kernel: string;
}

export interface Result {
  /** Raised when a reader of the old shape would misunderstand the new one. */
  readonly format: 'make-runtime-bench/1';
  /** When it began, ISO 8601. */
  readonly date: string;
  readonly command: string;
  readonly version: string;
  readonly machine: Machine;
  /** Of the last minute, before and after: more than about one is other people's work, and noise in the figures. */
  readonly load: readonly [number, number];
  readonly runtimes: readonly {
    readonly name: string;
    readonly kind: string;
    readonly python: string;
    readonly identity: string;
  }[];
  readonly scenarios: readonly Measured[];
  readonly notes: readonly string[];
}

/** What a scenario is called in a result that has several conditions of it. */
export function labelOf({ scenario, conditions: { cold, memory } }: Pick<Measured, 'scenario' | 'conditions'>): string {
  const words = [...(memory === undefined ? [] : [`${memory} MB`]), ...(cold ? ['cold'] : [])];
  return words.length === 0 ? scenario : `${scenario} (${words.join(', ')})`;
}

/** @throws ARTIFACT_NOT_FOUND, BENCH_RESULT_INVALID */
export async function readResult(path: string): Promise<Result> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'), (_, one) => (one === null ? Number.NaN : one));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new MakeRuntimeError('ARTIFACT_NOT_FOUND', `There is no file ${path}.`, { cause: error });
    throw invalid(path, error);
  }
  const result = value as Partial<Result> | null;
  if (result?.format !== 'make-runtime-bench/1' || !Array.isArray(result.scenarios) || !Array.isArray(result.load))
    throw invalid(path);
  return result as Result;
}

const invalid = (path: string, cause?: unknown): MakeRuntimeError =>
  new MakeRuntimeError('BENCH_RESULT_INVALID', `${path} is not a result of this version's benchmark.`, {
    remedy: 'Results are written by `make-runtime bench --out FILE`.',
    ...(cause === undefined ? {} : { cause }),
  });
