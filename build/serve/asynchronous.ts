// Asynchronous invocations (`InvocationType: Event`): accepted at once, tried again when the function fails or is
// throttled, and at the end told to a destination, which here is a folder.
// Knows nothing of HTTP or environments. Source of the rules and of the record: Developer Guide, invocation-async,
// invocation-async-error-handling, invocation-async-retain-records.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InvokeOptions } from '../lambda/environment.ts';
import type { InvokeResult } from '../lambda/invoke-result.ts';
import { writeWhole } from '../lib/folder.ts';
import { type Fault, isFault } from './fault.ts';
import type { Journal } from './journal.ts';

export interface AsynchronousOptions {
  readonly functionName: string;
  readonly executedVersion: string;
  /** Milliseconds before each further attempt after a function's error; Lambda waits one minute, then two. */
  readonly retryDelaysMs: readonly number[];
  /** Where records of finished events go, when they shall be kept. */
  readonly destinations: string | undefined;
  readonly journal: Journal;
  readonly run: (payload: Uint8Array, options: InvokeOptions) => Promise<InvokeResult | Fault>;
  /** Told what could not be done for an event that its caller does not wait for. */
  readonly onTrouble: (message: string) => void;
}

export const defaultRetryDelaysMs = [60_000, 120_000] as const;

/** Lambda keeps an event for six hours, and asks a throttled function again after 1 s, 2 s, ... at most 5 minutes. */
const maxAgeMs = 6 * 3600 * 1000;
const throttleDelayMs = (attempt: number): number => Math.min(1000 * 2 ** attempt, 300_000);

type Condition = 'Success' | 'RetriesExhausted' | 'EventAgeExceeded';

export class AsynchronousInvocations {
  readonly #options: AsynchronousOptions;
  readonly #stop = new AbortController();
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: AsynchronousOptions) {
    this.#options = options;
  }

  /** Takes an event; the attempts have the same request id (Developer Guide: invocation-async). */
  accept(requestId: string, functionArn: string, payload: Buffer, options: InvokeOptions): void {
    const one = this.#process(requestId, functionArn, payload, options)
      .catch((error: Error) => this.#stop.signal.aborted || this.#options.onTrouble(error.message))
      .then(() => {
        this.#underWay.delete(one);
      });
    this.#underWay.add(one);
  }

  /** Gives up what is not finished. @returns how many events that were */
  async close(): Promise<number> {
    const left = this.#underWay.size;
    this.#stop.abort();
    await Promise.all(this.#underWay);
    return left;
  }

  async #process(requestId: string, functionArn: string, payload: Buffer, options: InvokeOptions): Promise<void> {
    const { retryDelaysMs, run } = this.#options;
    const { signal } = this.#stop;
    const accepted = Date.now();
    let attempts = 0;
    let throttles = 0;
    for (;;) {
      const result = await run(payload, { ...options, requestId, functionArn });
      if (signal.aborted) return;
      if (isFault(result)) {
        if (result.status !== 429) throw new Error(result.message);
        if (Date.now() - accepted > maxAgeMs)
          return this.#record('EventAgeExceeded', requestId, functionArn, payload, attempts);
        await sleep(throttleDelayMs(throttles), undefined, { signal });
        throttles += 1;
        continue;
      }
      attempts += 1;
      if (result.functionError === undefined)
        return this.#record('Success', requestId, functionArn, payload, attempts, result);
      const delay = retryDelaysMs[attempts - 1];
      if (delay === undefined)
        return this.#record('RetriesExhausted', requestId, functionArn, payload, attempts, result);
      await sleep(delay, undefined, { signal });
    }
  }

  async #record(
    condition: Condition,
    requestId: string,
    functionArn: string,
    payload: Buffer,
    attempts: number,
    result?: InvokeResult,
  ): Promise<void> {
    const { destinations, executedVersion, functionName, journal } = this.#options;
    journal.write({ type: 'event-record', function: functionName, requestId, condition, attempts });
    if (destinations === undefined) return;
    const functionError = result?.functionError;
    const record = {
      version: '1.0',
      timestamp: new Date().toISOString(),
      requestContext: {
        requestId,
        functionArn: `${functionArn}${/:function:[^:]+$/.test(functionArn) ? `:${executedVersion}` : ''}`,
        condition,
        approximateInvokeCount: attempts,
      },
      requestPayload: parsed(payload),
      ...(result === undefined
        ? {}
        : {
            responseContext: {
              statusCode: 200,
              executedVersion,
              ...(functionError === undefined ? {} : { functionError }),
            },
            responsePayload: parsed(result.payload),
          }),
    };
    const folder = condition === 'Success' ? 'on-success' : 'on-failure';
    await writeWhole(
      join(destinations, functionName, folder, `${requestId}.json`),
      `${JSON.stringify(record, undefined, 2)}\n`,
    );
  }
}

/** A response need not be JSON; then its text is kept. */
function parsed(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch {
    return payload.toString();
  }
}
