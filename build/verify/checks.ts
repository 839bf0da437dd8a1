// The verify stage: every check over one layer, and the verdict. The list is the story; each group has a file.
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import { type Code, codeChecks } from './code-checks.ts';
import { elfChecks } from './elf-checks.ts';
import { layoutChecks, zipChecks } from './layout-checks.ts';
import { readInventory } from './libraries.ts';
import type { FactsOutput } from './probes.ts';
import { pycChecks } from './pyc-checks.ts';
import { askFacts, runChecks, runnable } from './run-checks.ts';
import type { Runner } from './runner.ts';
import type { Subject } from './subject.ts';
import type { Finding, Verdict } from './verdict.ts';

export interface VerifyOptions {
  /** Where to run the layer's interpreter; without it only the files are judged, and the verdict says so. */
  readonly runner?: Runner;
  /** What this machine can run, as process.arch says it. */
  readonly hostArch?: string;
  /** A function or a layer of packages that shall run on it. */
  readonly code?: Code;
}

/**
 * Judges a layer: files first, then what running its interpreter shows. All findings are collected; nothing is thrown
 * for a layer that is merely bad. Throws CANCELLED.
 */
export async function verify(
  subject: Subject,
  ctx: Pick<Context, 'packageDir' | 'signal' | 'report'>,
  { runner, hostArch = process.arch, code }: VerifyOptions = {},
): Promise<Verdict> {
  const progress = (text: string): void => {
    throwIfCancelled(ctx.signal);
    ctx.report({ type: 'progress', stage: 'verify', text });
  };
  progress('layout');
  const findings: Finding[] = [...(await layoutChecks(subject))];
  progress('zip');
  findings.push(...(await zipChecks(subject, ctx.signal)));
  progress('ELF files');
  const inventory = subject.arch ? await readInventory(ctx.packageDir, subject.arch) : new Map();
  findings.push(...elfChecks(subject, inventory));
  progress('interpreter');
  const interpreter = runnable(subject, runner, hostArch);
  let facts: FactsOutput | undefined;
  if (typeof interpreter === 'string') findings.push({ check: 'run.skipped', level: 'note', message: interpreter });
  else {
    const answer = await askFacts(interpreter);
    if ('check' in answer) findings.push(answer);
    else {
      facts = answer;
      findings.push(...(await runChecks(subject, interpreter, facts)));
    }
  }
  const magic = typeof facts?.magic === 'number' ? facts.magic : undefined;
  findings.push(...pycChecks(subject, magic));
  if (code) findings.push(...(await codeChecks(code, subject, magic)));
  throwIfCancelled(ctx.signal);
  const ok = findings.every(({ level }) => level !== 'fail');
  return { artifact: subject.name, arch: subject.arch, ok, findings };
}
