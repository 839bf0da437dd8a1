// What an invocation came to, in Lambda's words: the payload the caller gets, the error type, the lines the platform
// logs. Pure: turns what happened (an outcome, an exit, a timeout) into an ending.
import type { LogLine } from './log-lines.ts';
import type { Outcome, ReportedError } from './runtime-api.ts';
import type { Exit } from './sandbox.ts';

/** `ok`; `error`: the handler or the runtime reported one; the rest is what the platform saw. */
type StatusKind =
  | 'ok'
  | 'error'
  | 'init-error'
  | 'timeout'
  | 'exit'
  | 'out-of-memory'
  | 'response-too-large'
  | 'bad-response';

export interface InvokeResult {
  readonly requestId: string;
  readonly statusKind: StatusKind;
  /** What the caller receives: the response, or the error's JSON. */
  readonly payload: Buffer;
  readonly contentType: string;
  /** Lambda's `X-Amz-Function-Error`. */
  readonly functionError?: 'Unhandled';
  readonly errorType?: string;
  readonly errorMessage?: string;
  readonly stackTrace?: readonly string[];
  /** The error at the end of a streamed response, whose bytes are the payload. */
  readonly trailer?: ReportedError;
  /** Everything logged since the previous result, init included. */
  readonly logs: readonly LogLine[];
  readonly durationMs: number;
  /** Whole milliseconds, init included (billed since August 2025). */
  readonly billedMs: number;
  readonly initMs?: number;
  /** Highest use of the environment so far. */
  readonly maxMemoryMb: number;
}

/** What a failed init phase would answer, before there is an invocation to answer. */
export type InitFailure = Omit<Ending, 'logLines' | 'report'>;

/** The part of a result that does not depend on measurements, and what the log says of it. */
export type Ending = Omit<InvokeResult, 'requestId' | 'logs' | 'durationMs' | 'billedMs' | 'initMs' | 'maxMemoryMb'> & {
  readonly logLines: readonly string[];
  readonly report: { readonly status?: 'timeout' | 'error'; readonly errorType?: string };
};

/** Go's names of signals, which Lambda prints (syscall.Signal.String). */
const goSignals: Readonly<Record<string, string>> = {
  SIGABRT: 'aborted',
  SIGALRM: 'alarm clock',
  SIGBUS: 'bus error',
  SIGFPE: 'floating point exception',
  SIGHUP: 'hangup',
  SIGILL: 'illegal instruction',
  SIGINT: 'interrupt',
  SIGKILL: 'killed',
  SIGPIPE: 'broken pipe',
  SIGQUIT: 'quit',
  SIGSEGV: 'segmentation fault',
  SIGSYS: 'bad system call',
  SIGTERM: 'terminated',
  SIGTRAP: 'trace/breakpoint trap',
};

/** An unexpected end of the runtime process as Lambda words it (Developer Guide: lambda-runtime-environment). */
export function describeExit({ exitCode, signal, outOfMemory }: Exit): { errorType: string; message: string } {
  const errorType = outOfMemory ? 'Runtime.OutOfMemory' : 'Runtime.ExitError';
  if (signal === undefined && exitCode === 0)
    return { errorType, message: 'Runtime exited without providing a reason' };
  const how =
    signal === undefined
      ? `exit status ${exitCode}`
      : `signal: ${outOfMemory ? 'killed' : (goSignals[signal] ?? signal)}`;
  return { errorType, message: `Runtime exited with error: ${how}` };
}

export const endingOf = {
  exit(exit: Exit, requestId: string): Ending {
    const { errorType, message } = describeExit(exit);
    const text = `RequestId: ${requestId} Error: ${message}`;
    return {
      ...platformError(exit.outOfMemory ? 'out-of-memory' : 'exit', errorType, text),
      logLines: [text, errorType],
      report: { status: 'error', errorType },
    };
  },

  timeout(requestId: string, seconds: number): Ending {
    const text = `Task timed out after ${seconds.toFixed(2)} seconds`;
    return {
      ...platformError('timeout', 'Sandbox.Timedout', `RequestId: ${requestId} Error: ${text}`),
      logLines: [`${new Date().toISOString()} ${requestId} ${text}`, ''],
      report: { status: 'timeout' },
    };
  },

  initError(error: ReportedError): Ending {
    const { errorType } = error;
    return { ...reportedError('init-error', error), logLines: [], report: { status: 'error', errorType } };
  },

  outcome(outcome: Outcome): Ending {
    const quiet = { logLines: [], report: {} } as const;
    switch (outcome.kind) {
      case 'response': {
        const { body: payload, contentType, trailer } = outcome;
        if (trailer === undefined) return { statusKind: 'ok', payload, contentType, ...quiet };
        // The bytes have been sent; the error comes with the end of the stream.
        return { ...reportedError('error', trailer), payload, contentType, trailer, ...quiet };
      }
      case 'error':
        return { ...reportedError('error', outcome), ...quiet };
      case 'too-large':
        return {
          ...reportedError('response-too-large', { errorType: '', body: outcome.body, contentType: '' }),
          ...quiet,
        };
      case 'truncated':
        return { ...platformError('bad-response', 'Runtime.TruncatedResponse', 'The response ended early'), ...quiet };
      case 'invalid-response-mode': {
        const type = 'Runtime.InvalidResponseModeHeader';
        return {
          ...platformError('bad-response', type, 'Invalid function response mode'),
          payload: Buffer.alloc(0),
          ...quiet,
        };
      }
    }
  },
};

type Core = Omit<Ending, 'logLines' | 'report'>;

function platformError(statusKind: StatusKind, errorType: string, errorMessage: string): Core {
  return {
    statusKind,
    payload: Buffer.from(JSON.stringify({ errorType, errorMessage })),
    contentType: 'application/json',
    functionError: 'Unhandled',
    errorType,
    errorMessage,
  };
}

/** The body is the runtime's own and goes to the caller as it is; its fields are read where it has them. */
function reportedError(statusKind: StatusKind, { body, contentType, errorType }: ReportedError): Core {
  const fields = parsed(body);
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const errorMessage = text(fields.errorMessage);
  const trace = Array.isArray(fields.stackTrace)
    ? fields.stackTrace.filter((line) => typeof line === 'string')
    : undefined;
  return {
    statusKind,
    payload: body,
    contentType: contentType || 'application/json',
    functionError: 'Unhandled',
    errorType: text(fields.errorType) ?? errorType,
    ...(errorMessage === undefined ? {} : { errorMessage }),
    ...(trace === undefined ? {} : { stackTrace: trace }),
  };
}

function parsed(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
