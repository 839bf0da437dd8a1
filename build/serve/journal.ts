// What happens in a local Lambda, as data: log lines, environments that come and go, invocations, deployments. The
// terminal, `--json` and the page all read this and nothing else. Keeps the last few thousand for whoever comes late.
// Knows nothing of who reads it.
import type { InvokeResult } from '../lambda/invoke-result.ts';
import type { LogLine } from '../lambda/log-lines.ts';

/** How an invocation reached the function. */
export type Way = 'RequestResponse' | 'Event' | 'ResponseStream' | 'FunctionUrl';

type Happening =
  | ({ readonly type: 'log'; readonly environment: string; readonly requestId?: string } & LogLine)
  | { readonly type: 'environment-starting'; readonly environment: string }
  | { readonly type: 'environment-ready'; readonly environment: string; readonly startedAt: number }
  | {
      readonly type: 'environment-failed';
      readonly environment: string;
      readonly startedAt: number;
      readonly message: string;
    }
  | { readonly type: 'environment-ended'; readonly environment: string; readonly why: string }
  | { readonly type: 'invocation-started'; readonly environment: string; readonly requestId: string; readonly way: Way }
  | ({
      readonly type: 'invocation-ended';
      readonly environment: string;
      readonly startedAt: number;
      readonly memoryMb: number;
    } & Pick<
      InvokeResult,
      'requestId' | 'statusKind' | 'errorType' | 'errorMessage' | 'durationMs' | 'billedMs' | 'initMs' | 'maxMemoryMb'
    >)
  | { readonly type: 'throttled'; readonly way: Way }
  | { readonly type: 'event-record'; readonly requestId: string; readonly condition: string; readonly attempts: number }
  | {
      readonly type: 'deployed';
      readonly revision: number;
      readonly changed: readonly string[];
      readonly tookMs: number;
    };

/** `at` is in epoch milliseconds; `sequence` only grows. */
export type Entry = Happening & { readonly sequence: number; readonly at: number; readonly function: string };

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** An entry before it is written down. */
export type News = DistributiveOmit<Entry, 'sequence' | 'at'> & { readonly at?: number };

const kept = 3000;

export class Journal {
  #sequence = 0;
  #recent: Entry[] = [];
  readonly #readers = new Set<(entry: Entry) => void>();

  write(news: News): void {
    this.#sequence += 1;
    const entry = { ...news, at: news.at ?? Date.now(), sequence: this.#sequence } as Entry;
    this.#recent.push(entry);
    if (this.#recent.length > kept * 1.5) this.#recent = this.#recent.slice(-kept);
    for (const reader of this.#readers) reader(entry);
  }

  /** What was written after `sequence`, as far as it is still kept. */
  since(sequence: number): readonly Entry[] {
    return this.#recent.filter((entry) => entry.sequence > sequence);
  }

  /** @returns how to stop */
  read(reader: (entry: Entry) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }
}
