// From the end of a failed build log to one sentence and a remedy. Knows what compilers, make and configure print;
// knows nothing of how they were started.
import { type ErrorCode, MakeRuntimeError } from '../lib/errors.ts';
import type { Library } from '../recipe/model.ts';
import { scriptSteps } from './script.ts';

interface Cause {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly sentence: (match: RegExpExecArray, libraries: readonly Library[]) => string;
  readonly remedy: (match: RegExpExecArray, libraries: readonly Library[]) => string;
}

const byHeader = (header: string, libraries: readonly Library[]): Library | undefined =>
  libraries.find((library) => library.header === header || library.header.split('/')[0] === header.split('/')[0]);

// Ordered: the first that matches anywhere in the tail is the most likely cause of what follows it.
const causes: readonly Cause[] = [
  {
    pattern: /No space left on device/,
    code: 'DISK_FULL',
    sentence: () => 'The disk ran full while CPython was being compiled.',
    remedy: () => 'Free about 1 GB, or point MAKE_RUNTIME_CACHE at a larger disk; a re-run starts this stage afresh.',
  },
  {
    pattern: /fatal error: (\S+): No such file or directory/,
    code: 'HEADER_MISSING',
    sentence: ([, header = '']) => `The compiler did not find the header ${header}.`,
    remedy: ([, header = ''], libraries) => {
      const library = byHeader(header, libraries);
      return library
        ? `Install ${library.packages.apt} (Debian, Ubuntu) or ${library.packages.dnf} (Amazon Linux, Fedora).`
        : `Install the package that provides ${header}.`;
    },
  },
  {
    pattern: /cannot find (-l\S+|\S+\.a)\b/,
    code: 'HEADER_MISSING',
    sentence: ([, name]) => `The linker did not find ${name}.`,
    remedy: ([, name = ''], libraries) => {
      const archive = name.startsWith('-l') ? `lib${name.slice(2)}.a` : name;
      const library = libraries.find(({ archives }) => archives.includes(archive));
      return library
        ? `Install ${library.packages.apt} (Debian, Ubuntu) or ${library.packages.dnf} (Amazon Linux, Fedora).`
        : `Install the package that provides ${archive}.`;
    },
  },
  {
    pattern: /(?:Killed signal terminated program|virtual memory exhausted|out of memory)/i,
    code: 'COMPILE_FAILED',
    sentence: () => 'The compiler ran out of memory.',
    remedy: () => 'Give the machine more memory, or run with fewer jobs (MAKE_RUNTIME_JOBS=1).',
  },
  {
    pattern:
      /(?:cc|gcc|clang)(?:-\d+)?: (?:command )?not found|no acceptable C compiler found|C compiler cannot create executables/,
    code: 'COMPILER_MISSING',
    sentence: () => 'There is no working C compiler on this machine.',
    remedy: () => 'Run: make-runtime doctor',
  },
];

export interface Failure {
  readonly what: string;
  /** The last lines of the log, newest last. */
  readonly tail: readonly string[];
  /** The step that was announced last. */
  readonly step: string | undefined;
  readonly log: string;
  readonly status: number;
  /** What it is when no cause is recognised. */
  readonly fallback: ErrorCode;
}

/** The error for a build program that failed: most likely cause, failing command, last lines, where the log is. */
export function diagnose(failure: Failure, libraries: readonly Library[]): MakeRuntimeError {
  const text = failure.tail.join('\n');
  const during = failure.step ? ` while ${scriptSteps[failure.step] ?? failure.step}` : '';
  const detail = [
    ...(failingCommand(failure.tail) ? [`failing command: ${failingCommand(failure.tail)}`] : []),
    'last lines:',
    ...failure.tail.slice(-20).map((line) => `  ${line}`),
    `full log: ${failure.log}`,
  ].join('\n');
  for (const cause of causes) {
    const match = cause.pattern.exec(text);
    if (match) {
      return new MakeRuntimeError(cause.code, cause.sentence(match, libraries), {
        remedy: cause.remedy(match, libraries),
        detail,
      });
    }
  }
  return new MakeRuntimeError(failure.fallback, `${failure.what} failed${during} (exit status ${failure.status}).`, {
    remedy: `Read the log: ${failure.log}`,
    detail,
  });
}

/** The last compiler or configure command before the first error, shortened to what a person reads. */
function failingCommand(tail: readonly string[]): string | undefined {
  const error = tail.findIndex((line) => /\berror\b[: ]|undefined reference/.test(line));
  const before = error === -1 ? tail : tail.slice(0, error);
  return before.findLast((line) => /^(\S*(?:cc|gcc|clang|ld|ar)(?:-\d+)?|\.\/\S+) /.test(line));
}
