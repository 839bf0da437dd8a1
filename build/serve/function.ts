// One function of a local Lambda: its configuration, its environments, its queue of events. What the HTTP API, function
// URLs and the page call. Knows nothing of HTTP.
import { randomUUID } from 'node:crypto';
import type { InvokeOptions } from '../lambda/environment.ts';
import { type FunctionSettings, functionArn } from '../lambda/function-env.ts';
import type { InitFailure, InvokeResult } from '../lambda/invoke-result.ts';
import { isMakeRuntimeError } from '../lib/errors.ts';
import { AsynchronousInvocations } from './asynchronous.ts';
import { type CodeFacts, codeFacts } from './code.ts';
import { type Fault, faults } from './fault.ts';
import type { Journal, Way } from './journal.ts';
import { EnvironmentPool, type MakeEnvironment } from './pool.ts';

export interface FunctionOptions {
  readonly settings: FunctionSettings;
  readonly codeDir: string;
  /** Names that mean the same code, for qualifiers and ARNs. */
  readonly aliases: readonly string[];
  /** Invocations at a time. */
  readonly concurrency: number;
  /** One Managed Instances environment that takes all of them, instead of an environment each. */
  readonly managed: boolean;
  readonly idleMs: number;
  readonly retryDelaysMs: readonly number[];
  readonly destinations: string | undefined;
  /** Makes an environment for a folder of code. */
  readonly make: (codeDir: string) => MakeEnvironment;
  /** Waited for before each invocation: calls deploy() when there is newer code. */
  readonly fresh?: () => Promise<void>;
  /** Called when an environment made by prepare() is ready. */
  readonly onReady?: () => Promise<void>;
  readonly journal: Journal;
  readonly onTrouble: (message: string) => void;
}

/** What a caller says of an invocation beside the event. */
export type CallOptions = Omit<InvokeOptions, 'functionArn'> & { readonly qualifier?: string | undefined };

export class LocalFunction {
  readonly settings: FunctionSettings;
  readonly aliases: readonly string[];
  readonly concurrency: number;
  readonly managed: boolean;
  /** Changes with every deployment, as Lambda's RevisionId and LastModified do. */
  revisionId = randomUUID();
  lastModified = new Date();
  #revision = 1;
  #codeDir: string;
  #facts: Promise<CodeFacts> | undefined;
  readonly #pool: EnvironmentPool;
  readonly #events: AsynchronousInvocations;
  readonly #options: FunctionOptions;

  constructor(options: FunctionOptions) {
    const { settings, journal, managed, concurrency } = options;
    this.#options = options;
    this.settings = settings;
    this.aliases = options.aliases;
    this.concurrency = concurrency;
    this.managed = managed;
    this.#codeDir = options.codeDir;
    const { functionName, functionVersion, memoryMb } = settings;
    this.#pool = new EnvironmentPool(
      {
        functionName,
        environments: managed ? 1 : concurrency,
        perEnvironment: managed ? concurrency : 1,
        idleMs: options.idleMs,
        memoryMb,
        journal,
      },
      options.make(options.codeDir),
    );
    this.#events = new AsynchronousInvocations({
      functionName,
      executedVersion: functionVersion,
      retryDelaysMs: options.retryDelaysMs,
      destinations: options.destinations,
      journal,
      run: (payload, call) => this.#run(payload, 'Event', call),
      onTrouble: options.onTrouble,
    });
  }

  get name(): string {
    return this.settings.functionName;
  }

  get arn(): string {
    return functionArn(this.settings);
  }

  /** Whether a qualifier names this function's only version, directly or as an alias. */
  knows(qualifier: string | undefined): boolean {
    return qualifier === undefined || qualifier === this.settings.functionVersion || this.aliases.includes(qualifier);
  }

  /** One synchronous invocation. A function that fails is a result, a request that Lambda refuses is a fault. */
  invoke(payload: Uint8Array, way: Way, { qualifier, ...options }: CallOptions): Promise<InvokeResult | Fault> {
    return this.#run(payload, way, { ...options, functionArn: this.#qualified(qualifier) });
  }

  /** One asynchronous invocation; not waited for. */
  accept(payload: Buffer, requestId: string, { qualifier, ...options }: CallOptions): void {
    this.#events.accept(requestId, this.#qualified(qualifier), payload, options);
  }

  /** Starts an environment before there is an invocation. @returns how its init failed, if it did */
  async prepare(): Promise<InitFailure | undefined> {
    const failure = await this.#pool.prepare();
    this.#options.onReady?.().catch((error: Error) => this.#options.onTrouble(error.message));
    return failure;
  }

  /** From now on invocations run other code; those under way finish on the old one. */
  deploy(codeDir: string, changed: readonly string[], tookMs: number): void {
    this.#revision += 1;
    this.revisionId = randomUUID();
    this.lastModified = new Date();
    this.#facts = undefined;
    this.#codeDir = codeDir;
    this.#pool.replace(this.#options.make(codeDir));
    const { journal } = this.#options;
    journal.write({ type: 'deployed', function: this.name, revision: this.#revision, changed, tookMs });
  }

  code(): Promise<CodeFacts> {
    this.#facts ??= codeFacts(this.#codeDir);
    return this.#facts;
  }

  /** Ends everything. @returns how many asynchronous events were given up */
  async close(): Promise<number> {
    const closing = this.#pool.close();
    const left = await this.#events.close();
    await closing;
    return left;
  }

  async #run(payload: Uint8Array, way: Way, options: InvokeOptions): Promise<InvokeResult | Fault> {
    try {
      await this.#options.fresh?.();
      return (await this.#pool.invoke(payload, way, options)) ?? faults.throttled;
    } catch (error) {
      // What stops Lambda itself: no sandbox, no bootstrap, shutting down.
      if (isMakeRuntimeError(error)) return faults.service(error.message);
      throw error;
    }
  }

  #qualified(qualifier: string | undefined): string {
    return qualifier === undefined ? this.arn : `${this.arn}:${qualifier}`;
  }
}
