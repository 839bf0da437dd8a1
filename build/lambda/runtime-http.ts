// HTTP as the Runtime API server needs it: reading a body that may be huge or end early, and answering on a connection
// that node's parser has already given up. Knows nothing of routes or states.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Answer } from './runtime-state.ts';

const reader: unique symbol = Symbol('reader of the request body on this socket');
type ReadingSocket = Socket & { [reader]?: () => void };

/** Reads the whole body, keeping at most `limit` bytes; `whole` is false when the client went away in the middle. */
export function collect(
  request: IncomingMessage,
  response: ServerResponse,
  limit: number,
  onChunk: ((chunk: Buffer) => void) | undefined,
  done: (body: Buffer, size: number, whole: boolean) => void,
): void {
  const chunks: Buffer[] = [];
  const socket = request.socket as ReadingSocket;
  let size = 0;
  let over = false;
  const finish = (whole: boolean): void => {
    if (over) return;
    over = true;
    delete socket[reader];
    // The parser has given up on this connection, so what is answered now is the last thing on it.
    if (!whole) response.shouldKeepAlive = false;
    done(Buffer.concat(chunks), size, whole);
    if (!whole) socket.end();
  };
  socket[reader] = () => finish(false);
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > limit) chunks.length = 0;
    else chunks.push(chunk);
    if (size <= limit) onChunk?.(chunk);
  });
  request.on('end', () => finish(true));
  request.on('error', () => finish(false));
  request.on('close', () => finish(request.complete));
}

/** Reads the body to its end, then answers: an unread body would cost the client its keep-alive connection. */
export function drainThen(request: IncomingMessage, go: () => void): void {
  let over = false;
  const once = (): void => {
    if (!over) go();
    over = true;
  };
  request.on('end', once).on('error', once).on('close', once).resume();
}

/** A request that is not HTTP, or a body that ended early while the client still listens for the answer. */
export function brokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  const reading = (socket as ReadingSocket)[reader];
  if (reading !== undefined) {
    reading();
    return;
  }
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${status}`);
}

/** Answers with one of AWS's JSON bodies. */
export function send(response: ServerResponse, { status, body }: Answer): void {
  response
    .writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
    .end(body);
}

/** Answers in plain text, as AWS's router does for what it does not know. */
export function plain(response: ServerResponse, status: number, body: string): void {
  response
    .writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': Buffer.byteLength(body) })
    .end(body);
}
