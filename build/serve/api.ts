// Lambda's own HTTP API, as far as callers of functions use it: Invoke, InvokeWithResponseStream, GetFunction,
// ListFunctions and the like, so that SDKs and the AWS CLI work with nothing but another endpoint. Checks what Lambda
// checks, in its order and words; signatures are not looked at, because there is nobody to be known here.
// Source: Lambda API reference (Invoke, InvokeWithResponseStream, GetFunction, ListFunctions, GetFunctionUrlConfig).
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { findJsonError } from '../lambda/json-error.ts';
import { configurationOf, functionOf, functionUrlOf } from './api-configuration.ts';
import { streamTo } from './api-stream.ts';
import { type Fault, faults, isFault } from './fault.ts';
import type { CallOptions, LocalFunction } from './function.ts';
import { readBody, sendFault, sendJson } from './http-message.ts';
import { logTailBytes, maxClientContextBytes, maxEventBytes, maxRequestBytes } from './limits.ts';
import type { Functions } from './names.ts';
import { findFunction } from './names.ts';
import { traceHeader, traceRoot } from './trace.ts';

/** True for paths that belong to this API and not to a function URL. */
export function isApiPath(path: string): boolean {
  return /^\/20\d\d-\d\d-\d\d\/functions(\/|$)/.test(path);
}

/** Answers one request of the API. */
export async function answerApi(request: IncomingMessage, response: ServerResponse, all: Functions): Promise<void> {
  const requestId = randomUUID();
  const url = new URL(request.url ?? '/', 'http://localhost');
  const route = `${request.method} ${url.pathname.replace(/^\/\d{4}-\d\d-\d\d\/functions\/?/, '').replace(/^[^/]+/, '*')}`;
  const name = decode(/^\/[^/]+\/functions\/([^/]+)/.exec(url.pathname)?.[1] ?? '');
  const version = /^\/([^/]+)/.exec(url.pathname)?.[1];
  if (route === 'GET ' && version === '2015-03-31') return list(url, response, requestId, all);
  const operations: Readonly<Record<string, () => Promise<void>>> = {
    'POST 2015-03-31 */invocations': () => invoke(request, response, found, requestId),
    'POST 2021-11-15 */response-streaming-invocations': () => invokeStreaming(request, response, found, requestId),
    'GET 2015-03-31 *': async () =>
      sendJson(response, 200, await functionOf(found.fn, found.qualifier), ids(requestId)),
    'GET 2015-03-31 */configuration': async () =>
      sendJson(response, 200, await configurationOf(found.fn, found.qualifier), ids(requestId)),
    'GET 2021-10-31 */url': async () => sendJson(response, 200, urlConfigOf(found.fn, request, all), ids(requestId)),
  };
  const operation = operations[route.replace(' ', ` ${version} `)];
  if (operation === undefined) return refuse(request, response, requestId, faults.unknownOperation);
  const named = findFunction(name, url.searchParams.get('Qualifier') ?? undefined, all);
  if (isFault(named)) return refuse(request, response, requestId, named);
  const found = named;
  await operation();
}

interface Found {
  readonly fn: LocalFunction;
  readonly qualifier: string | undefined;
}

/** Everything that is said in an invocation's request; `options` is for the function. */
interface Call {
  readonly type: 'RequestResponse' | 'Event' | 'DryRun';
  readonly tail: boolean;
  readonly payload: Buffer;
  readonly options: CallOptions;
}

async function invoke(
  request: IncomingMessage,
  response: ServerResponse,
  { fn, qualifier }: Found,
  requestId: string,
): Promise<void> {
  const call = await readCall(request, requestId, qualifier);
  if (call === undefined) return;
  if (isFault(call)) return sendFault(response, requestId, call);
  if (call.type === 'DryRun') return empty(response, 204, requestId);
  if (call.type === 'Event') {
    // The client context is for synchronous invocations only (API reference: Invoke).
    const { clientContext: _, ...options } = call.options;
    fn.accept(call.payload, requestId, options);
    return empty(response, 202, requestId);
  }
  const result = await fn.invoke(call.payload, 'RequestResponse', call.options);
  if (isFault(result)) return sendFault(response, requestId, result);
  response
    .writeHead(200, {
      'Content-Type': 'application/json',
      'Content-Length': result.payload.length,
      'X-Amz-Executed-Version': fn.settings.functionVersion,
      'x-amzn-Remapped-Content-Length': '0',
      'X-Amzn-Trace-Id': traceRoot(call.options.traceId ?? ''),
      ...ids(requestId),
      ...(result.functionError === undefined ? {} : { 'X-Amz-Function-Error': result.functionError }),
      ...(call.tail ? { 'X-Amz-Log-Result': tailOf(result.logs.map(({ text }) => text)) } : {}),
    })
    .end(result.payload);
}

