// Runs a bootstrap with some files as the function's code against a scripted Runtime API, and says what happened.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Built } from './built.ts';
import { type Exchange, event, type Reply, scriptedApi } from './scripted-api.ts';

export interface Run {
  /**
   * File name to content, in the task root; names starting with "opt/" go to the layer root instead. What starts with
   * "#!", or is named "*.sh", is executable.
   */
  readonly files: Readonly<Record<string, string>>;
  readonly handler?: string | null;
  /** `{task}` and `{opt}` in a value stand for the two folders. */
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments of the bootstrap; none by default. */
  readonly args?: readonly string[];
  /** What the child gets as descriptor 3: a pipe, whose bytes are in the outcome. */
  readonly pipe3?: boolean;
  readonly nexts?: readonly Reply[];
  readonly posts?: readonly Reply[];
  readonly restores?: readonly Reply[];
  /** What to do when the runtime polls and no event is left. Default: SIGKILL. */
  readonly whenIdle?: (pid: number) => void | Promise<void>;
}

export interface Outcome {
  readonly exchanges: readonly Exchange[];
  /** The POSTs, whose bodies are what tests mostly look at. */
  readonly posts: readonly Exchange[];
  readonly stdout: string;
  readonly stderr: string;
  /** What was written to descriptor 3. */
  readonly written3: Buffer;
  readonly status: number | null;
  readonly signal: string | null;
}

export async function run(built: Built, what: Run): Promise<Outcome> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'bootstrap-run-'));
  const task = path.join(folder, 'task');
  const layers = path.join(folder, 'opt');
  await Promise.all([mkdir(task), mkdir(layers)]);
  for (const [name, content] of Object.entries(what.files)) {
    const file = name.startsWith('opt/') ? path.join(folder, name) : path.join(task, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content, { mode: /^#!/.test(content) || name.endsWith('.sh') ? 0o755 : 0o644 });
  }
  const api = await scriptedApi(what.nexts ?? [event({})], what.posts, what.restores);
  const handler = what.handler === undefined ? 'app.handler' : what.handler;
  const env = Object.entries(what.env ?? {}).map(([name, value]) => [
    name,
    value.replaceAll('{task}', task).replaceAll('{opt}', layers),
  ]);
  try {
    const child = spawn(built.bootstrap, [...(what.args ?? [])], {
      cwd: task,
      stdio: ['ignore', 'pipe', 'pipe', what.pipe3 === true ? 'pipe' : 'ignore'],
      // Lambda's environment and nothing of ours.
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin',
        LANG: 'en_US.UTF-8',
        TZ: ':UTC',
        AWS_LAMBDA_RUNTIME_API: api.address,
        LAMBDA_TASK_ROOT: task,
        MAKE_RUNTIME_LAYER_ROOT: layers,
        AWS_LAMBDA_FUNCTION_NAME: 'f',
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
        AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/f',
        AWS_LAMBDA_LOG_STREAM_NAME: 'stream',
        ...(handler === null ? {} : { _HANDLER: handler }),
        ...Object.fromEntries(env),
      },
    });
    const output = { stdout: '', stderr: '' };
    const written3: Buffer[] = [];
    (child.stdio[3] as NodeJS.ReadableStream | null)?.on('data', (data: Buffer) => void written3.push(data));
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text;
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      output.stderr += text;
    });
    const end = new Promise<{ status: number | null; signal: string | null }>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => resolve({ status, signal }));
    });
    void api.idle.then(() => (what.whenIdle ?? ((pid) => process.kill(pid, 'SIGKILL')))(child.pid!));
    const ended = await end;
    const posts = api.exchanges.filter((exchange) => exchange.method === 'POST');
    return { exchanges: api.exchanges, posts, ...output, written3: Buffer.concat(written3), ...ended };
  } finally {
    api.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The body of a POST as JSON, or of all of them. */
export function json(exchange: Exchange | undefined): unknown {
  return JSON.parse(exchange?.body.toString('utf8') ?? 'null');
}
