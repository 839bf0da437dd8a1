// A bootstrap running against a Runtime API that a test talks to while it runs: invocations are given one by one or
// many at once, pieces of a streamed response are seen as they arrive. Correct where scripted-api.ts does as it is told.
// Refuses to know what is tested.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http, { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Built } from './built.ts';

/** What the runtime posted for one invocation, complete. */
export interface Answer {
  readonly kind: 'response' | 'error';
  readonly requestId: string;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: NodeJS.Dict<string>;
  readonly body: Buffer;
}

export interface Given {
  readonly requestId: string;
  readonly answer: Promise<Answer>;
  /** The next piece of the response's body, as it arrives; undefined at its end. */
  piece(): Promise<Buffer | undefined>;
}

export interface Live {
  readonly process: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<{ status: number | null; signal: string | null }>;
  /** All POSTs but those to an invocation's response and error, by path. */
  readonly others: { path: string; headers: IncomingHttpHeaders; body: string }[];
  give(event: unknown, headers?: Record<string, string>): Given;
  /** Resolves when so many polls are waiting for an event. */
  polls(count: number): Promise<void>;
  waiting(): number;
  /** Resolves when stdout and stderr, one after the other, match. */
  said(pattern: RegExp): Promise<void>;
}

export interface LiveOptions {
  readonly files: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Takes a request over: return true and answer it. */
  readonly instead?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

interface Open {
  resolve(answer: Answer): void;
  pieces: (Buffer | undefined)[];
  more: () => void;
}

/** Runs the bootstrap for as long as `use` takes. */
export async function live<T>(built: Built, options: LiveOptions, use: (live: Live) => Promise<T>): Promise<T> {
  const task = await mkdtemp(path.join(os.tmpdir(), 'bootstrap-live-'));
  for (const [name, content] of Object.entries(options.files)) await writeFile(path.join(task, name), content);

  const polls: ServerResponse[] = [];
  const events: { headers: Record<string, string>; body: string }[] = [];
  const open = new Map<string, Open>();
  const others: Live['others'] = [];
  const watchers = new Set<() => void>();
  let count = 0;

  const deliver = (): void => {
    while (polls.length > 0 && events.length > 0) {
      const poll = polls.shift()!;
      if (poll.destroyed) continue;
      const { headers, body } = events.shift()!;
      poll.writeHead(200, { ...headers, 'Content-Length': Buffer.byteLength(body) }).end(body);
    }
    for (const watcher of watchers) watcher();
  };

  const server = http.createServer((request, response) => {
    if (options.instead?.(request, response)) return;
    if (request.url?.endsWith('/invocation/next')) {
      polls.push(response);
      response.on('close', () => {
        const at = polls.indexOf(response);
        if (at >= 0) polls.splice(at, 1);
      });
      deliver();
      return;
    }
    const [, requestId = '', kind] = /invocation\/([^/]+)\/(response|error)$/.exec(request.url ?? '') ?? [];
    const invocation = open.get(requestId);
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => {
      pieces.push(piece);
      invocation?.pieces.push(piece);
      invocation?.more();
    });
    request.on('end', () => {
      const body = Buffer.concat(pieces);
      if (invocation === undefined || kind === undefined) {
        others.push({ path: request.url ?? '', headers: request.headers, body: body.toString() });
        response.writeHead(kind === undefined ? 202 : 400).end('{"errorType":"InvalidRequestID"}');
        return;
      }
      open.delete(requestId);
      invocation.pieces.push(undefined);
      invocation.more();
      const { headers, trailers } = request;
      invocation.resolve({ kind: kind as Answer['kind'], requestId, headers, trailers, body });
      response.writeHead(202).end('{"status":"OK"}');
    });
  });
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const child = spawn(built.bootstrap, [], {
    cwd: task,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      LANG: 'en_US.UTF-8',
      AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${(server.address() as AddressInfo).port}`,
      LAMBDA_TASK_ROOT: task,
      MAKE_RUNTIME_LAYER_ROOT: path.join(task, 'opt'),
      _HANDLER: 'app.handler',
      ...options.env,
    },
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      for (const watcher of watchers) watcher();
    });
  }
  const ended = new Promise<{ status: number | null; signal: string | null }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => resolve({ status, signal }));
  });

  const when = (holds: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
    });

  try {
    return await use({
      process: child,
      output,
      ended,
      others,
      waiting: () => polls.length,
      polls: (wanted) => when(() => polls.length >= wanted),
      said: (pattern) => when(() => pattern.test(output.stdout + output.stderr)),
      give(event, headers = {}) {
        const requestId = headers['Lambda-Runtime-Aws-Request-Id'] ?? `request-${++count}`;
        const state: Open = { resolve: () => {}, pieces: [], more: () => {} };
        const answer = new Promise<Answer>((resolve) => {
          state.resolve = resolve;
        });
        open.set(requestId, state);
        events.push({
          body: JSON.stringify(event),
          headers: {
            'Content-Type': 'application/json',
            'Lambda-Runtime-Aws-Request-Id': requestId,
            'Lambda-Runtime-Deadline-Ms': '4102444800000',
            'Lambda-Runtime-Invoked-Function-Arn': 'arn:aws:lambda:eu-west-1:123456789012:function:f',
            ...headers,
          },
        });
        deliver();
        return {
          requestId,
          answer,
          async piece() {
            while (state.pieces.length === 0) {
              await new Promise<void>((resolve) => {
                state.more = resolve;
              });
            }
            return state.pieces.shift();
          },
        };
      },
    });
  } finally {
    child.kill('SIGKILL');
    await ended;
    server.close();
    server.closeAllConnections();
    await rm(task, { recursive: true, force: true });
  }
}

/** The body of an answer as JSON. */
export async function value(answer: Promise<Answer>): Promise<unknown> {
  return JSON.parse((await answer).body.toString());
}
