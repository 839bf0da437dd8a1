// One Lambda execution environment: a sandbox, a Runtime API server and the life cycle that Lambda gives them (init,
// invoke, timeout, crash and restart, shutdown), with CloudWatch's log lines. What a function does wrong becomes a
// result as Lambda words it; only what stops Lambda itself (no sandbox, no bootstrap, cancelled) is thrown.
// Knows nothing of command lines or HTTP callers. Source of the rules: Developer Guide,
// lambda-runtime-environment, and AWS's emulator.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import { entrypointArch, findEntrypoint } from './entrypoint.ts';
import { checkUserEnv, type FunctionSettings, functionArn, platformEnv } from './function-env.ts';
import type { InitFailure, InvokeResult } from './invoke-result.ts';
import { describeExit, type Ending, endingOf } from './invoke-result.ts';
import * as lines from './log-lines.ts';
import { newLogStream } from './log-stream.ts';
import * as records from './platform-records.ts';
import {
  type Invocation,
  type OfferOptions,
  type Outcome,
  type ReportedError,
  RuntimeApi,
  type RuntimeSession,
} from './runtime-api.ts';
import { type Exit, type Primed, Sandbox, type SandboxOptions, type SandboxProcess } from './sandbox.ts';

export interface EnvironmentOptions extends SandboxOptions {
  readonly settings: FunctionSettings;
  /** What INIT_START calls the runtime. */
  readonly runtimeVersion?: string;
  /** Milliseconds for the init phase; Lambda gives 10 s. */
  readonly initTimeoutMs?: number;
  /** Sees every log line as it comes. */
  readonly onLog?: (line: lines.LogLine) => void;
}

/** `functionArn` is the function's own by default; a caller that used an alias is told the alias's. */
export interface InvokeOptions extends Partial<Omit<Invocation, 'body' | 'deadlineMs'>>, OfferOptions {}

/** How long Lambda lets a runtime live after SIGTERM, in milliseconds, by the extensions there are (Developer Guide: lambda-runtime-environment). */
export const shutdownBudgetMs = { none: 0, internal: 500, external: 600 } as const;

const initializationType = 'on-demand';

/** Lambda's own limit for the init phase. */
const initLimitMs = 10_000;

interface Runtime {
  readonly process: SandboxProcess;
  readonly session: RuntimeSession;
}

type Init =
  | { readonly kind: 'ready'; readonly durationMs: number }
  | { readonly kind: 'timeout'; readonly durationMs: number }
  | { readonly kind: 'reported'; readonly durationMs: number; readonly error: ReportedError }
  | { readonly kind: 'exit'; readonly durationMs: number; readonly exit: Exit };

export class ExecutionEnvironment {
  readonly sandbox: Sandbox;
  readonly #api: RuntimeApi;
  readonly #options: EnvironmentOptions;
  readonly #context: Context;
  readonly #log: lines.LogLines;
  readonly #entrypoint: string;
  readonly #env: Readonly<Record<string, string>>;
  #runtime: Runtime | undefined;
  #primed: Primed | undefined;
  #initPhaseDone = false;
  /** Of an init phase that went well, until the first REPORT has told it. */
  #initMs: number | undefined;
  #maxMemoryMb = 0;

  private constructor(
    sandbox: Sandbox,
    api: RuntimeApi,
    options: EnvironmentOptions,
    entrypoint: string,
    context: Context,
  ) {
    this.sandbox = sandbox;
    this.#api = api;
    this.#options = options;
    this.#context = context;
    this.#entrypoint = entrypoint;
    this.#log = new lines.LogLines(options.onLog, records.logFormatOf(options.settings.env));
    const stream = newLogStream(options.settings.functionVersion);
    const { settings } = options;
    this.#env = { ...platformEnv(settings, sandbox.places, api.address, stream), ...settings.env };
  }

