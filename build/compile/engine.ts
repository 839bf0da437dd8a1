// Where the build program runs. This room knows one engine so far, the machine itself; container engines will be
// further implementations of the same two functions, running the same text.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { explainSystemError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import type { Arch } from '../recipe/model.ts';

export const engines = ['host'] as const;
export type EngineName = (typeof engines)[number];

export interface Run {
  /** The program's text, for /bin/sh. */
  readonly program: string;
  /** Its whole environment besides PATH, HOME and TMPDIR. */
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** File that gets everything it prints. */
  readonly log: string;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
}

/**
 * Runs a program to its end and returns its exit status, with the whole output in `log`. Throws CANCELLED and DISK_FULL.
 * The program is a process group of its own: when the signal fires, make and every compiler under it die with it.
 */
export async function runOnHost(run: Run, env: Readonly<Record<string, string | undefined>>): Promise<number> {
  throwIfCancelled(run.signal);
  await mkdir(dirname(run.log), { recursive: true });
  const log = createWriteStream(run.log);
  const inherited = Object.fromEntries(
    ['PATH', 'HOME', 'TMPDIR', 'CC'].flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
  const child = spawn('/bin/sh', ['-c', `exec 2>&1\n${run.program}`], {
    cwd: run.cwd,
    env: { ...inherited, ...run.environment },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const kill = () => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // The group is gone already.
    }
  };
  run.signal.addEventListener('abort', kill, { once: true });
  // The log is the first to notice a full disk; without it a failure could not be explained, so the build ends.
  let unwritable: Error | undefined;
  log.on('error', (error) => {
    unwritable = error;
    kill();
  });
  let status: number;
  try {
    const exit = new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? 1));
    });
    for await (const line of createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY })) {
      log.write(`${line}\n`);
      run.onLine(line);
    }
    status = await exit;
  } finally {
    run.signal.removeEventListener('abort', kill);
    await new Promise((resolve) => log.end(resolve));
  }
  throwIfCancelled(run.signal);
  if (unwritable) throw explainSystemError(unwritable, `writing ${run.log}`);
  return status;
}

/** How many compilers may run at once: one a core. */
export function jobs(): number {
  return availableParallelism();
}

/** Throws ARCH_UNSUPPORTED when this machine's compiler makes programs for another architecture than the plan's. */
export function requireNative(arch: Arch): void {
  const own = process.arch === 'arm64' ? 'arm64' : 'x86_64';
  if (arch === own) return;
  throw new MakeRuntimeError('ARCH_UNSUPPORTED', `The host engine compiles for ${own}, the plan is for ${arch}.`, {
    remedy: `Run the same command on a machine with ${arch}; \`plan --arch ${arch}\` works anywhere.`,
  });
}

/** The engine a user named, or ENGINE_UNKNOWN. */
export function engineNamed(name: string): EngineName {
  if ((engines as readonly string[]).includes(name)) return name as EngineName;
  throw new MakeRuntimeError('ENGINE_UNKNOWN', `There is no engine called "${name}".`, {
    remedy: `Use one of: ${engines.join(', ')}.`,
  });
}
