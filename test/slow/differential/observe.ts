// Runs one case on one runtime and says what it did: requests, output, end. Refuses to judge.
import { spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Case } from './case.ts';
import { type Exchange, event, serve } from './server.ts';
import { LAYERS, type Subject } from './subjects.ts';

/** What a runtime wrote to one file, and how much of it was there when each request arrived. */
export interface Written {
  readonly bytes: Buffer;
  readonly sizes: readonly number[];
}

export interface Observed {
  readonly exchanges: readonly Exchange[];
  /** "waiting for next", "exit 1", "SIGSEGV", "does not end". */
  readonly status: string;
  readonly stdout: Written;
  readonly stderr: Written;
  readonly telemetry: Written;
  /** What differs between two runs by nature, and the name that stands for it. */
  readonly names: Subject['names'];
}

/** Nothing takes a second; a runtime that still runs then is stuck. Lambda itself waits half a second after SIGTERM. */
const STUCK_AFTER_MS = 20_000;
const STUCK_AFTER_SIGTERM_MS = 3_000;

export async function observe(one: Case, subject: Subject): Promise<Observed> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'differential-'));
  const task = path.join(folder, 'task');
  const layers = path.join(folder, 'opt');
  const fill = (text: string) => text.replaceAll(LAYERS, layers).replaceAll('{task}', task);
  await Promise.all([mkdir(task), mkdir(layers)]);
  for (const [name, content] of Object.entries(one.files)) {
    const file = path.join(name.startsWith('opt/') ? folder : task, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content.startsWith('#!') ? fill(content) : content, {
      mode: content.startsWith('#!') ? 0o755 : 0o644,
    });
  }

  // Appending: where stdout and stderr share a file, neither may write over the other.
  const outputs = ['stdout', 'stderr', 'telemetry'].map((name) => {
    const file = path.join(folder, name);
    return { file, fd: openSync(file, 'a'), sizes: [] as number[] };
  });
  const [stdout, stderr, telemetry] = outputs as [(typeof outputs)[0], (typeof outputs)[0], (typeof outputs)[0]];
  let idle = false;
  let end = () => {};
  const server = await serve({
    nexts: one.nexts ?? [event({})],
    others: one.posts ?? [],
    asked() {
      for (const output of outputs) output.sizes.push(fstatSync(output.fd).size);
    },
    idle() {
      idle = true;
      end();
    },
  });
  try {
    const env: Record<string, string> = {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      LANG: 'en_US.UTF-8',
      TZ: ':UTC',
      AWS_LAMBDA_RUNTIME_API: server.address,
      AWS_REGION: 'eu-west-1',
      LAMBDA_TASK_ROOT: task,
      LAMBDA_RUNTIME_DIR: '/var/runtime',
      AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
      AWS_LAMBDA_FUNCTION_NAME: 'f',
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
      AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/f',
      AWS_LAMBDA_LOG_STREAM_NAME: 'stream',
      ...(one.handler === null ? {} : { _HANDLER: one.handler ?? 'app.handler' }),
      ...(one.telemetry ? { _LAMBDA_TELEMETRY_LOG_FD: '3' } : {}),
      ...subject.env,
      ...one.env,
    };
    for (const name of one.unset ?? []) delete env[name];
    for (const name of Object.keys(env)) env[name] = fill(env[name]!);
    // The managed runtime puts the wrapper before its interpreter; ours has to do that itself.
    const wrapper = env['AWS_LAMBDA_EXEC_WRAPPER'];
    const wrapped = wrapper !== undefined && subject.argv.length > 1 ? [wrapper, ...subject.argv] : subject.argv;
    const [command, ...args] = wrapped.map(fill) as [string, ...string[]];
    const child = spawn(command, args, {
      cwd: task,
      env,
      stdio: ['ignore', stdout.fd, one.merged ? stdout.fd : stderr.fd, ...(one.telemetry ? [telemetry.fd] : [])],
    });
    let stuck = false;
    const giveUp = () => {
      stuck = true;
      child.kill('SIGKILL');
    };
    let timer = setTimeout(giveUp, STUCK_AFTER_MS);
    end = () => {
      child.kill(one.end ?? 'SIGKILL');
      clearTimeout(timer);
      timer = setTimeout(giveUp, STUCK_AFTER_SIGTERM_MS);
    };
    if (idle) end();
    const status = await new Promise<string>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => {
        if (stuck) resolve('does not end');
        else if (idle && signal === 'SIGKILL') resolve('waiting for next');
        else resolve(signal ?? `exit ${code}`);
      });
    });
    clearTimeout(timer);
    const written = async ({ file, sizes }: (typeof outputs)[0]) => ({ bytes: await readFile(file), sizes });
    return {
      exchanges: server.exchanges,
      status,
      stdout: await written(stdout),
      stderr: await written(stderr),
      telemetry: await written(telemetry),
      names: [[task, '<task>'], [layers, '<opt>'], ...subject.names, [server.address, '<server>']],
    };
  } finally {
    server.close();
    for (const { fd } of outputs) closeSync(fd);
    await rm(folder, { recursive: true, force: true });
  }
}