  /**
   * Prepares an environment; nothing runs yet. Throws USAGE for variables Lambda refuses, SANDBOX_UNAVAILABLE,
   * ARTIFACT_NOT_FOUND, CODE_NOT_FOUND, and what `findEntrypoint` throws. Call `shutdown()` when done.
   */
  static async create(options: EnvironmentOptions, context: Context): Promise<ExecutionEnvironment> {
    checkUserEnv(options.settings.env);
    const sandbox = await Sandbox.open({ archOf: entrypointArch, ...options }, context);
    try {
      const entrypoint = await findEntrypoint(sandbox.folders, sandbox.places, sandbox.emulation?.arch);
      if (sandbox.emulation) {
        const message = `${sandbox.emulation.name} runs this: times and memory are not those of ${sandbox.emulation.arch} processors.`;
        context.report({ type: 'note', message });
      }
      const api = await RuntimeApi.listen();
      return new ExecutionEnvironment(sandbox, api, options, entrypoint, context);
    } catch (error) {
      await sandbox.close();
      throw error;
    }
  }

  /** The calls of the current runtime process that Lambda would have refused. */
  get violations(): RuntimeSession['violations'] {
    return this.#api.session.violations;
  }

  /** The current runtime process's session, for tests and tools that look at the wire. */
  get session(): RuntimeSession {
    return this.#api.session;
  }

  /**
   * The init phase. Runs by itself before the first invocation; never throws for what a function does: Lambda repeats a
   * failed init in `invoke`.
   * @returns what went wrong, for callers that want to say so before the first invocation
   */
  async init(): Promise<InitFailure | undefined> {
    if (this.#initPhaseDone) return undefined;
    this.#initPhaseDone = true;
    const runtimeVersion = this.#options.runtimeVersion ?? 'make-runtime';
    const { functionName, functionVersion, memoryMb } = this.#options.settings;
    this.#log.platform(
      lines.initStart(runtimeVersion),
      records.initStartRecord({ initializationType, runtimeVersion, functionName, functionVersion, memoryMb }),
    );
    const init = await this.#start(this.#options.initTimeoutMs ?? initLimitMs, 'init');
    if (init.kind === 'ready') {
      this.#initMs = init.durationMs;
      return undefined;
    }
    const { logLines: _, report: __, ...failure } = this.#endingOfInit(init, '', limitSeconds(this.#options));
    return failure;
  }

  /** Does what can be done before the code is there: its folder may be filled until the init phase begins. */
  async prime(): Promise<void> {
    this.#primed = await this.sandbox.prime(this.#options.settings.memoryMb);
  }

