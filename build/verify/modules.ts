// Which modules of the standard library a layer has to be able to import: all that its interpreter lists, without what
// Linux cannot have and what the recipe leaves out. And the trying of them, robust against modules that crash.
import type { BuildRecord } from '../package/build-json.ts';
import { importProbe } from './probes.ts';
import type { RunOptions, RunResult } from './runner.ts';

/** In sys.stdlib_module_names on every platform, importable only elsewhere, or better not imported by a test. */
export const notTried: Readonly<Record<string, string>> = {
  _ios_support: 'iOS only',
  _msi: 'Windows only',
  _overlapped: 'Windows only',
  _scproxy: 'macOS only',
  _winapi: 'Windows only',
  _wmi: 'Windows only',
  msilib: 'Windows only',
  msvcrt: 'Windows only',
  nt: 'Windows only',
  winreg: 'Windows only',
  winsound: 'Windows only',
  antigravity: 'opens a web browser when imported',
  this: 'prints a poem when imported',
};

/** Modules the recipe leaves out: those not built, and those whose files are pruned. Empty for a foreign layer. */
export function excludedModules(record: BuildRecord | undefined): ReadonlySet<string> {
  const { withoutModules = [], prune = [] } = record?.plan ?? {};
  return new Set([...withoutModules.map(({ value }) => value), ...prune.flatMap(({ modules = [] }) => modules)]);
}

export interface ImportReport {
  readonly imported: number;
  readonly failed: readonly {
    readonly module: string;
    readonly error: string;
    /** Modules that were not found on the way, the nearest cause first. */
    readonly missed: readonly string[];
    /** The one among them that the recipe leaves out: then this failure was to be expected. */
    readonly excluded: string | undefined;
  }[];
  /** State of the GIL before the first import; null where the version cannot tell. */
  readonly gilAtStart: boolean | null;
  /** The first module after whose import the GIL was on although it had been off. */
  readonly gilEnabledBy: string | undefined;
  /** Set when the interpreter did not even begin. */
  readonly notStarted: string | undefined;
}

/**
 * Imports them all in one process; when that crashes or hangs, the module it was at has failed and another process
 * goes on after it.
 */
export async function importAll(
  modules: readonly string[],
  excluded: ReadonlySet<string>,
  python: (args: readonly string[], options?: RunOptions) => Promise<RunResult>,
): Promise<ImportReport> {
  const failed: ImportReport['failed'][number][] = [];
  let [imported, gilAtStart, gilEnabledBy]: [number, boolean | null, string | undefined] = [0, null, undefined];
  for (let rest = modules; rest.length > 0; ) {
    const run = await python(['-c', importProbe, rest.join(',')], { timeoutMs: 120_000 });
    const rows = run.stdout.split('\n').map((line) => line.split('\t').map(unquote));
    if (rows[0]?.[0] !== 'start') {
      const notStarted = run.stderr.trim().split('\n').slice(-3).join(' ') || `exit status ${run.exitCode}`;
      return { imported, failed, gilAtStart, gilEnabledBy, notStarted };
    }
    gilAtStart = rows[0][1] === 'None' ? null : rows[0][1] === 'True';
    let current: string | undefined;
    for (const [state, module = '', detail = '', missed = ''] of rows) {
      if (state === 'try') current = module;
      if (state === 'ok') {
        imported += 1;
        if (gilAtStart === false && detail === 'True') gilEnabledBy ??= module;
      }
      if (state === 'failed') {
        const names = missed === '' ? [] : missed.split(',');
        failed.push({ module, error: detail, missed: names, excluded: names.find((name) => excluded.has(name)) });
      }
      if (state === 'ok' || state === 'failed') current = undefined;
    }
    if (current === undefined) break;
    const how = run.signal ? `ended by ${run.signal}` : `exit status ${run.exitCode}`;
    failed.push({
      module: current,
      error: `the interpreter crashed or hung (${how})`,
      missed: [],
      excluded: undefined,
    });
    const reached = rest.indexOf(current);
    if (reached === -1) break;
    rest = rest.slice(reached + 1);
  }
  return { imported, failed, gilAtStart, gilEnabledBy, notStarted: undefined };
}

/** The text of a Python literal made by ascii(): quotes off, the escapes that matter in a message undone. */
function unquote(literal: string): string {
  const quoted = /^(['"])(.*)\1$/.exec(literal);
  return quoted ? (quoted[2] ?? '').replace(/\\(['"\\])/g, '$1').replace(/\\n/g, ' ') : literal;
}
