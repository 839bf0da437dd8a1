// One Managed Instances execution environment: one runtime process that takes several invocations at a time. Same
// functions, other life: no freeze, a timeout ends the waiting and not the work, and only the end of the process ends
// what is under way. Logs are JSON, each line with the request it belongs to.
// Knows nothing of command lines or HTTP callers. Source: Developer Guide, lambda-managed-instances; AWS's emulator,
// internal/lambda-managed-instances.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import { entrypointArch, findEntrypoint } from './entrypoint.ts';
import { type EnvironmentOptions, type InvokeOptions, shutdownBudgetMs } from './environment.ts';
import { checkUserEnv, functionArn, platformEnv } from './function-env.ts';
import { type Ending, endingOf, type InitFailure, type InvokeResult } from './invoke-result.ts';
import { type LogLine, LogLines } from './log-lines.ts';
import { newLogStream } from './log-stream.ts';
import { ManagedSession } from './managed-session.ts';
import * as records from './platform-records.ts';
import { RuntimeApi } from './runtime-api.ts';
import { Sandbox, type SandboxProcess } from './sandbox.ts';

export interface ManagedOptions extends EnvironmentOptions {
  /** Invocations at a time: 1 to 1600 (API reference: PerExecutionEnvironmentMaxConcurrency). */
  readonly maxConcurrency: number;
}

const initializationType = 'lambda-managed-instances';

/** Lambda's limit for the init phase: 130 s, or the function's timeout where that is longer (at most 900 s). */
const initLimitMs = 130_000;

/** How long lines of a function are kept for the log tail of the invocations under way. */
const keptLines = 5000;

interface Runtime {
  readonly process: SandboxProcess;
  readonly session: ManagedSession;
}

export class ManagedEnvironment {
  readonly sandbox: Sandbox;
  readonly #api: RuntimeApi<ManagedSession>;
  readonly #options: ManagedOptions;
  readonly #context: Context;
  readonly #log: LogLines;
  readonly #entrypoint: string;
  readonly #env: Readonly<Record<string, string>>;
  #lines: LogLine[] = [];
  #starting: Promise<Runtime | InitFailure> | undefined;
  #runtime: Runtime | undefined;
  #initMs: number | undefined;