  /**
   * One invocation, one at a time. `payload` is the event, passed on byte by byte.
   * Throws CANCELLED when the context's signal fires; everything a function can do wrong is in the result.
   */
  async invoke(payload: Uint8Array, options: InvokeOptions = {}): Promise<InvokeResult> {
    await this.init();
    const { settings } = this.#options;
    const requestId = options.requestId ?? randomUUID();
    const timeoutMs = settings.timeoutSeconds * 1000;
    const begun = performance.now();
    const deadlineMs = Date.now() + timeoutMs;
    const left = (): number => timeoutMs - (performance.now() - begun);
    const { functionVersion } = settings;
    this.#log.platform(lines.start(requestId, functionVersion), records.startRecord(requestId, functionVersion));
    const initMs = this.#initMs;
    this.#initMs = undefined;

    const init: Init =
      this.#runtime === undefined ? await this.#start(left(), 'invoke') : { kind: 'ready', durationMs: 0 };
    throwIfCancelled(this.#context.signal);
    let ending: Ending;
    let doneAt = performance.now();
    if (init.kind !== 'ready') ending = this.#endingOfInit(init, requestId, settings.timeoutSeconds);
    else {
      const { onChunk, onHead, ...given } = options;
      const event: Invocation = {
        functionArn: functionArn(settings),
        ...given,
        requestId,
        deadlineMs,
        body: payload,
      };
      const listeners = { ...(onChunk ? { onChunk } : {}), ...(onHead ? { onHead } : {}) };
      [ending, doneAt] = await this.#exchange(event, listeners, left, settings.timeoutSeconds);
    }
    throwIfCancelled(this.#context.signal);
    await this.#log.settle();
    for (const line of ending.logLines) this.#log.platform(line);

    const timedOut = ending.statusKind === 'timeout';
    const durationMs = timedOut ? timeoutMs : Math.min(doneAt - begun, timeoutMs);
    const billedMs = Math.ceil(durationMs + (initMs ?? 0));
    const maxMemoryMb = this.#measure();
    const { status, errorType } = ending.report;
    const figures = { requestId, durationMs, billedMs, memoryMb: settings.memoryMb, maxMemoryMb, initMs };
    const reported = ending.functionError !== undefined;
    const whole = { ...figures, status, errorType };
    const done = records.statusOf(whole, reported);
    this.#log.platform(
      lines.end(requestId),
      done === 'success' ? undefined : records.runtimeDoneRecord(requestId, done, errorType),
    );
    this.#log.platform(lines.report(whole), records.reportRecord(whole, reported));
    const { logLines: _, report: __, ...result } = ending;
    return {
      ...result,
      requestId,
      durationMs,
      billedMs,
      maxMemoryMb,
      ...(initMs === undefined ? {} : { initMs }),
      logs: this.#log.take(),
    };
  }

  /**
   * Ends the environment: SIGTERM and `budgetMs` of grace, SIGKILL, clean-up. As on Lambda, there is grace by default
   * only where the runtime has registered an extension.
   */
  async shutdown(
    budgetMs: number = this.session.extensions.size > 0 ? shutdownBudgetMs.internal : shutdownBudgetMs.none,
  ): Promise<lines.LogLine[]> {
    const process = this.#runtime?.process;
    if (process !== undefined && budgetMs > 0) {
      process.terminate();
      await Promise.race([process.exited, quietSleep(budgetMs)]);
    }
    await this.#stop();
    await this.#log.settle();
    await this.#api.close();
    await this.sandbox.close();
    return this.#log.take();
  }

  /** Starts the runtime and waits for its first `next`, at most `limitMs`. Leaves no process behind unless ready. */
  async #start(limitMs: number, phase: 'init' | 'invoke'): Promise<Init> {
    throwIfCancelled(this.#context.signal);
    const session = this.#api.begin();
    const asked = performance.now();
    const { memoryMb } = this.#options.settings;
    const primed = this.#primed?.ended() === false ? this.#primed : await this.sandbox.prime(memoryMb);
    this.#primed = undefined;
    primed.release([this.#entrypoint], this.#env);
    const { process } = primed;
    process.output.setEncoding('utf8');
    process.output.on('data', (text: string) => this.#log.write(text));
    this.#runtime = { process, session };
    const timer = new AbortController();
    const event = await Promise.race([
      session.ready.then(({ at }) => ({ kind: 'ready' as const, at })),
      session.initError.then(({ at, ...error }) => ({ kind: 'reported' as const, at, error })),
      process.exited.then((exit) => ({ kind: 'exit' as const, at: exit.at, exit })),
      // Putting up the sandbox is not the function's time, except inside an invocation, whose deadline is fixed.
      (phase === 'init' ? process.started : Promise.resolve())
        .then(() => sleep(limitMs, undefined, { signal: timer.signal }))
        .then(
          () => ({ kind: 'timeout' as const, at: performance.now() }),
          () => new Promise<never>(() => {}),
        ),
    ]);
    timer.abort();
    const executed = (await Promise.race([process.started, Promise.resolve(asked)])) ?? asked;
    const durationMs = Math.max(0, event.at - executed);
    if (event.kind === 'ready') return { kind: 'ready', durationMs };
    // A runtime that has reported its init error ends by itself; what it says until then belongs to the logs.
    if (event.kind === 'reported') await Promise.race([process.exited, quietSleep(500)]);
    await this.#stop();
    await this.#log.settle();
    throwIfCancelled(this.#context.signal);
    const type = event.kind === 'reported' ? event.error.errorType : undefined;
    const exitType = event.kind === 'exit' ? describeExit(event.exit).errorType : type;
    const status = event.kind === 'timeout' ? 'timeout' : 'error';
    this.#log.platform(
      lines.initReport(durationMs, phase, status, exitType),
      records.initReportRecord(durationMs, phase, status, initializationType, exitType),
    );
    if (event.kind === 'timeout') return { kind: 'timeout', durationMs };
    if (event.kind === 'reported') return { kind: 'reported', durationMs, error: event.error };
    return { kind: 'exit', durationMs, exit: event.exit };
  }

  /** Hands the event over and waits until the invocation is over in Lambda's sense: answer and `next`. */
  async #exchange(
    event: Invocation,
    listeners: OfferOptions,
    left: () => number,
    timeoutSeconds: number,
  ): Promise<[Ending, number]> {
    const { process, session } = this.#runtime!;
    const timer = new AbortController();
    const timedOut = sleep(Math.max(0, left()), 'timeout' as const, { signal: timer.signal }).catch(
      () => 'never' as const,
    );
    const exited = process.exited.then((exit) => ({ exit }));
    const offer = session.offer(event, listeners);
    const first = await Promise.race([offer.outcome, exited, timedOut]);
    const stopWith = async (ending: Ending): Promise<[Ending, number]> => {
      timer.abort();
      const at = performance.now();
      await this.#stop();
      return [ending, at];
    };
    if (first === 'timeout' || first === 'never') return stopWith(endingOf.timeout(event.requestId, timeoutSeconds));
    if ('exit' in first) return stopWith(endingOf.exit(first.exit, event.requestId));
    if (first.kind === 'truncated') {
      // Most often the process has died in the middle of its answer; then its death is what Lambda reports.
      const death = await Promise.race([exited, quietSleep(200)]);
      if (death !== undefined) return stopWith(endingOf.exit(death.exit, event.requestId));
    }
    const ending = endingOf.outcome(first as Outcome);
    const last = await Promise.race([offer.finished, exited, timedOut]);
    if (typeof last === 'object' && 'at' in last) {
      timer.abort();
      return [ending, last.at];
    }
    // The caller has its answer already; the environment still has to go.
    const late = typeof last === 'object' ? describeExit(last.exit) : undefined;
    const note = late === undefined ? [] : [`RequestId: ${event.requestId} Error: ${late.message}`, late.errorType];
    const report =
      late === undefined ? ({ status: 'timeout' } as const) : ({ status: 'error', errorType: late.errorType } as const);
    return stopWith({ ...ending, logLines: [...ending.logLines, ...note], report });
  }

  #endingOfInit(init: Exclude<Init, { kind: 'ready' }>, requestId: string, seconds: number): Ending {
    if (init.kind === 'reported') return endingOf.initError(init.error);
    return init.kind === 'exit' ? endingOf.exit(init.exit, requestId) : endingOf.timeout(requestId, seconds);
  }

  /** Kills the runtime; /tmp stays (Developer Guide: lambda-runtime-environment). */
  async #stop(): Promise<void> {
    const runtime = this.#runtime;
    if (runtime === undefined) return;
    this.#measure();
    this.#runtime = undefined;
    await runtime.process.kill();
    this.#measure(runtime.process);
    await Promise.race([closed(runtime.process), quietSleep(200)]);
  }

  #measure(process = this.#runtime?.process): number {
    const { memoryMb } = this.#options.settings;
    this.#maxMemoryMb = Math.max(this.#maxMemoryMb, Math.min(process?.maxMemoryMb() ?? 0, memoryMb));
    return this.#maxMemoryMb;
  }
}

function limitSeconds({ initTimeoutMs }: EnvironmentOptions): number {
  return (initTimeoutMs ?? initLimitMs) / 1000;
}

function closed(process: SandboxProcess): Promise<void> {
  return new Promise((resolve) => {
    if (process.output.destroyed || process.output.readableEnded) resolve();
    else process.output.once('close', () => resolve());
  });
}

/** A timer that does not keep the program alive. */
function quietSleep(milliseconds: number): Promise<undefined> {
  return sleep(milliseconds, undefined, { ref: false });
}
