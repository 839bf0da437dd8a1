// The Runtime API's state machine for one on-demand execution environment, as data: which call is legal when, and the
// words Lambda answers with when it is not. Knows nothing of HTTP, processes or time.
// Source: AWS's emulator, internal/lambda/core/states.go, rapi/handler/*.go and rapi/rendering/render_error.go
// (commit 4fa2157), which is AWS's own server code for this API.

/** The names are AWS's own (core/runtime_state_names.go) and appear in error messages. */
export type RuntimeState =
  | 'Started'
  | 'InitError'
  | 'Ready'
  | 'Running'
  | 'InvocationResponse'
  | 'InvocationErrorResponse'
  | 'RuntimeResponseSentState';

const legal: Readonly<Record<RuntimeState, readonly RuntimeState[]>> = {
  Started: ['Ready', 'InitError'],
  InitError: [],
  // A second `next` while waiting waits too; `Ready` from `Running` re-delivers the event without leaving `Running`.
  Ready: ['Ready', 'Running'],
  Running: ['Ready', 'InvocationResponse', 'InvocationErrorResponse'],
  InvocationResponse: ['RuntimeResponseSentState'],
  InvocationErrorResponse: ['RuntimeResponseSentState'],
  RuntimeResponseSentState: ['Ready'],
};

/** True when AWS's server lets the runtime go from one state to the other. */
export function mayMove(from: RuntimeState, to: RuntimeState): boolean {
  return legal[from].includes(to);
}

/** What the server answers: a status and AWS's JSON body. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Largest buffered response and largest event, in bytes: 6 MiB and the 100 bytes AWS adds for the envelope. */
export const maxPayloadBytes = 6 * 1024 * 1024 + 100;

/** Largest streamed response in bytes (200 MB since 2025; the runtimes-custom page still says 20 MiB). */
export const maxStreamedBytes = 200 * 1024 * 1024;

const failed = (status: number, errorType: string, errorMessage: string): Answer => ({
  status,
  body: JSON.stringify({ errorMessage, errorType }),
});

export const answers = {
  accepted: { status: 202, body: '{"status":"OK"}\n' },
  invalidRequestId: failed(400, 'InvalidRequestID', 'Invalid request ID'),
  invalidResponseMode: failed(400, 'InvalidFunctionResponseMode', 'Invalid function response mode'),
  truncated: failed(400, 'TruncatedHTTPRequest', 'HTTP request detected as truncated'),
  /** Of several invocations at a time only: one that has timed out keeps its place until it answers. */
  timedOut: failed(410, 'InvokeTimeout', 'Invoke timeout'),
  tooLarge: failed(413, 'RequestEntityTooLarge', `Exceeded maximum allowed payload size (${maxPayloadBytes} bytes).`),
  invalidTransition: (from: RuntimeState, to: RuntimeState): Answer =>
    failed(
      403,
      'InvalidStateTransition',
      `State transition from ${from} to ${to} failed for runtime. Error: State transition is not allowed`,
    ),
} as const;

/** The sentence of an answer that refuses something. */
export function messageOf({ body }: Answer): string {
  return (JSON.parse(body) as { errorMessage: string }).errorMessage;
}

/** The body the caller gets in place of a response of `size` bytes that was over the limit. */
export function tooLargeBody(size: number): string {
  return JSON.stringify({
    errorType: 'Function.ResponseSizeTooLarge',
    errorMessage: `Response payload size (${size} bytes) exceeded maximum allowed payload size (${maxPayloadBytes} bytes).`,
  });
}

/** The error type Lambda keeps from a `Lambda-Runtime-Function-Error-Type` header (fatalerror.go; unanchored match). */
export function sanitizeErrorType(header: string | undefined): string {
  const value = header ?? '';
  if (/(Runtime|Function)\.[A-Z][a-zA-Z]+/.test(value)) return value;
  return value.startsWith('Function.') ? 'Function.Unknown' : 'Runtime.Unknown';
}
