// What only shows when the layer's interpreter runs: that it starts, can be moved, imports the whole library, keeps the
// GIL off or turns the JIT on as promised, and finds certificates. It runs programs through a Runner and never asks
// where that is. Without a record in the layer nothing was promised, so what is missing is a warning.
import { architectures } from '../recipe/model.ts';
import { jitCheck } from './jit.ts';
import { excludedModules, type ImportReport, importAll, notTried } from './modules.ts';
import {
  type FactsOutput,
  factsProbe,
  type MovedOutput,
  movedProbe,
  staleProbe,
  type TlsOutput,
  tlsProbe,
} from './probes.ts';
import type { Runner, RunOptions, RunResult } from './runner.ts';
import type { Subject } from './subject.ts';
import { count, type Finding, firstFew } from './verdict.ts';

/** The subject's interpreter as something that can be asked. */
export interface Interpreter {
  /** Path as the program sees it: "/opt/lang/bin/python3.13t". */
  readonly program: string;
  /** The same for any path of the layer. */
  readonly place: (path: string) => string;
  /** "qemu-aarch64 7.2.22" where the processor is another one. */
  readonly emulatedBy?: string | undefined;
  /** Runs it isolated (-I -S), so that neither environment nor site changes what is seen. */
  readonly python: (args: readonly string[], options?: RunOptions) => Promise<RunResult>;
  /** Runs it with the environment in effect, for the switches that are variables. */
  readonly pythonWithEnvironment: (args: readonly string[], options?: RunOptions) => Promise<RunResult>;
}

/** The interpreter to run, or in words why there is none that can be run here. */
export function runnable(subject: Subject, runner: Runner | undefined, hostArch: string): Interpreter | string {
  if (!runner) return 'Nothing was run: there is no sandbox to run it in.';
  const { interpreter, arch, elves } = subject;
  if (interpreter === undefined) return 'Nothing was run: the layer has no Python executable.';
  const elf = elves.get(interpreter);
  const own = elf !== undefined && 'arch' in elf ? elf.arch : undefined;
  const host = architectures.find((one) => one === (hostArch === 'x64' ? 'x86_64' : hostArch));
  const runs = runner.emulates?.arch ?? host;
  if (own === undefined || own !== runs || own !== arch) {
    const why = own === arch ? runner.cannotEmulate : undefined;
    return `Nothing was run: ${interpreter} is for ${own ?? 'another machine'}, and this machine is ${host ?? hostArch}.${why === undefined ? '' : ` ${why}`}`;
  }
  const place = (path: string) => `${runner.root ?? '/opt'}/${path}`;
  const program = place(interpreter);
  // A layer that hangs must not hang the verdict. Emulated programs take some ten times as long.
  const patience = runner.emulates ? 10 : 1;
  const limited = (options?: RunOptions): RunOptions => ({
    ...options,
    timeoutMs: (options?.timeoutMs ?? 60_000) * patience,
  });
  return {
    program,
    place,
    emulatedBy: runner.emulates?.by,
    python: (args, options) => runner.run([program, '-I', '-S', '-B', ...args], limited(options)),
    pythonWithEnvironment: (args, options) => runner.run([program, '-S', '-B', ...args], limited(options)),
  };
}

/** What the interpreter says about itself, or a failed finding when it does not even start. */
export async function askFacts({ python, program }: Interpreter): Promise<FactsOutput | Finding> {
  const run = await python(['-c', factsProbe]);
  const facts = parse<FactsOutput>(run);
  if (facts) return facts;
  return {
    check: 'run.start',
    level: 'fail',
    message: `${program} does not run: ${lastWords(run)}`,
    remedy: 'Run it by hand; a library or a symbol version that is missing here is named under elf.',
  };
}

export async function runChecks(subject: Subject, interpreter: Interpreter, facts: FactsOutput): Promise<Finding[]> {
  return [
    ...identity(subject, facts),
    ...emulated(interpreter),
    ...(await moved(interpreter)),
    ...(await imports(subject, interpreter, facts)),
    ...(await jitCheck(subject, interpreter, facts)),
    ...(await tls(subject, interpreter)),
    ...(await stale(subject, interpreter)),
  ];
}

