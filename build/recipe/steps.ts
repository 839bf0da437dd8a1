// The steps of a build, in order, as the plan prints them.

export interface Step {
  readonly name: string;
  readonly does: string;
}

export const steps: readonly Step[] = [
  { name: 'sources', does: 'Fetch CPython from the first mirror that has the right bytes, check size and sha256.' },
  { name: 'compile', does: 'Configure and compile CPython with the flags above, install it into a staging folder.' },
  { name: 'link', does: 'Link interpreter, extension modules, libraries and the Runtime API client into one file.' },
  { name: 'tree', does: 'Drop what the prune rules name, compile .pyc files that never look at their source.' },
  { name: 'package', does: 'Write layer.zip: sorted, fixed dates and modes, so the same plan gives the same bytes.' },
  { name: 'verify', does: 'Prove that it will run on Lambda: ELF, glibc, every stdlib import, sizes, determinism.' },
];
