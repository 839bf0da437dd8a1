// What a function returned, as an HTTP response: the rules by which function URLs and API Gateway read it. Pure.
// Sources: as http-event.ts; for errors, Developer Guide, urls-invocation and services-apigateway-errors.
import type { Front } from './http-event.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

/** The content type of a streamed response that begins with status and headers, as JSON, then eight NUL bytes. */
export const preludeType = 'application/vnd.awslambda.http-integration-response';
const separator = Buffer.alloc(8);

/** Reads the payload of a function that returned normally. What cannot be read is the front's 502. */
export function readAnswer(front: Front, payload: Buffer, contentType: string): HttpAnswer {
  if (contentType === preludeType) {
    const prelude = splitPrelude(payload);
    return prelude === undefined ? badGateway(front) : { ...prelude.head, body: prelude.rest };
  }
  let value: unknown;
  try {
    value = JSON.parse(payload.toString());
  } catch {
    // A function URL passes on what it does not understand; API Gateway wants its own format.
    if (front === 'rest-api') return badGateway(front);
    return { status: 200, headers: [['content-type', contentType || 'application/octet-stream']], body: payload };
  }
  if (!isObject(value) || !('statusCode' in value)) {
    if (front === 'rest-api') return badGateway(front);
    const body = typeof value === 'string' ? Buffer.from(value) : payload;
    return { status: 200, headers: [['content-type', 'application/json']], body };
  }
  const head = readHead(value, front);
  const { body = '', isBase64Encoded } = value;
  if (head === undefined || (body !== null && typeof body !== 'string')) return badGateway(front);
  return { ...head, body: Buffer.from(body ?? '', isBase64Encoded === true ? 'base64' : 'utf8') };
}

export interface Prelude {
  readonly head: Omit<HttpAnswer, 'body'>;
  readonly rest: Buffer;
}

/** Splits a streamed response; undefined while the end of the prelude is not there, or when it is none. */
export function splitPrelude(bytes: Buffer): Prelude | undefined {
  const end = bytes.indexOf(separator);
  if (end < 0) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8', 0, end));
    if (!isObject(value)) return undefined;
    const head = readHead({ statusCode: 200, ...value }, 'function-url');
    return head === undefined ? undefined : { head, rest: bytes.subarray(end + separator.length) };
  } catch {
    return undefined;
  }
}

/** What the caller gets when the function failed or answered with something that cannot be read. */
export function badGateway(front: Front): HttpAnswer {
  return front === 'function-url'
    ? { status: 502, headers: [['content-type', 'application/json']], body: Buffer.from('Internal Server Error') }
    : message(502, 'Internal server error');
}

export function throttled(front: Front): HttpAnswer {
  if (front !== 'function-url') return message(front === 'rest-api' ? 500 : 503, 'Internal server error');
  const body = { Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded', Type: 'User', message: 'Rate Exceeded.' };
  return { status: 429, headers: [['content-type', 'application/json']], body: Buffer.from(JSON.stringify(body)) };
}

export function tooLarge(front: Front): HttpAnswer {
  return message(413, front === 'function-url' ? 'Request Entity Too Large' : 'Request Too Long');
}

function message(status: number, text: string): HttpAnswer {
  return {
    status,
    headers: [['content-type', 'application/json']],
    body: Buffer.from(JSON.stringify({ message: text })),
  };
}

/** Status and headers, or undefined when they are not what the format allows. */
function readHead(value: Record<string, unknown>, front: Front): Omit<HttpAnswer, 'body'> | undefined {
  const status = typeof value['statusCode'] === 'string' ? Number(value['statusCode']) : value['statusCode'];
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 100 || status > 599) return undefined;
  const headers: [string, string][] = [];
  const one = value['headers'];
  if (one !== undefined && one !== null) {
    if (!isObject(one)) return undefined;
    for (const [name, content] of Object.entries(one)) if (isScalar(content)) headers.push([name, String(content)]);
  }
  const many = value['multiValueHeaders'];
  if (isObject(many))
    for (const [name, contents] of Object.entries(many)) {
      if (!Array.isArray(contents)) return undefined;
      // multiValueHeaders win over headers of the same name.
      const lower = name.toLowerCase();
      for (let at = headers.length - 1; at >= 0; at -= 1)
        if (headers[at]![0].toLowerCase() === lower) headers.splice(at, 1);
      for (const content of contents) headers.push([name, String(content)]);
    }
  const { cookies } = value;
  if (Array.isArray(cookies) && front !== 'rest-api')
    for (const cookie of cookies) headers.push(['set-cookie', String(cookie)]);
  if (!headers.some(([name]) => name.toLowerCase() === 'content-type'))
    headers.push(['content-type', 'application/json']);
  return headers.every(([name, content]) => isHeader(name, content)) ? { status, headers } : undefined;
}

/** RFC 9110: a token, and a value without line ends or NUL. */
function isHeader(name: string, value: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && !/[\0\r\n]/.test(value);
}

function isScalar(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