async function invokeStreaming(
  request: IncomingMessage,
  response: ServerResponse,
  { fn, qualifier }: Found,
  requestId: string,
): Promise<void> {
  const call = await readCall(request, requestId, qualifier);
  if (call === undefined) return;
  if (isFault(call)) return sendFault(response, requestId, call);
  if (call.type === 'Event')
    return sendFault(
      response,
      requestId,
      faults.invalid('Event', 'invocationType', 'Member must satisfy enum value set: [RequestResponse, DryRun]'),
    );
  if (call.type === 'DryRun') return empty(response, 204, requestId);
  await streamTo(response, fn, call.payload, call.options, {
    requestId,
    logTail: call.tail ? (logs) => tailOf(logs) : undefined,
  });
}

/** Checks a request as Lambda does before it looks for an environment. Undefined when the client went away. */
async function readCall(
  request: IncomingMessage,
  requestId: string,
  qualifier: string | undefined,
): Promise<Call | Fault | undefined> {
  const { headers } = request;
  const body = await readBody(request, maxRequestBytes);
  if (body === undefined) return undefined;
  const type = String(headers['x-amz-invocation-type'] ?? 'RequestResponse');
  if (type !== 'RequestResponse' && type !== 'Event' && type !== 'DryRun')
    return faults.invalid(
      type,
      'invocationType',
      'Member must satisfy enum value set: [Event, RequestResponse, DryRun]',
    );
  const log = String(headers['x-amz-log-type'] ?? 'None');
  if (log !== 'None' && log !== 'Tail')
    return faults.invalid(log, 'logType', 'Member must satisfy enum value set: [None, Tail]');
  if (headers['x-amz-tenant-id'] !== undefined) return faults.noTenants;
  if (typeof body === 'number') return type === 'Event' ? faults.eventTooLarge(body) : faults.tooLarge;
  if (type === 'Event' && body.length > maxEventBytes) return faults.eventTooLarge(body.length);
  const payload = checkedPayload(body);
  if (isFault(payload)) return payload;
  const context = readClientContext(headers['x-amz-client-context']);
  if (context !== undefined && typeof context !== 'string') return context;
  return {
    type,
    tail: log === 'Tail',
    payload,
    options: {
      requestId,
      qualifier,
      ...(context === undefined ? {} : { clientContext: context }),
      traceId: traceHeader(headers['x-amzn-trace-id']),
    },
  };
}

/** An event must be JSON in UTF-8; none at all is an empty object. */
export function checkedPayload(body: Buffer): Buffer | Fault {
  if (body.length === 0) return Buffer.from('{}');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return faults.notJson('Invalid UTF-8');
  }
  const wrong = findJsonError(text);
  if (wrong === undefined) return body;
  const before = text.slice(0, wrong.offset).split('\n');
  return faults.notJson(`${wrong.problem} at line: ${before.length}, column: ${before.at(-1)!.length + 1}`);
}

function readClientContext(header: string | string[] | undefined): string | Fault | undefined {
  if (header === undefined || header === '') return undefined;
  const base64 = String(header);
  if (base64.length > maxClientContextBytes) return faults.largeClientContext;
  const text = Buffer.from(base64, 'base64').toString();
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return text;
  } catch {}
  return faults.badClientContext;
}

async function list(url: URL, response: ServerResponse, requestId: string, all: Functions): Promise<void> {
  const asked = url.searchParams.get('MaxItems');
  const max = asked === null ? 50 : Number(asked);
  if (!Number.isInteger(max) || max < 1 || max > 10_000)
    return sendFault(
      response,
      requestId,
      faults.invalid(asked ?? '', 'maxItems', 'Member must have value between 1 and 10000'),
    );
  const start = Number(url.searchParams.get('Marker') ?? 0);
  const functions = [...all.values()];
  // Lambda never returns more than 50 at a time, whatever is asked for.
  const end = start + Math.min(max, 50);
  const page = await Promise.all(functions.slice(start, end).map((fn) => configurationOf(fn, undefined)));
  const more = end < functions.length ? { NextMarker: String(end) } : {};
  sendJson(response, 200, { ...more, Functions: page }, ids(requestId));
}

function urlConfigOf(fn: LocalFunction, request: IncomingMessage, all: Functions): unknown {
  return {
    FunctionUrl: functionUrlOf(fn, all, request.socket.localPort),
    FunctionArn: fn.arn,
    AuthType: 'NONE',
    CreationTime: fn.lastModified.toISOString(),
    LastModifiedTime: fn.lastModified.toISOString(),
    InvokeMode: all.streams ? 'RESPONSE_STREAM' : 'BUFFERED',
  };
}

/** The last 4 KB of the log, as Lambda sends it: base64, cut at a character. */
function tailOf(lines: readonly string[]): string {
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
  let start = Math.max(0, bytes.length - logTailBytes);
  while (start < bytes.length && (bytes[start]! & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start).toString('base64');
}

const ids = (requestId: string): Record<string, string> => ({ 'x-amzn-RequestId': requestId });

function empty(response: ServerResponse, status: number, requestId: string): void {
  response.writeHead(status, { ...(status === 204 ? {} : { 'Content-Length': 0 }), ...ids(requestId) }).end();
}

async function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  fault: Fault,
): Promise<void> {
  await readBody(request, 0);
  sendFault(response, requestId, fault);
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
