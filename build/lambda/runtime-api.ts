// An embedded Lambda Runtime API server for one execution environment: strict, so that a wrong bootstrap fails here and
// not in production. This file listens and hands requests to the session of the process that runs now.
// It knows nothing of processes, sandboxes, logs or Lambda's callers; a process that dies is told to it with `begin()`.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { brokenRequest } from './runtime-http.ts';
import { RuntimeSession } from './runtime-session.ts';

export type { OfferOptions, Outcome } from './runtime-answer.ts';
export type { Invocation, ReportedError } from './runtime-message.ts';
export type { RuntimeSession } from './runtime-session.ts';

/** What answers the requests of one runtime process. */
interface Session {
  handle(request: IncomingMessage, response: ServerResponse, at: number): void;
}

/** Go's net/http refuses a larger header block with 431; the X-Ray cause travels in a header. */
const maxHeaderBytes = 1024 * 1024 + 4096;

/** The server itself. One per execution environment; sessions come and go with the processes. */
export class RuntimeApi<S extends Session = RuntimeSession> {
  /** `host:port`, for AWS_LAMBDA_RUNTIME_API. */
  readonly address: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  readonly #makeSession: () => S;
  #session: S;

  private constructor(server: Server, sockets: Set<Socket>, makeSession: () => S) {
    this.#makeSession = makeSession;
    this.#session = makeSession();
    this.#server = server;
    this.#sockets = sockets;
    const { address, port } = server.address() as AddressInfo;
    this.address = `${address}:${port}`;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#session.handle(request, response, performance.now());
    });
  }

  /** Listens for one invocation at a time, on a free loopback port. Call `close()` when done. */
  static listen(): Promise<RuntimeApi> {
    return RuntimeApi.listenFor(() => new RuntimeSession());
  }

  /** The same, with a session from `makeSession` for each process. */
  static async listenFor<S extends Session>(makeSession: () => S): Promise<RuntimeApi<S>> {
    const server = createServer({ maxHeaderSize: maxHeaderBytes, keepAliveTimeout: 0, noDelay: true });
    // AWS's server has no read or idle timeout: `next` may wait for hours.
    server.requestTimeout = 0;
    server.headersTimeout = 0;
    server.timeout = 0;
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    server.on('clientError', brokenRequest);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new RuntimeApi(server, sockets, makeSession);
  }

  get session(): S {
    return this.#session;
  }

  /** A new runtime process is about to start: drops what the old one left behind and returns a fresh session. */
  begin(): S {
    this.#session = this.#makeSession();
    for (const socket of this.#sockets) socket.destroy();
    return this.#session;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
