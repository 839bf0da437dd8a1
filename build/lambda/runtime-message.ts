// Invocations and errors on the wire: an event becomes the headers and body of `next`, a request of the runtime becomes
// an error. Knows the header names; nothing of states, routes or what is done with the result.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { sanitizeErrorType } from './runtime-state.ts';

/** One event for the runtime, with everything `next` tells about it. Optional fields are absent headers. */
export interface Invocation {
  readonly requestId: string;
  /** Opaque, unique per attempt; the runtime must echo it (newer platforms only). */
  readonly invocationId?: string;
  /** Epoch milliseconds. */
  readonly deadlineMs: number;
  readonly functionArn: string;
  readonly traceId?: string;
  /** JSON text, already base64-decoded. */
  readonly clientContext?: string;
  /** JSON text: `{"cognitoIdentityId":…,"cognitoIdentityPoolId":…}`. */
  readonly cognitoIdentity?: string;
  readonly tenantId?: string;
  /** Default `application/json`. */
  readonly contentType?: string;
  readonly body: Uint8Array;
}

/** An error the runtime reported: the sanitised header and the body as sent. */
export interface ReportedError {
  readonly errorType: string;
  readonly body: Buffer;
  readonly contentType: string;
  readonly xrayCause?: string;
}

/** Answers `next` with an event. */
export function deliver(response: ServerResponse, invocation: Invocation): void {
  const optional: readonly (readonly [string, string | undefined])[] = [
    ['Lambda-Runtime-Aws-Request-Id', invocation.requestId],
    ['Lambda-Runtime-Invocation-Id', invocation.invocationId],
    ['Lambda-Runtime-Trace-Id', invocation.traceId],
    ['Lambda-Runtime-Client-Context', invocation.clientContext],
    ['Lambda-Runtime-Cognito-Identity', invocation.cognitoIdentity],
    ['Lambda-Runtime-Invoked-Function-Arn', invocation.functionArn],
    ['Lambda-Runtime-Deadline-Ms', String(Math.trunc(invocation.deadlineMs))],
    ['Lambda-Runtime-Aws-Tenant-Id', invocation.tenantId],
  ];
  for (const [name, value] of optional) {
    // Header bytes are what the caller sent, UTF-8 included; node takes them as latin1.
    if (value !== undefined && value !== '') response.setHeader(name, Buffer.from(value).toString('latin1'));
  }
  response.setHeader('Content-Type', invocation.contentType ?? 'application/json');
  response.setHeader('Content-Length', invocation.body.byteLength);
  response.writeHead(200).end(invocation.body);
}

/** The error in a request of the runtime, as the caller and X-Ray get it. */
export function reported(request: IncomingMessage, body: Buffer, contentType: string): ReportedError {
  const cause = request.headers['lambda-runtime-function-xray-error-cause'];
  return {
    errorType: sanitizeErrorType(first(request.headers['lambda-runtime-function-error-type'])),
    body,
    contentType,
    ...(cause === undefined || cause === '' ? {} : { xrayCause: String(cause) }),
  };
}

/** `application/vnd.aws.lambda.error.cause+json`: the caller gets three fields, X-Ray the fourth (Developer Guide: runtimes-api). */
export function withCause(request: IncomingMessage, body: Buffer): ReportedError {
  try {
    const { errorMessage, errorType, stackTrace, errorCause } = JSON.parse(body.toString()) as Record<string, unknown>;
    const kept = Buffer.from(JSON.stringify({ errorMessage, errorType, stackTrace }));
    const base = reported(request, kept, 'application/json');
    return errorCause === undefined ? base : { ...base, xrayCause: JSON.stringify(errorCause) };
  } catch {
    return reported(request, Buffer.from('"Invalid error body"'), 'application/octet-stream');
  }
}

/** The error at the end of a streamed response, when there is one (Developer Guide: runtimes-custom). */
export function trailerError(request: IncomingMessage): ReportedError | undefined {
  const type = request.trailers['lambda-runtime-function-error-type'];
  if (type === undefined) return undefined;
  const body = Buffer.from(request.trailers['lambda-runtime-function-error-body'] ?? '', 'base64');
  return { errorType: sanitizeErrorType(type), body, contentType: 'application/json' };
}

/** The content type the runtime gave its answer. */
export function contentTypeOf(request: IncomingMessage, fallback: string): string {
  return request.headers['content-type'] ?? fallback;
}

/** What Lambda takes the body of an init error for: the runtime's own header does not count (Developer Guide: runtimes-api). */
export function jsonOrBytes(body: Buffer): string {
  try {
    JSON.parse(body.toString());
    return 'application/json';
  } catch {
    return 'application/octet-stream';
  }
}

function first(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
