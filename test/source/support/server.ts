// A file server that misbehaves on request: each path is a list of answers, one per request, the last one for ever.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Reply = (request: IncomingMessage, response: ServerResponse) => void;

export interface FileServer extends AsyncDisposable {
  url(path: string): string;
  /** Requests so far: "GET /file bytes=10-". */
  readonly log: string[];
  serve(path: string, ...replies: Reply[]): string;
}

export async function startServer(): Promise<FileServer> {
  const routes = new Map<string, Reply[]>();
  const log: string[] = [];
  const server = createServer((request, response) => {
    const { method, url = '', headers } = request;
    log.push(
      [method, url, headers.range, headers['if-range'] && `if ${headers['if-range']}`].filter(Boolean).join(' '),
    );
    const replies = routes.get(url);
    const reply = replies && replies.length > 1 ? replies.shift() : replies?.[0];
    if (reply) reply(request, response);
    else response.writeHead(404).end('not here');
  });
  // As a proxy it refuses to tunnel.
  server.on('connect', ({ url }, socket) => {
    log.push(`CONNECT ${url}`);
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const url = (path: string) => `http://127.0.0.1:${port}${path}`;
  return {
    url,
    log,
    serve(path, ...replies) {
      routes.set(path, replies);
      return url(path);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** The whole file, or the part that was asked for, as a decent server does it. */
export function whole(bytes: Buffer, etag = '"v1"'): Reply {
  return (request, response) => {
    const match = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const condition = request.headers['if-range'];
    const start = match && (condition === undefined || condition === etag) ? Number(match[1]) : 0;
    if (start >= bytes.length && start > 0) {
      response.writeHead(416).end();
      return;
    }
    const part = bytes.subarray(start);
    const range = start > 0 ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {};
    response.writeHead(start > 0 ? 206 : 200, { etag, 'content-length': part.length, ...range });
    response.end(request.method === 'HEAD' ? undefined : part);
  };
}

/** Announces the whole file, sends its beginning, and drops the connection. */
export function cutAt(bytes: Buffer, length: number, etag = '"v1"'): Reply {
  return (_, response) => {
    response.writeHead(200, { etag, 'content-length': bytes.length });
    // Ended, not destroyed: a reset could overtake bytes that the client has not read yet.
    response.write(bytes.subarray(0, length), () => response.socket?.end());
  };
}

/** Sends the beginning and then nothing more. */
export function stallAt(bytes: Buffer, length: number, etag = '"v1"'): Reply {
  return (_, response) => {
    response.writeHead(200, { etag, 'content-length': bytes.length });
    response.write(bytes.subarray(0, length));
  };
}

export function status(code: number): Reply {
  return (_, response) => response.writeHead(code).end('no');
}
