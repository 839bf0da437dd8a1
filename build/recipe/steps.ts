// The steps of a build, in order, as the plan prints them.
import type { Plan } from './model.ts';

export interface Step {
  readonly name: string;
  readonly does: string;
}

const steps: readonly Step[] = [
  { name: 'sources', does: 'Fetch CPython from the first mirror that has the right bytes, check size and sha256.' },
  { name: 'libraries', does: 'Compile every C library that is not in the cache yet, each on its own.' },
  {
    name: 'build-python',
    does: 'Compile a small CPython of the same version for the builder, which does there what the target cannot.',
  },
  { name: 'train', does: 'Compile with counters, run the training program, keep what was counted.' },
  { name: 'compile', does: 'Configure and compile CPython with the flags above, install it into a staging folder.' },
  { name: 'link', does: 'Link interpreter, extension modules, libraries and the Runtime API client into one file.' },
  { name: 'tree', does: 'Drop what the prune rules name, compile .pyc files that never look at their source.' },
  { name: 'package', does: 'Write layer.zip: sorted, fixed dates and modes, so the same plan gives the same bytes.' },
  { name: 'verify', does: 'Prove that it will run on Lambda: ELF, glibc, every stdlib import, sizes, determinism.' },
];

/** The steps of one plan. */
export function stepsOf(plan: Plan): readonly Step[] {
  const without = [
    ...(plan.libraries.some(({ origin }) => origin === 'source') ? [] : ['libraries']),
    ...(plan.builder.cross ? [] : ['build-python']),
    ...(plan.profiling && plan.profiling.data === undefined ? [] : ['train']),
  ];
  return steps.filter(({ name }) => !without.includes(name));
}
