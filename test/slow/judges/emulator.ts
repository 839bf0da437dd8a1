// AWS's Runtime Interface Emulator around a layer's bootstrap, in either of its modes. Knows how to get the emulator, start
// it and speak its one URL; refuses to know where it runs (emulator-place.ts) and what an answer should be.
import { access, constants, mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { execa } from 'execa';
import type { Context } from '../../../build/lib/context.ts';
import { type Folders, inSandbox, type Place, withMounts } from './emulator-place.ts';

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
  // From where the machine's own Go settings say, and from nowhere else: a proxy that refuses the module has a reason,
  // and Go itself asks no further after a 403 either.
  const env = { GOBIN: folder, CGO_ENABLED: '0' };
  const result = await execa('go', ['install', `${program}@${commit}`], { env, reject: false, timeout: 240_000 });
  if (await there()) return { path };
  const reason = (result.stderr || result.message || '').trim().split('\n').slice(-2).join(' ').replace(/\s+/g, ' ');
  return { missing: `AWS's emulator cannot be installed (${reason}): build it elsewhere and set MAKE_RUNTIME_RIE` };
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly text: string;
  /** Of the Managed Instances emulator, which does not tell an error by its status. */
  readonly errorType: string | undefined;
  /** "streaming" or "buffered", as the runtime said. Managed Instances only. */
  readonly mode: string | undefined;
}

export interface Caller {
  /** Becomes the context's; sent as the Invoke API wants it. */
  readonly clientContext?: unknown;
  readonly tenantId?: string;
  /** The last two are heard by the Managed Instances emulator only. */
  readonly requestId?: string;
  readonly traceId?: string;
}

export class Emulator {
  readonly #place: Place;
  readonly #url: string;
  readonly #managed: boolean;
  #output = '';

  private constructor(place: Place, url: string, managed: boolean) {
    this.#place = place;
    this.#url = url;
    this.#managed = managed;
    place.output.setEncoding('utf8');
    place.output.on('data', (text: string) => {
      this.#output += text;
    });
  }

  /** What the function and the emulator have written so far, stdout and stderr together. */
  get output(): string {
    return this.#output;
  }

  /** Resolves when the output matches; throws when the emulator has ended and it does not. */
  async said(pattern: RegExp): Promise<void> {
    for (let last = false; !pattern.test(this.#output); ) {
      if (last) throw new Error(`nothing that matches ${pattern} in what was written:\n${this.#output}`);
      last = await Promise.race([this.ended.then(() => wait(50, true)), wait(20, false)]);
    }
  }

  /** Resolves when the emulator has ended by itself. */
  get ended(): Promise<unknown> {
    return this.#place.ended;
  }

  /** What it costs to be the Managed Instances emulator is one variable in `env`: AWS_LAMBDA_MAX_CONCURRENCY. */
  static async start(
    { handler, ...folders }: Folders & { readonly handler: string },
    env: Readonly<Record<string, string>>,
    context: Context,
  ): Promise<Emulator> {
    const [invokePort, apiPort] = [await freePort(), await freePort()];
    // Without further arguments it looks for /var/task/bootstrap, then /opt/bootstrap, as Lambda does.
    const options = [
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
    const managed = 'AWS_LAMBDA_MAX_CONCURRENCY' in env;
    const place = managed ? withMounts(folders, options, all) : await inSandbox(folders, options, all, context);
    const url = `http://127.0.0.1:${invokePort}/2015-03-31/functions/function/invocations`;
    const emulating = new Emulator(place, url, managed);
    try {
      await emulating.#listening(invokePort);
      return emulating;
    } catch (error) {
      await place.close();
      throw error;
    }
  }

  async invoke(event: unknown, caller: Caller = {}): Promise<Answer> {
    return this.send(JSON.stringify(event), caller);
  }

  /** An event as it is, JSON or not. */
  async send(payload: string | Buffer, caller: Caller = {}): Promise<Answer> {
    const headers: Record<string, string> = { 'Content-Type': 'application/json' };
    if (caller.clientContext !== undefined) {
      // The Managed Instances emulator hands the header on as it is.
      const text = JSON.stringify(caller.clientContext);
      headers['X-Amz-Client-Context'] = this.#managed ? text : Buffer.from(text).toString('base64');
    }
    if (caller.tenantId !== undefined) headers['X-Amz-Tenant-Id'] = caller.tenantId;
    if (caller.requestId !== undefined) headers['X-Amzn-RequestId'] = caller.requestId;
    if (caller.traceId !== undefined) headers['X-Amzn-Trace-Id'] = caller.traceId;
    const answer = await fetch(this.#url, { method: 'POST', headers, body: payload });
    const body = Buffer.from(await answer.arrayBuffer());
    return {
      status: answer.status,
      body,
      text: body.toString(),
      errorType: answer.headers.get('Error-Type') ?? undefined,
      mode: answer.headers.get('Lambda-Runtime-Function-Response-Mode') ?? undefined,
    };
  }

  async close(): Promise<void> {
    await this.#place.close();
  }

  async #listening(port: number): Promise<void> {
    const ended = this.#place.ended.then(() => 'ended' as const);
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
