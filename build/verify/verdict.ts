// What the checks say, and what it amounts to: findings, the verdict over them, and the error a failed verdict is.
// It knows no check and no file format.
import { type ErrorCode, MakeRuntimeError } from '../lib/errors.ts';
import type { Arch } from '../recipe/model.ts';

/** `fail`: it will not run or not as promised. `warn`: somebody should look. `note`: worth knowing. */
type Level = 'fail' | 'warn' | 'note' | 'pass';

export interface Finding {
  /** Group and name, stable: "elf.glibc". */
  readonly check: string;
  readonly level: Level;
  /** One sentence that names file, expectation and fact. */
  readonly message: string;
  readonly remedy?: string;
  /** The error a verdict becomes because of this finding; VERIFY_FAILED when absent. */
  readonly code?: Extract<ErrorCode, 'ARTIFACT_WRONG_ARCH' | 'ARTIFACT_GLIBC_TOO_NEW'>;
}

export interface Verdict {
  readonly artifact: string;
  /** What the layer is for: asked for, recorded in it, or read off its interpreter. */
  readonly arch: Arch | undefined;
  /** True when no finding is a failure. */
  readonly ok: boolean;
  readonly findings: readonly Finding[];
}

/** Wrong architecture first: it makes most other failures meaningless. */
const precedence = ['ARTIFACT_WRONG_ARCH', 'ARTIFACT_GLIBC_TOO_NEW'] as const;

/** The error to end with, or undefined when the verdict is good. All failures are in its detail, one per line. */
export function verdictError(verdict: Verdict): MakeRuntimeError | undefined {
  const failures = verdict.findings.filter(({ level }) => level === 'fail');
  const code = precedence.find((one) => failures.some((failure) => failure.code === one));
  const worst = failures.find((failure) => failure.code === code) ?? failures[0];
  if (worst === undefined) return undefined;
  const others = failures.length > 1 ? ` (and ${count(failures.length - 1, 'more failure')})` : '';
  const details: { remedy?: string; detail: string } = {
    detail: failures.map(({ check, message }) => `${check}: ${message}`).join('\n'),
  };
  if (worst.remedy !== undefined) details.remedy = worst.remedy;
  return new MakeRuntimeError(
    code ?? 'VERIFY_FAILED',
    `${verdict.artifact} will not run on Lambda as it should${others}: ${worst.message}`,
    details,
  );
}

const marks: Readonly<Record<Level, string>> = { pass: '✓', fail: '✗', warn: '!', note: '·' };

/** The verdict for a person: one line per finding, the check's name in a column, remedies below, a last line. */
export function describeVerdict(verdict: Verdict): string {
  const width = Math.max(0, ...verdict.findings.map(({ check }) => check.length));
  const lines = verdict.findings.flatMap(({ check, level, message, remedy }, index) => {
    const line = `${marks[level]} ${check.padEnd(width)}  ${message}`;
    // A remedy that many findings share is said once, after the last of them.
    const advice = level === 'fail' || level === 'warn' ? remedy : undefined;
    if (advice === undefined || verdict.findings[index + 1]?.remedy === advice) return [line];
    return [line, `${' '.repeat(width + 4)}→ ${advice}`];
  });
  const tally = (level: Level) => verdict.findings.filter((finding) => finding.level === level).length;
  const failed = verdict.ok ? 'will run on Lambda' : `will not run as it should: ${count(tally('fail'), 'failure')}`;
  const warned = tally('warn') > 0 ? `, ${count(tally('warn'), 'warning')}` : '';
  return [...lines, '', `${verdict.ok ? marks.pass : marks.fail} ${verdict.artifact} ${failed}${warned}`].join('\n');
}

/** "1 file", "2 files". */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`;
}

/** "a, b, c and 4 more": the first few of a list that may be long. */
export function firstFew(items: readonly string[], few = 5): string {
  const shown = items.slice(0, few).join(', ');
  return items.length > few ? `${shown} and ${items.length - few} more` : shown;
}
