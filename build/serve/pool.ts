// The execution environments of one function, as Lambda keeps them: one more when all are busy, up to a limit; the one
// that was used last is used first; those that are idle for long are ended; each initialised once.
// Knows nothing of HTTP, events or files: it is told how to make an environment.
import { randomUUID } from 'node:crypto';
import { type InvokeOptions, shutdownBudgetMs } from '../lambda/environment.ts';
import type { InitFailure, InvokeResult } from '../lambda/invoke-result.ts';
import type { LogLine } from '../lambda/log-lines.ts';
import type { Journal, Way } from './journal.ts';

/** What the pool needs of an execution environment; ExecutionEnvironment and ManagedEnvironment are such. */
export interface Environment {
  init(): Promise<InitFailure | undefined>;
  invoke(payload: Uint8Array, options: InvokeOptions): Promise<InvokeResult>;
  shutdown(budgetMs: number): Promise<unknown>;
}

export type MakeEnvironment = (onLog: (line: LogLine) => void) => Promise<Environment>;

export interface PoolOptions {
  readonly functionName: string;
  /** Environments at most. */
  readonly environments: number;
  /** Invocations that one environment takes at a time: 1 on demand. */
  readonly perEnvironment: number;
  /** Milliseconds after which an idle environment is ended. */
  readonly idleMs: number;
  readonly memoryMb: number;
  readonly journal: Journal;
}

interface Slot {
  readonly id: string;
  readonly startedAt: number;
  /** Settles when there is an environment, before it has initialised; rejects when none could be made. */
  readonly made: Promise<Environment>;
  /** Settles when the environment has initialised, however that went; rejects when it could not be made. */
  readonly ready: Promise<{ readonly environment: Environment; readonly failure: InitFailure | undefined }>;
  active: number;
  lastUsed: number;
  /** Takes no further invocation. */
  retired: boolean;
  /** Of the invocation under way, where an environment has one at a time. */
  requestId: string | undefined;
  idle: NodeJS.Timeout | undefined;
}

const retireMs = 300;

export class EnvironmentPool {
  readonly #options: PoolOptions;
  #make: MakeEnvironment;
  #slots: Slot[] = [];
  #made = 0;
  #closed = false;
  readonly #ending = new Set<Promise<void>>();

  constructor(options: PoolOptions, make: MakeEnvironment) {
    this.#options = options;
    this.#make = make;
  }

  /**
   * Runs an invocation in an environment that is free, or in a new one.
   * @returns undefined when all are busy and there may be no more: Lambda throttles then
   * @throws when no environment can be made, and CANCELLED
   */
  async invoke(
    payload: Uint8Array,
    way: Way,
    options: InvokeOptions & { readonly requestId?: string },
  ): Promise<InvokeResult | undefined> {
    const { functionName, journal, memoryMb } = this.#options;
    const slot = this.#free() ?? this.#start();
    if (slot === undefined) {
      journal.write({ type: 'throttled', function: functionName, way });
      return undefined;
    }
    const requestId = options.requestId ?? randomUUID();
    this.#take(slot, requestId);
    try {
      const { environment } = await slot.ready;
      const startedAt = Date.now();
      const known = { function: functionName, environment: slot.id, requestId };
      journal.write({ type: 'invocation-started', ...known, way, at: startedAt });
      const result = await environment.invoke(payload, { ...options, requestId });
      journal.write({ type: 'invocation-ended', ...known, startedAt, memoryMb, ...figuresOf(result) });
      return result;
    } finally {
      this.#release(slot);
    }
  }

  /** Starts an environment ahead of the first invocation, when there is none. @returns how its init failed, if it did */
  async prepare(): Promise<InitFailure | undefined> {
    const slot = this.#free() ?? this.#start();
    if (slot === undefined) return undefined;
    return (await slot.ready).failure;
  }

