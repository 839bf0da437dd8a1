// Results as a benchmark would have made them, for what reads them.
import type { Machine, Measured, Result } from '../../../build/bench/result.ts';
import type { Unit } from '../../../build/bench/scenario.ts';

export function sample(
  scenario: string,
  key: string,
  unit: Unit,
  subjects: Readonly<Record<string, readonly number[]>>,
  more = false,
): Measured {
  return {
    scenario,
    group: scenario.startsWith('counts') ? 'counts' : 'warm',
    handler: 'trivial',
    overview: [key],
    conditions: { cold: false },
    title: `The ${scenario}`,
    how: 'From `one` to <two>.',
    runs: Object.values(subjects)[0]?.length ?? 0,
    figures: [{ key, title: key, unit, ...(more ? { more } : {}) }],
    subjects: Object.entries(subjects).map(([name, values]) => ({ name, samples: { [key]: values } })),
    goals: [],
    left: [],
  };
}

export function result(scenarios: readonly Measured[], machine: Partial<Machine> = {}): Result {
  return {
    format: 'make-runtime-bench/1',
    date: '2026-11-21T12:00:00.000Z',
    command: 'make-runtime bench --runs 20',
    version: '0.1.0',
    machine: { processor: 'A processor', cores: 2, system: 'Debian', kernel: '6.1', ...machine },
    load: [0.5, 1],
    runtimes: [
      { name: 'make-runtime', kind: 'artifact', python: '3.13.15t', identity: 'python3.13t-x86_64-fast, plan 0123' },
    ],
    scenarios,
    notes: [],
  };
}
