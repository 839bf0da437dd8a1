// Subjects for the checks: small trees with real ELF files in them, and a Runner that answers from a table.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stableJson } from '../../build/recipe/canonical.ts';
import type { Arch, Plan } from '../../build/recipe/model.ts';
import { type Entry, fileOf, linkTo, makeTree, type Tree } from '../../build/tree/tree.ts';
import { factsProbe, importProbe, jitProbe, movedProbe, staleProbe, tlsProbe } from '../../build/verify/probes.ts';
import type { Runner, RunResult } from '../../build/verify/runner.ts';
import type { Finding, Verdict } from '../../build/verify/verdict.ts';
import { samplePlan } from './sample-plan.ts';

export const ctx = {
  packageDir: fileURLToPath(new URL('../..', import.meta.url)),
  signal: new AbortController().signal,
  report: () => {},
};

/** This machine's architecture, in our words. */
export const hostArch: Arch = process.arch === 'arm64' ? 'arm64' : 'x86_64';
export const otherArch: Arch = hostArch === 'arm64' ? 'x86_64' : 'arm64';

export const hasCc = works('cc', '--version');

function works(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Compiles C and returns the file's bytes. */
export function compile(source: string, ...flags: string[]): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'cc-'));
  try {
    writeFileSync(join(folder, 'x.c'), source);
    execFileSync('cc', ['x.c', '-o', 'x', ...flags], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    return readFileSync(join(folder, 'x'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A program of the system: needs glibc and perhaps more, which is all the same where only its machine matters. */
export const anyProgram = (): Buffer => readFileSync('/bin/ls');

/** The same file for another machine, as far as anybody can tell without running it. */
export function forMachine(program: Buffer, arch: Arch): Buffer {
  const copy = Buffer.from(program);
  copy.writeUInt16LE(arch === 'arm64' ? 183 : 62, 18);
  return copy;
}

/** A .pyc of nothing: magic, flags, and 8 bytes of hash or date. */
export function pyc(magic: number, flags: number): Entry {
  const header = Buffer.alloc(16);
  header.writeUInt16LE(magic, 0);
  header.write('\r\n', 2);
  header.writeUInt32LE(flags, 4);
  return fileOf(header);
}

/** A layer as make-runtime lays it out, around `program` as its interpreter. */
export function layerAround(program: Uint8Array, plan: Partial<Plan> | undefined, more: [string, Entry][] = []): Tree {
  const record = {
    format: 1,
    plan: samplePlan({ arch: hostArch, ...plan }),
    toolchain: {},
    installed: { files: 1, bytes: 1, folders: [] },
    ledger: { files: 2, bytes: 3000, rows: [{ rule: 'tests', reason: 'nobody runs them', files: 2, bytes: 3000 }] },
  };
  return makeTree([
    ['bootstrap', linkTo('lang/bin/python3.13')],
    ['lang/bin/python3.13', fileOf(program, 0o755)],
    ['lang/lib/python3.13/os.py', fileOf('')],
    ['lang/lib/python3.13/__pycache__/os.cpython-313.pyc', pyc(3571, 1)],
    ...(plan === undefined ? [] : [['lang/build.json', fileOf(stableJson(record))] as const]),
    ...more,
  ]);
}

const facts = {
  version: '3.13.0',
  banner: '3.13.0 (main)',
  implementation: 'cpython',
  cacheTag: 'cpython-313',
  abiflags: '',
  machine: 'x86_64',
  prefix: '/opt/lang',
  executable: '/opt/lang/bin/python3.13',
  gil: true,
  jit: null as boolean | null,
  magic: 3571,
  modules: ['json', 'msvcrt', 'os', 'ssl', 'this'],
  builtin: ['sys'],
  variables: { PY_CORE_CFLAGS: '-O3', CONFIG_ARGS: "'--disable-shared'" },
  openssl: 'OpenSSL 3.5.0',
  sqlite: '3.50.0',
  zlib: '1.3.1',
  expat: 'expat_2.7.0',
};

const tls = {
  version: 'OpenSSL 3.5.0',
  loaded: 140,
  cafile: '/etc/pki/tls/certs/ca-bundle.crt',
  capath: null,
  hashed: 0,
  lookedFor: ['/usr/lib/ssl/cert.pem', '/usr/lib/ssl/certs'],
  fromEnvironment: [null, null],
};

const moved = [
  { home: '/tmp/moved-1/one', status: 0, said: ['/tmp/moved-1/one', '/tmp/moved-1/one/lib/python3.13/os.py'] },
];

/** A Runner whose interpreter is healthy except for what the caller says. */
export function scripted(
  changes: {
    facts?: Partial<typeof facts>;
    tls?: Record<string, unknown>;
    moved?: typeof moved;
    /** What the JIT probe says with PYTHON_JIT=1, and without. */
    jit?: string;
    jitByDefault?: string;
    stale?: string;
    /** What the import probe prints for a module, instead of success. */
    imports?: Record<string, string>;
    gilAtStart?: string;
    start?: RunResult;
  } = {},
): Runner & { readonly calls: { argv: readonly string[]; env: Record<string, string> | undefined }[] } {
  const said = (stdout: string): RunResult => ({ exitCode: 0, signal: null, stdout, stderr: '' });
  const gil = changes.gilAtStart ?? 'None';
  const calls: { argv: readonly string[]; env: Record<string, string> | undefined }[] = [];
  return {
    calls,
    async run(argv, options) {
      calls.push({ argv, env: options?.env as Record<string, string> | undefined });
      const script = argv[argv.indexOf('-c') + 1];
      if (script === factsProbe) return changes.start ?? said(JSON.stringify({ ...facts, ...changes.facts }));
      if (script === movedProbe) return said(JSON.stringify(changes.moved ?? moved));
      if (script === tlsProbe) return said(JSON.stringify({ ...tls, ...changes.tls }));
      if (script === jitProbe)
        return said((options?.env?.['PYTHON_JIT'] === '1' ? changes.jit : changes.jitByDefault) ?? 'false');
      if (script === staleProbe) return said(changes.stale ?? '');
      if (script !== importProbe) throw new Error(`Not a probe: ${argv.join(' ')}`);
      const lines = (argv.at(-1) ?? '').split(',').map((name) => {
        return `'try'\t'${name}'\n${changes.imports?.[name] ?? `'ok'\t'${name}'\t${gil}`}\n`;
      });
      return said(`'start'\t${gil}\n${lines.join('')}`);
    },
  };
}

/** The findings of one check, as "level: message". */
export function said(verdict: Verdict | readonly Finding[], check: string): string[] {
  const findings = 'findings' in verdict ? verdict.findings : verdict;
  return findings.filter((finding) => finding.check === check).map(({ level, message }) => `${level}: ${message}`);
}
