// HTTP as the local Lambda needs it: bodies with a limit, answers in AWS's JSON, and which requests are not answered at
// all, because a page of another site made a browser send them. Knows nothing of functions.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { Fault } from './fault.ts';

/**
 * Reads a body of at most `limit` bytes. A longer one is read to its end and dropped, so that the client, which may not
 * listen before it has sent everything, gets its answer.
 * @returns the body, or its size when that was over the limit; undefined when the client went away
 */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer | number | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) chunks.length = 0;
      else chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return size > limit ? size : Buffer.concat(chunks);
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text), ...headers })
    .end(text);
}

/** Answers as Lambda's API does: the type in a header, the sentence in the body (one of them has it in lower case). */
export function sendFault(response: ServerResponse, requestId: string, { status, type, message, more }: Fault): void {
  const body = status === 429 || type === 'ValidationException' ? { message } : { Message: message };
  sendJson(response, status, { ...more, ...body }, { 'x-amzn-RequestId': requestId, 'x-amzn-ErrorType': type });
}

/**
 * Whether a request came by a name of this machine. Browsers let any page send requests to a name of its own that was
 * made to point here (DNS rebinding); the Host header tells. Who listens beyond loopback has names we cannot know.
 */
export function isLocalHost(request: IncomingMessage, listensOn: string): boolean {
  const host = hostName(request.headers.host ?? '');
  return isLocalName(host) || isIP(host) !== 0 || !isLocalName(listensOn);
}

/** Whether a request came from a page of this machine, or from no page at all. */
export function isLocalOrigin({ headers }: IncomingMessage): boolean {
  const { origin, host = '' } = headers;
  if (origin === undefined) return true;
  try {
    const from = new URL(origin).hostname.replace(/^\[|\]$/g, '');
    return isLocalName(from) || from === hostName(host);
  } catch {
    // "null": sandboxed frames and local files.
    return false;
  }
}

/** A Host header without its port and brackets, in lower case. */
export function hostName(header: string): string {
  return header
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
}

function isLocalName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || name === '127.0.0.1' || name === '::1';
}
