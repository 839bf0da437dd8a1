// AWS's Runtime Interface Emulator, started around a layer's bootstrap inside our sandbox, so that both find /opt and
// /var/task where Lambda has them. Knows how to get the emulator, start it and speak its one URL; refuses to know what
// an answer should be.
import { access, chmod, constants, copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { execa } from 'execa';
import { Sandbox, type SandboxProcess } from '../../../build/lambda/sandbox.ts';
import type { Context } from '../../../build/lib/context.ts';

/**
 * Its tags (v1.30) are not versions that Go modules can have, so a commit is named: the first after v1.30, and the one
 * whose sources were read for what these tests expect.
 */
const commit = '4fa21571526087e3a0076b9fecf67a79e3927994';
const program = 'github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie';

/** The emulator's program, or why there is none. MAKE_RUNTIME_RIE names one that is already there. */
export async function findEmulator(): Promise<{ path: string } | { missing: string }> {
  const given = process.env['MAKE_RUNTIME_RIE'];
  if (given !== undefined) return { path: given };
  const folder = join(tmpdir(), `make-runtime-rie-${process.getuid?.() ?? 0}-${commit.slice(0, 12)}`);
  const path = join(folder, 'aws-lambda-rie');
  const there = () =>
    access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
  if (await there()) return { path };
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const reasons: string[] = [];
  // A proxy may refuse to serve the module; then its repository is asked.
  for (const proxy of [{}, { GOPROXY: 'direct' }]) {
    const env = { GOBIN: folder, CGO_ENABLED: '0', ...proxy };
    const result = await execa('go', ['install', `${program}@${commit}`], { env, reject: false, timeout: 240_000 });
    if (await there()) return { path };
    reasons.push((result.stderr || result.message || '').trim().split('\n').slice(-2).join(' '));
  }
  return {
    missing: `AWS's emulator cannot be installed (${reasons.join('; ')}): build it elsewhere and set MAKE_RUNTIME_RIE`,
  };
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly text: string;
}

export interface Caller {
  /** Becomes the context's; sent as the Invoke API wants it. */
  readonly clientContext?: unknown;
  readonly tenantId?: string;
}

export class Emulator {
  readonly #sandbox: Sandbox;
  readonly #process: SandboxProcess;
  readonly #url: string;
  #output = '';

  private constructor(sandbox: Sandbox, process: SandboxProcess, url: string) {
    this.#sandbox = sandbox;
    this.#process = process;
    this.#url = url;
    process.output.setEncoding('utf8');
    process.output.on('data', (text: string) => {
      this.#output += text;
    });
  }

  /** What the function and the emulator have written so far, stdout and stderr together. */
  get output(): string {
    return this.#output;
  }

  static async start(
    { emulator, layer, code, handler }: { emulator: string; layer: string; code: string; handler: string },
    env: Readonly<Record<string, string>>,
    context: Context,
  ): Promise<Emulator> {
    const [invokePort, apiPort] = [await freePort(), await freePort()];
    // As one more layer, because the sandbox shows nothing else; and not in a "mapped" one, because the emulator looks
    // for the bootstrap at Lambda's own paths only.
    const own = await mkdtemp(join(tmpdir(), 'make-runtime-rie-layer-'));
    await copyFile(emulator, join(own, 'aws-lambda-rie'), constants.COPYFILE_FICLONE);
    await chmod(join(own, 'aws-lambda-rie'), 0o755);
    const sandbox = await Sandbox.open(
      { layerDirs: [layer, own], codeDir: code, kinds: ['namespace', 'bubblewrap'] },
      context,
    ).finally(() => rm(own, { recursive: true }));
    try {
      // Without further arguments it looks for /var/task/bootstrap, then /opt/bootstrap, as Lambda does.
      const argv = [
        '/opt/aws-lambda-rie',
        ...['--log-level', 'warn'],
        ...['--runtime-interface-emulator-address', `127.0.0.1:${invokePort}`],
        ...['--runtime-api-address', `127.0.0.1:${apiPort}`],
      ];
      // It hands its own environment on to the function.
      const all = {
        PATH: '/usr/local/bin:/usr/bin/:/bin:/opt/bin',
        LD_LIBRARY_PATH: '/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib',
        TZ: ':UTC',
        LANG: 'en_US.UTF-8',
        LAMBDA_TASK_ROOT: '/var/task',
        LAMBDA_RUNTIME_DIR: '/var/runtime',
        AWS_REGION: 'eu-central-1',
        _HANDLER: handler,
        ...env,
      };
      const process = await sandbox.start(argv, { env: all, memoryMb: 1024 });
      const url = `http://127.0.0.1:${invokePort}/2015-03-31/functions/function/invocations`;
      const emulating = new Emulator(sandbox, process, url);
      await emulating.#listening(invokePort);
      return emulating;
    } catch (error) {
      await sandbox.close();
      throw error;
    }
  }

  async invoke(event: unknown, caller: Caller = {}): Promise<Answer> {
    return this.send(JSON.stringify(event), caller);
  }

  /** An event as it is, JSON or not. */
  async send(payload: string | Buffer, { clientContext, tenantId }: Caller = {}): Promise<Answer> {
    const headers: Record<string, string> = { 'Content-Type': 'application/json' };
    if (clientContext !== undefined)
      headers['X-Amz-Client-Context'] = Buffer.from(JSON.stringify(clientContext)).toString('base64');
    if (tenantId !== undefined) headers['X-Amz-Tenant-Id'] = tenantId;
    const answer = await fetch(this.#url, { method: 'POST', headers, body: payload });
    const body = Buffer.from(await answer.arrayBuffer());
    return { status: answer.status, body, text: body.toString() };
  }

  async close(): Promise<void> {
    await this.#process.kill();
    await this.#sandbox.close();
  }

  async #listening(port: number): Promise<void> {
    const ended = this.#process.exited.then(() => 'ended' as const);
    for (;;) {
      const answered = fetch(`http://127.0.0.1:${port}/`).then(
        () => 'answered' as const,
        () => wait(20, 'not yet' as const),
      );
      const now = await Promise.race([answered, ended]);
      if (now === 'answered') return;
      if (now === 'ended') throw new Error(`the emulator ended before it listened:\n${this.#output}`);
    }
  }
}

/** The emulator wants ports, and cannot be told to choose one: a moment later somebody else may have it. */
function freePort(): Promise<number> {
  return new Promise((settle, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => settle(port));
    });
  });
}