function identity({ record }: Subject, facts: FactsOutput): Finding[] {
  const check = 'run.version';
  const expected = record?.plan.python.version;
  const { version, openssl, sqlite, zlib, expat } = facts;
  // A candidate says 3.15.0 in sys.version_info; the plan says 3.15.0rc1.
  if (expected !== undefined && expected.replace(/(a|b|rc)\d+$/, '') !== version) {
    return [
      { check, level: 'fail', message: `The interpreter is Python ${version}, and build.json says ${expected}.` },
    ];
  }
  return [
    { check, level: 'pass', message: `Python ${version} starts (${facts.implementation}, ${facts.machine}).` },
    {
      check: 'run.libraries',
      level: 'note',
      message: `OpenSSL: ${openssl}; SQLite: ${sqlite}; zlib: ${zlib}; expat: ${expat}.`,
    },
  ];
}

function emulated({ emulatedBy }: Interpreter): Finding[] {
  if (emulatedBy === undefined) return [];
  const message = `Everything below was run by ${emulatedBy}, not by a processor of that kind.`;
  return [{ check: 'run.emulated', level: 'note', message }];
}

async function moved({ python, program }: Interpreter): Promise<Finding[]> {
  const check = 'run.relocatable';
  const run = await python(['-c', movedProbe, program]);
  const places = parse<MovedOutput>(run);
  if (!places)
    return [{ check, level: 'fail', message: `Moving the interpreter could not be tried: ${lastWords(run)}` }];
  const lost = places.find(({ status, home, said }) => status !== 0 || said[0] !== home || !said[1]?.startsWith(home));
  if (!lost) return [{ check, level: 'pass', message: 'It runs from two other folders, and its prefix follows.' }];
  const [prefix, os] = lost.said;
  const what =
    lost.status === 0 ? `has the prefix ${prefix} and os from ${os}` : `says: ${lastLine(lost.said.join('\n'))}`;
  return [
    {
      check,
      level: 'fail',
      message: `Moved to ${lost.home} the interpreter ${what}.`,
      remedy: 'Build it with --disable-shared, or find libpython through $ORIGIN; unset PYTHONHOME.',
    },
  ];
}

async function imports({ record }: Subject, { python }: Interpreter, facts: FactsOutput): Promise<Finding[]> {
  const check = 'run.stdlib';
  const excluded = excludedModules(record);
  const expected = facts.modules.filter((name) => !excluded.has(name) && !Object.hasOwn(notTried, name));
  const report = await importAll(expected, excluded, python);
  if (report.notStarted !== undefined) {
    return [{ check, level: 'fail', message: `The modules could not be tried: ${report.notStarted}` }];
  }
  const findings = importFindings(check, report, record ? 'fail' : 'warn');
  const all = count(report.imported, 'module');
  if (report.failed.length === 0)
    findings.push({ check, level: 'pass', message: `All ${all} of the library can be imported.` });
  else findings.push({ check, level: 'note', message: `${all} of ${expected.length} can be imported.` });
  return [...findings, ...gil(record?.plan.flavor, facts, report)];
}

/** One finding per cause: a module that is missing itself, with those that fail because they import it. */
function importFindings(check: string, { failed }: ImportReport, level: 'fail' | 'warn'): Finding[] {
  const names = new Set(failed.map(({ module }) => module));
  const findings: Finding[] = [];
  for (const { module, error, missed, excluded } of failed) {
    if (excluded !== undefined) {
      // Collateral damage: a recipe must say itself what it takes away.
      const message = `${module} cannot be imported, because the recipe leaves out ${excluded}.`;
      findings.push({
        check,
        level,
        message,
        remedy: `Name ${module} in the rule that leaves out ${excluded}, or keep it.`,
      });
      continue;
    }
    // Reported with the module that it misses.
    if (missed.some((other) => other !== module && names.has(other))) continue;
    const others = failed.filter((other) => other.module !== module && other.missed.includes(module));
    const also = others.length > 0 ? `, and neither can ${firstFew(others.map((other) => other.module))}` : '';
    findings.push({
      check,
      level,
      message: `${module} cannot be imported (${error})${also}.`,
      remedy: 'Install the headers it needs and build again, or leave it out in the recipe, with the reason.',
    });
  }
  return findings;
}