  private constructor(
    sandbox: Sandbox,
    api: RuntimeApi<ManagedSession>,
    options: ManagedOptions,
    entrypoint: string,
    context: Context,
  ) {
    this.sandbox = sandbox;
    this.#api = api;
    this.#options = options;
    this.#context = context;
    this.#entrypoint = entrypoint;
    this.#log = new LogLines((line) => {
      this.#lines.push(line);
      if (this.#lines.length > keptLines * 1.5) this.#lines = this.#lines.slice(-keptLines);
      options.onLog?.(line);
    }, 'JSON');
    const stream = newLogStream(options.settings.functionVersion);
    this.#env = {
      ...platformEnv(options.settings, sandbox.places, api.address, stream),
      ...options.settings.env,
      AWS_LAMBDA_INITIALIZATION_TYPE: initializationType,
      AWS_LAMBDA_MAX_CONCURRENCY: String(options.maxConcurrency),
      AWS_LAMBDA_LOG_FORMAT: 'JSON',
    };
  }

  /** Prepares an environment; nothing runs yet. Throws as ExecutionEnvironment.create. Call `shutdown()` when done. */
  static async create(options: ManagedOptions, context: Context): Promise<ManagedEnvironment> {
    checkUserEnv(options.settings.env);
    const sandbox = await Sandbox.open({ archOf: entrypointArch, ...options }, context);
    try {
      const entrypoint = await findEntrypoint(sandbox.folders, sandbox.places, sandbox.emulation?.arch);
      const api = await RuntimeApi.listenFor(() => new ManagedSession());
      return new ManagedEnvironment(sandbox, api, options, entrypoint, context);
    } catch (error) {
      await sandbox.close();
      throw error;
    }
  }

  /** What the current runtime process was refused. */
  get violations(): readonly string[] {
    return this.#api.session.violations;
  }

  /** The init phase; runs by itself before the first invocation, and again after the process has ended. */
  async init(): Promise<InitFailure | undefined> {
    const started = await this.#start();
    return 'session' in started ? undefined : started;
  }

  /** One invocation; as many at a time as the environment was made for. Throws CANCELLED. */
  async invoke(payload: Uint8Array, options: InvokeOptions = {}): Promise<InvokeResult> {
    const { settings } = this.#options;
    const { functionVersion, timeoutSeconds, memoryMb } = settings;
    const requestId = options.requestId ?? randomUUID();
    const runtime = await this.#start();
    throwIfCancelled(this.#context.signal);
    const initMs = this.#initMs;
    this.#initMs = undefined;
    const begun = performance.now();
    this.#log.platform('', records.startRecord(requestId, functionVersion));
    const ending: Ending =
      'session' in runtime
        ? await this.#exchange(runtime, requestId, payload, options)
        : { ...runtime, logLines: [], report: { status: 'error' } };
    throwIfCancelled(this.#context.signal);
    await this.#log.settle();
    const durationMs = Math.min(performance.now() - begun, timeoutSeconds * 1000);
    const maxMemoryMb = Math.min(this.#runtime?.process.maxMemoryMb() ?? memoryMb, memoryMb);
    const { logLines: _, report, ...result } = ending;
    const billedMs = Math.ceil(durationMs);
    const figures = { requestId, durationMs, billedMs, memoryMb, maxMemoryMb, initMs, ...report };
    const reported = ending.functionError !== undefined;
    const status = records.statusOf(figures, reported);
    if (status !== 'success')
      this.#log.platform('', records.runtimeDoneRecord(requestId, status, report.errorType ?? ending.errorType));
    this.#log.platform('', records.reportRecord(figures, reported));
    return {
      ...result,
      requestId,
      durationMs,
      billedMs,
      maxMemoryMb,
      ...(initMs === undefined ? {} : { initMs }),
      logs: this.#linesOf(requestId),
    };
  }

  /** Ends the environment: SIGTERM and `budgetMs` of grace, SIGKILL, clean-up. */
  async shutdown(budgetMs: number = shutdownBudgetMs.none): Promise<void> {
    const process = this.#runtime?.process;
    if (process !== undefined && budgetMs > 0) {
      process.terminate();
      await Promise.race([process.exited, sleep(budgetMs, undefined, { ref: false })]);
    }
    await process?.kill();
    await this.#log.settle();
    await this.#api.close();
    await this.sandbox.close();
  }

  #start(): Promise<Runtime | InitFailure> {
    if (this.#runtime !== undefined) return Promise.resolve(this.#runtime);
    this.#starting ??= this.#launch().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #launch(): Promise<Runtime | InitFailure> {
    throwIfCancelled(this.#context.signal);
    const { settings, initTimeoutMs, runtimeVersion = 'make-runtime' } = this.#options;
    const { functionName, functionVersion, memoryMb, timeoutSeconds } = settings;
    const limitMs = initTimeoutMs ?? Math.max(initLimitMs, timeoutSeconds * 1000);
    this.#log.platform(
      '',
      records.initStartRecord({ initializationType, runtimeVersion, functionName, functionVersion, memoryMb }),
    );
    const session = this.#api.begin();
    const process = await this.sandbox.start([this.#entrypoint], { env: this.#env, memoryMb });
    process.output.setEncoding('utf8');
    process.output.on('data', (text: string) => this.#log.write(text));
    const runtime: Runtime = { process, session };
    this.#runtime = runtime;
    void process.exited.then(() => {
      if (this.#runtime === runtime) this.#runtime = undefined;
    });
    const timer = new AbortController();
    const timedOut = sleep(limitMs, 'timeout' as const, { signal: timer.signal }).catch(() => 'never' as const);
    const event = await Promise.race([
      session.ready,
      session.initError,
      process.exited.then((exit) => ({ exit })),
      timedOut,
    ]);
    timer.abort();
    const executed = (await Promise.race([process.started, Promise.resolve(undefined)])) ?? performance.now();
    const at = typeof event === 'string' ? performance.now() : 'exit' in event ? event.exit.at : event.at;
    const durationMs = Math.max(0, at - executed);
    let ending: Ending;
    if (typeof event === 'string') ending = endingOf.timeout('', limitMs / 1000);
    else if ('exit' in event) ending = endingOf.exit(event.exit, '');
    else if ('body' in event) ending = endingOf.initError(event);
    else {
      this.#initMs = durationMs;
      this.#log.platform('', records.initReportRecord(durationMs, 'init', 'success', initializationType));
      return runtime;
    }
    // A runtime that has reported its init error ends by itself; what it says until then belongs to the logs.
    await Promise.race([process.exited, sleep(500, undefined, { ref: false })]);
    await process.kill();
    await this.#log.settle();
    const status = typeof event === 'string' ? 'timeout' : 'error';
    this.#log.platform(
      '',
      records.initReportRecord(durationMs, 'init', status, initializationType, ending.report.errorType),
    );
    const { logLines: _, report: __, ...failure } = ending;
    return failure;
  }

  async #exchange(
    { process, session }: Runtime,
    requestId: string,
    payload: Uint8Array,
    options: InvokeOptions,
  ): Promise<Ending> {
    const { settings } = this.#options;
    const { onChunk, onHead, ...given } = options;
    const timeoutMs = settings.timeoutSeconds * 1000;
    const timer = new AbortController();
    const timedOut = sleep(timeoutMs, 'timeout' as const, { signal: timer.signal }).catch(() => 'never' as const);
    const outcome = session.offer(
      { functionArn: functionArn(settings), ...given, requestId, deadlineMs: Date.now() + timeoutMs, body: payload },
      { ...(onChunk ? { onChunk } : {}), ...(onHead ? { onHead } : {}) },
    );
    const first = await Promise.race([outcome, process.exited.then((exit) => ({ exit })), timedOut]);
    timer.abort();
    if (typeof first === 'string') {
      session.expire(requestId);
      return endingOf.timeout(requestId, settings.timeoutSeconds);
    }
    return 'exit' in first ? endingOf.exit(first.exit, requestId) : endingOf.outcome(first);
  }

  /** The lines that say that they belong to an invocation. */
  #linesOf(requestId: string): LogLine[] {
    return this.#lines.filter(({ text }) => text.includes(requestId));
  }
}
