// A bootstrap and the quick Runtime API beside this file, for as many invocations as a test asks for. Compiles the server once per
// state of its source. Refuses to know what is measured at the steps in between.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { execa } from 'execa';

const source = path.join(import.meta.dirname, 'api_server.c');

export interface Drive {
  /** The program that Lambda would start. */
  readonly bootstrap: string;
  /** app.py. */
  readonly code: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly invocations: number;
  /** Called between invocations, each time so many more have been answered. */
  readonly step?: number;
  readonly onStep?: (pid: number, answered: number) => Promise<void>;
  /** JSON texts, given in turn. */
  readonly events?: readonly string[];
}

export interface Driven {
  readonly responses: number;
  readonly errors: number;
  /** Responses that were streamed, and those of them that ended with an error. */
  readonly streams: number;
  readonly late: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Returns when every invocation was answered and the runtime has been killed. Throws when it ends before. */
export async function drive(what: Drive): Promise<Driven> {
  const step = what.step ?? what.invocations;
  const task = await mkdtemp(path.join(os.tmpdir(), 'reliability-'));
  await writeFile(path.join(task, 'app.py'), what.code);
  const server = spawn(await compiled(), [String(what.invocations), String(step), ...(what.events ?? ['{}'])], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const lines = readline.createInterface(server.stdout)[Symbol.asyncIterator]();
  const output = { stdout: '', stderr: '', server: '' };
  server.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.server += text;
  });
  let runtime: ReturnType<typeof spawn> | undefined;
  try {
    const { value: port } = await lines.next();
    runtime = spawn(what.bootstrap, [], {
      cwd: task,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin',
        LANG: 'en_US.UTF-8',
        AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`,
        LAMBDA_TASK_ROOT: task,
        MAKE_RUNTIME_LAYER_ROOT: path.join(task, 'opt'),
        AWS_LAMBDA_FUNCTION_NAME: 'f',
        _HANDLER: 'app.handler',
        ...what.env,
      },
    });
    for (const name of ['stdout', 'stderr'] as const) {
      // The end is what matters of a million log lines.
      runtime[name]!.setEncoding('utf8').on('data', (text: string) => {
        output[name] = (output[name] + text).slice(-1_000_000);
      });
    }
    const ended = new Promise<never>((_, reject) => {
      runtime!.on('error', reject);
      runtime!.on('close', (status, signal) =>
        reject(new Error(`the runtime has ended: ${status} ${signal}\n${output.stdout}\n${output.stderr}`)),
      );
    });
    ended.catch(() => {}); // killed below, when nobody waits for it any longer
    for (;;) {
      const { value: line, done } = await Promise.race([lines.next(), ended]);
      if (done === true) throw new Error(`the server has ended: ${output.server}`);
      const counts = /^done responses=(\d+) errors=(\d+) streams=(\d+) late=(\d+)$/.exec(line);
      await what.onStep?.(runtime.pid!, counts === null ? Number(line) : what.invocations);
      if (counts !== null) {
        const [responses, errors, streams, late] = counts.slice(1).map(Number) as [number, number, number, number];
        await stopped(runtime);
        return { responses, errors, streams, late, stdout: output.stdout, stderr: output.stderr };
      }
      server.stdin.write('\n');
    }
  } finally {
    if (runtime !== undefined) await stopped(runtime);
    server.kill();
    await rm(task, { recursive: true, force: true });
  }
}

async function stopped(child: ReturnType<typeof spawn>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = new Promise((resolve) => child.on('close', resolve));
  child.kill('SIGKILL');
  await closed;
}

async function compiled(): Promise<string> {
  const key = createHash('sha256')
    .update(await readFile(source))
    .digest('hex')
    .slice(0, 16);
  const program = path.join(os.tmpdir(), `make-runtime-api-server-${process.getuid?.() ?? 0}-${key}`);
  if (!existsSync(program)) {
    const draft = `${program}.${process.pid}`;
    await execa('cc', ['-std=c11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror', '-o', draft, source]);
    await rename(draft, program);
  }
  return program;
}
