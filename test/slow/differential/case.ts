// What a case of the differential test is: a function, its environment, and what the Runtime API says to it.
// Refuses to know how it is run, and what is expected: that is what AWS's client does.
import type { Reply } from './server.ts';

export interface Case {
  readonly name: string;
  /** File name to content, in the task root; names starting with "opt/" go to the layer root instead. */
  readonly files: Readonly<Record<string, string>>;
  /** Default: app.handler. null: _HANDLER is not set. */
  readonly handler?: string | null;
  readonly env?: Readonly<Record<string, string>>;
  /** Taken out of the environment that both get by default. */
  readonly unset?: readonly string[];
  /** Answers to `next`, in order; when they run out, the poll is left hanging. Default: one event, {}. */
  readonly nexts?: readonly Reply[];
  /** Answers to everything else, in order; 202 (200 to restore/next) when they run out. */
  readonly posts?: readonly Reply[];
  /** The signal that ends a runtime that polls when no event is left. Default: SIGKILL. */
  readonly end?: 'SIGTERM';
  /** Whether stdout and stderr are the same file, so that their order is seen. */
  readonly merged?: true;
  /** Whether fd 3 is offered in _LAMBDA_TELEMETRY_LOG_FD. */
  readonly telemetry?: true;
  /** AWS's client is expected to end before it says anything to the Runtime API. */
  readonly silent?: true;
  /** Not worth running on these; default: runs on all. */
  readonly on?: (runtime: Runtime) => boolean;
}

export interface Runtime {
  /** 13 of 3.13. */
  readonly minor: number;
  /** Whether it is a finished layer, with an executable that has all of the library linked in. */
  readonly layer: boolean;
}

/**
 * What is compared. `#2` is the second request that the runtime made. `requests` are methods and paths; details of
 * requests are compared as far as both made the same ones.
 */
export type Aspect =
  | 'requests'
  | 'status'
  | 'stdout'
  | 'stderr'
  | 'telemetry'
  | `#${number} ${'headers' | 'cause' | 'body'}`;

/** A module whose handler has this body; `before` is what comes above it. */
export function app(body: string, before = ''): Readonly<Record<string, string>> {
  const lines = body.trim().split('\n');
  return { 'app.py': `${before}\ndef handler(event, context):\n${lines.map((line) => `    ${line}`).join('\n')}\n` };
}
