// One child process whose output is a log: every line goes to the file and to a listener, a full disk ends it, a signal
// takes its whole process group along. Knows nothing of engines.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { explainSystemError, throwIfCancelled } from '../lib/errors.ts';

export interface LoggedProcess {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: string;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  /** Ends what the process stands for when killing its group does not: a container. Runs before the group is killed. */
  readonly end?: (exited: Promise<unknown>) => Promise<void>;
}

/**
 * Runs a process to its end. Standard output is the log; standard error is returned, its last 8 KB.
 * @throws CANCELLED, DISK_FULL; the spawn error when the command cannot be started
 */
export async function runLogged(run: LoggedProcess): Promise<{ status: number; stderr: string }> {
  throwIfCancelled(run.signal);
  await mkdir(dirname(run.log), { recursive: true });
  const log = createWriteStream(run.log);
  const child = spawn(run.command, run.args, {
    cwd: run.cwd,
    env: run.env as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const exit = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
  const exited = exit.catch(() => undefined);
  let ending: Promise<void> | undefined;
  const kill = () => {
    ending ??= (run.end?.(exited) ?? Promise.resolve()).then(() => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // The group is gone already.
      }
    });
  };
  run.signal.addEventListener('abort', kill, { once: true });
  // The log is the first to notice a full disk; without it a failure could not be explained, so the build ends.
  let unwritable: Error | undefined;
  log.on('error', (error) => {
    unwritable = error;
    kill();
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = `${stderr}${chunk}`.slice(-8192);
  });
  let status: number;
  try {
    for await (const line of createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY })) {
      log.write(`${line}\n`);
      run.onLine(line);
    }
    status = await exit;
    if (stderr !== '') log.write(stderr);
  } finally {
    run.signal.removeEventListener('abort', kill);
    await ending;
    await new Promise((resolve) => log.end(resolve));
  }
  throwIfCancelled(run.signal);
  if (unwritable) throw explainSystemError(unwritable, `writing ${run.log}`);
  return { status, stderr };
}
