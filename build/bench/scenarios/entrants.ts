// What most scenarios have in common: every runtime that can run a function becomes a subject, every artifact is compared
// with AWS's client on its own interpreter, and the first with everybody else. Refuses to know what is measured.
import { isMakeRuntimeError } from '../../lib/errors.ts';
import type { Env, Runtime } from '../runtimes/runtime.ts';
import type { Goal, Subject } from '../scenario.ts';
import type { Workbench } from '../workbench.ts';
import { functionOf, type Handler } from './handlers.ts';

/** A runtime with its function at hand. */
export interface Ready {
  readonly runtime: Runtime;
  start(env?: Env): Subject['command'];
}

/** @returns those that can run the handler; what the others lack, in words */
export async function readyFor(
  bench: Workbench,
  handler: Handler,
): Promise<{ readonly ready: readonly Ready[]; readonly left: readonly string[] }> {
  const ready: Ready[] = [];
  const left: string[] = [];
  for (const runtime of bench.runtimes) {
    try {
      const code = await functionOf(runtime, handler);
      ready.push({ runtime, start: (env) => runtime.start(code, env) });
    } catch (error) {
      // A package without a wheel for one Python is no reason to measure nobody.
      if (!isMakeRuntimeError(error) || error.code !== 'SOURCE_UNREACHABLE' || runtime === bench.first) throw error;
      left.push(`${runtime.name}: ${error.message}`);
    }
  }
  return { ready, left };
}

type Rest = Pick<Goal, 'target' | 'lessFloor'>;

/**
 * @param names who takes part
 * @param word what the figure is called in a ratio
 * @param rest a target, which is for the pairs alone, and a floor
 * @param subject what a runtime's subject is called, where it is not called as the runtime
 */
export function ratios(
  bench: Workbench,
  names: ReadonlySet<string>,
  figure: string,
  word: string,
  rest: Rest = {},
  subject: (runtime: string) => string = (runtime) => runtime,
): Goal[] {
  const goals: Goal[] = [];
  const several = bench.pairs.length > 1;
  const compare = (one: string, two: string, options: Rest): void => {
    const ours = subject(one);
    const other = subject(two);
    if (!names.has(ours) || !names.has(other)) return;
    const what = several ? `${ours}: ${word} / ${other}` : `${word} / ${other}`;
    goals.push({ what, of: { subject: ours, figure }, to: { subject: other, figure }, ...options });
  };
  for (const { ours, client } of bench.pairs) if (client !== undefined) compare(ours.name, client.name, rest);
  const { target: _, ...promisesNothing } = rest;
  const paired = bench.pairs[0]?.client;
  for (const other of bench.runtimes)
    if (other !== bench.first && other !== paired) compare(bench.first.name, other.name, promisesNothing);
  return goals;
}

export const namesOf = (subjects: readonly { readonly name: string }[]): ReadonlySet<string> =>
  new Set(subjects.map(({ name }) => name));