  /** From now on environments are made another way; those there are finish what they do and end. */
  replace(make: MakeEnvironment): void {
    this.#make = make;
    for (const slot of [...this.#slots]) this.#retire(slot, 'new code');
  }

  /** Ends all environments, also busy ones: SIGTERM, Lambda's grace, SIGKILL. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const slot of [...this.#slots]) this.#end(slot, 'shutdown');
    await Promise.all(this.#ending);
  }

  #free(): Slot | undefined {
    const { perEnvironment } = this.#options;
    return this.#slots
      .filter((slot) => !slot.retired && slot.active < perEnvironment)
      .sort((one, other) => other.lastUsed - one.lastUsed)[0];
  }

  #start(): Slot | undefined {
    const { functionName, environments, journal } = this.#options;
    if (this.#closed || this.#slots.filter((slot) => !slot.retired).length >= environments) return undefined;
    this.#made += 1;
    const id = String(this.#made);
    const startedAt = Date.now();
    const known = { function: functionName, environment: id };
    journal.write({ type: 'environment-starting', ...known, at: startedAt });
    const made = this.#make((line) => {
      const { requestId } = slot;
      const id = requestId ?? requestIdIn(line.text);
      journal.write({ type: 'log', ...known, ...(id === undefined ? {} : { requestId: id }), ...line });
    });
    const slot: Slot = {
      id,
      startedAt,
      made,
      ready: made.then(async (environment) => ({ environment, failure: await environment.init() })),
      active: 0,
      lastUsed: startedAt,
      retired: false,
      requestId: undefined,
      idle: undefined,
    };
    this.#slots.push(slot);
    slot.ready.then(
      ({ failure }) => {
        // Ended in the middle of its init.
        if (!this.#slots.includes(slot)) return;
        if (failure === undefined) journal.write({ type: 'environment-ready', ...known, startedAt });
        else journal.write({ type: 'environment-failed', ...known, startedAt, message: messageOf(failure) });
        this.#rest(slot);
      },
      (error: Error) => {
        this.#slots = this.#slots.filter((one) => one !== slot);
        journal.write({ type: 'environment-failed', ...known, startedAt, message: error.message });
      },
    );
    return slot;
  }

  #take(slot: Slot, requestId: string): void {
    clearTimeout(slot.idle);
    slot.active += 1;
    slot.lastUsed = Date.now();
    slot.requestId = this.#options.perEnvironment === 1 ? requestId : undefined;
  }

  #release(slot: Slot): void {
    slot.active -= 1;
    slot.lastUsed = Date.now();
    slot.requestId = undefined;
    if (slot.retired && slot.active === 0) this.#end(slot, 'new code');
    else this.#rest(slot);
  }

  /** Starts the idle clock. */
  #rest(slot: Slot): void {
    clearTimeout(slot.idle);
    if (slot.active > 0 || slot.retired) return;
    slot.idle = setTimeout(() => this.#retire(slot, 'idle'), this.#options.idleMs);
    slot.idle.unref();
  }

  #retire(slot: Slot, why: string): void {
    slot.retired = true;
    clearTimeout(slot.idle);
    // Not now: the machine is busy with starting the new one, for which somebody may be waiting.
    if (slot.active === 0) slot.idle = setTimeout(() => this.#end(slot, why), retireMs);
  }

  #end(slot: Slot, why: string): void {
    clearTimeout(slot.idle);
    if (!this.#slots.includes(slot)) return;
    this.#slots = this.#slots.filter((one) => one !== slot);
    slot.retired = true;
    const gone = slot.made
      .then((environment) => environment.shutdown(shutdownBudgetMs.internal))
      .then(
        () => {
          const { functionName, journal } = this.#options;
          journal.write({ type: 'environment-ended', function: functionName, environment: slot.id, why });
        },
        () => {},
      )
      .finally(() => this.#ending.delete(gone));
    this.#ending.add(gone);
  }
}

/** Where several invocations share an environment, each line is JSON and says whose it is. */
function requestIdIn(text: string): string | undefined {
  return /^\{.*"requestId": ?"([^"]+)"/.exec(text)?.[1];
}

function messageOf({ errorType, errorMessage }: InitFailure): string {
  return [errorType, errorMessage].filter(Boolean).join(': ');
}

/** What the journal keeps of a result. */
function figuresOf(result: InvokeResult) {
  const { statusKind, errorType, errorMessage, durationMs, billedMs, initMs, maxMemoryMb } = result;
  return {
    statusKind,
    ...(errorType === undefined ? {} : { errorType }),
    ...(errorMessage === undefined ? {} : { errorMessage }),
    durationMs,
    billedMs,
    ...(initMs === undefined ? {} : { initMs }),
    maxMemoryMb,
  };
}
