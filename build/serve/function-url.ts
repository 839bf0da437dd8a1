// Function URLs on `/`, or what API Gateway would do in their place: an HTTP request becomes an event, the function's
// answer a response, streamed where that was asked for. Which function: NAME.localhost means NAME, any other host the
// first one, because on Lambda too each URL has a host of its own and the whole path belongs to the function.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isFault } from './fault.ts';
import type { LocalFunction } from './function.ts';
import {
  badGateway,
  type HttpAnswer,
  preludeType,
  readAnswer,
  splitPrelude,
  throttled,
  tooLarge,
} from './http-answer.ts';
import { type Front, httpEvent } from './http-event.ts';
import { hostName, readBody } from './http-message.ts';
import { maxRequestBytes } from './limits.ts';
import type { Functions } from './names.ts';
import { traceHeader } from './trace.ts';

/** Answers one request that is not for the API or the page. */
export async function answerUrl(
  request: IncomingMessage,
  response: ServerResponse,
  all: Functions,
  front: Front,
): Promise<void> {
  const fn = chosen(request, all);
  const requestId = randomUUID();
  const body = await readBody(request, maxRequestBytes);
  if (body === undefined) return;
  if (fn === undefined) return write(response, requestId, { status: 404, headers: [], body: Buffer.alloc(0) });
  if (typeof body === 'number') return write(response, requestId, tooLarge(front));
  const traceId = traceHeader(request.headers['x-amzn-trace-id']);
  const { accountId, region } = fn.settings;
  const caller = { requestId, accountId, region, functionName: fn.name, traceId };
  const event = Buffer.from(JSON.stringify(httpEvent(front, request, body, caller)));
  // Base64 and JSON make more of it than came in.
  if (event.length > maxRequestBytes) return write(response, requestId, tooLarge(front));
  const options = { requestId, traceId };
  if (all.streams) return streamed(response, fn, event, options, front);
  const result = await fn.invoke(event, 'FunctionUrl', options);
  if (isFault(result)) return write(response, requestId, result.status === 429 ? throttled(front) : badGateway(front));
  const failed = result.functionError !== undefined;
  write(response, requestId, failed ? badGateway(front) : readAnswer(front, result.payload, result.contentType));
}

function chosen(request: IncomingMessage, all: Functions): LocalFunction | undefined {
  const [, name] = /^(.+)\.localhost$/.exec(hostName(request.headers.host ?? '')) ?? [];
  const [first] = all.values();
  if (name === undefined) return first;
  // Host names have no case, and no underscores.
  return [...all.values()].find((fn) => fn.name.toLowerCase().replaceAll('_', '-') === name);
}

/** InvokeMode RESPONSE_STREAM: status and headers from the prelude, where there is one; the bytes as they come. */
async function streamed(
  response: ServerResponse,
  fn: LocalFunction,
  event: Buffer,
  options: { readonly requestId: string; readonly traceId: string },
  front: Front,
): Promise<void> {
  const { requestId } = options;
  let pending: Buffer | undefined;
  let type = '';
  const begin = (head: Omit<HttpAnswer, 'body'>): void => {
    writeHead(response, requestId, head);
    response.flushHeaders();
  };
  const result = await fn.invoke(event, 'FunctionUrl', {
    ...options,
    onHead: (head) => {
      type = head.contentType;
      if (!head.streamed) return;
      if (type === preludeType) pending = Buffer.alloc(0);
      else begin({ status: 200, headers: [['content-type', type]] });
    },
    onChunk: (chunk) => {
      if (pending === undefined) {
        if (!response.writableEnded) response.write(chunk);
        return;
      }
      pending = Buffer.concat([pending, chunk]);
      const prelude = splitPrelude(pending);
      if (prelude === undefined) return;
      pending = undefined;
      begin(prelude.head);
      if (prelude.rest.length > 0) response.write(prelude.rest);
    },
  });
  if (isFault(result)) return write(response, requestId, result.status === 429 ? throttled(front) : badGateway(front));
  if (response.headersSent) {
    // The status has left long ago: a response that is cut short is all that can still tell of an error.
    if (result.functionError === undefined) response.end();
    else response.destroy();
    return;
  }
  if (result.functionError !== undefined || pending !== undefined) return write(response, requestId, badGateway(front));
  // A handler that did not stream: its bytes, not read as status and headers.
  write(response, requestId, {
    status: 200,
    headers: [['content-type', result.contentType || 'application/octet-stream']],
    body: result.payload,
  });
}

function write(response: ServerResponse, requestId: string, answer: HttpAnswer): void {
  const { status, body } = answer;
  const headers = answer.headers.filter(([name]) => !/^(content-length|transfer-encoding|connection)$/i.test(name));
  const bodiless = status === 204 || status === 304 || status < 200;
  const length: [string, string][] = bodiless ? [] : [['content-length', String(body.length)]];
  writeHead(response, requestId, { status, headers: [...headers, ...length] });
  response.end(bodiless ? undefined : body);
}

function writeHead(response: ServerResponse, requestId: string, { status, headers }: Omit<HttpAnswer, 'body'>): void {
  for (const [name, value] of headers) response.appendHeader(name, latin1(value));
  response.setHeader('x-amzn-RequestId', requestId);
  response.writeHead(status);
}

/** Node takes header values as latin1; what the function wrote was UTF-8. */
function latin1(value: string): string {
  return Buffer.from(value).toString('latin1');
}