function gil(
  flavor: string | undefined,
  facts: FactsOutput,
  report: { gilAtStart: boolean | null; gilEnabledBy: string | undefined },
): Finding[] {
  const check = 'run.gil';
  const built = facts.abiflags.includes('t');
  if (flavor === 'free-threaded' && !built) {
    return [{ check, level: 'fail', message: 'The layer says free-threaded, and its interpreter was not built so.' }];
  }
  if (!built)
    return flavor === undefined ? [] : [{ check, level: 'pass', message: 'The interpreter has a GIL, as planned.' }];
  if (flavor !== undefined && flavor !== 'free-threaded') {
    return [{ check, level: 'fail', message: `The layer says ${flavor}, and its interpreter is free-threaded.` }];
  }
  if (report.gilAtStart !== false) {
    return [
      { check, level: 'fail', message: 'The interpreter is free-threaded, and yet the GIL is on when it starts.' },
    ];
  }
  if (report.gilEnabledBy !== undefined) {
    return [
      {
        check,
        level: 'fail',
        message: `Importing ${report.gilEnabledBy} turns the GIL on.`,
        remedy: 'Leave the module out, or declare in it that it does not need the GIL (Py_mod_gil).',
      },
    ];
  }
  return [{ check, level: 'pass', message: 'The GIL is off, and stays off with the whole library imported.' }];
}

/**
 * Where AL2023 keeps its certificates (package ca-certificates; /etc/ssl/certs is a link to the folder). What is found
 * only elsewhere was found on this machine and not on Lambda.
 */
const lambdaCertificates = /^\/(etc\/(pki\/tls|ssl)\/(certs\/ca-bundle\.crt|cert\.pem)$|opt\/|var\/task\/)/;

async function tls({ record }: Subject, { pythonWithEnvironment }: Interpreter): Promise<Finding[]> {
  const check = 'run.tls';
  const level = record ? 'fail' : 'warn';
  const found = await pythonWithEnvironment(['-c', tlsProbe]);
  const output = parse<TlsOutput>(found);
  if (!output) {
    return [{ check, level, message: `ssl does not load: ${lastWords(found)}`, remedy: 'See run.stdlib.' }];
  }
  const { version, loaded, cafile, capath, hashed, lookedFor } = output;
  const remedy = 'Set SSL_CERT_FILE=/etc/pki/tls/certs/ca-bundle.crt, or build OpenSSL with --openssldir=/etc/pki/tls.';
  const where = cafile ?? capath;
  if (where === null || loaded + hashed === 0) {
    const message = `ssl loads (${version}), but finds no certificate: it looks for ${lookedFor.join(' and ')}.`;
    return [{ check, level, message, remedy }];
  }
  const number = loaded > 0 ? loaded : hashed;
  const sentence = `ssl loads (${version}) and finds ${count(number, 'certificate')} in ${where}`;
  if (lambdaCertificates.test(where)) return [{ check, level: 'pass', message: `${sentence}.` }];
  return [
    { check, level: 'warn', message: `${sentence}, which is a place of this machine and not of Lambda.`, remedy },
  ];
}

async function stale({ record, stdlib }: Subject, { python, place }: Interpreter): Promise<Finding[]> {
  const check = 'run.pyc';
  if (stdlib === undefined) return [];
  const run = await python(['-c', staleProbe, place(stdlib)]);
  const names = run.stdout.split('\n').filter((name) => name !== '');
  if (run.exitCode !== 0)
    return [{ check, level: 'warn', message: `Sources and .pyc could not be compared: ${lastWords(run)}` }];
  if (names.length === 0)
    return [{ check, level: 'pass', message: 'Every unchecked .pyc was made from the source beside it.' }];
  return [
    {
      check,
      level: record ? 'fail' : 'warn',
      message: `${count(names.length, '.pyc file')} made from another source: ${firstFew(names, 3)}.`,
      remedy: 'Compile them again after the last change of the sources.',
    },
  ];
}

function parse<T>(run: RunResult): T | undefined {
  if (run.exitCode !== 0) return undefined;
  try {
    return JSON.parse(run.stdout) as T;
  } catch {
    return undefined;
  }
}

/** The end of what a failed program said, as the end of a sentence. */
function lastWords(run: RunResult): string {
  if (run.signal) return `it was ended by ${run.signal}.`;
  return lastLine(run.stderr) || `exit status ${run.exitCode}, and no output that was expected.`;
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
