// The story of `make-runtime serve`: functions with their environments, a server in front of them, and an end that leaves
// nothing behind. Returns as soon as everything listens; what happens from then on is in the journal.
// Knows nothing of terminals or of how layers are built.
import { setMaxListeners } from 'node:events';
import { functionFailure } from '../lambda/failure.ts';
import type { FunctionSettings } from '../lambda/function-env.ts';
import type { SandboxOptions } from '../lambda/sandbox.ts';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { defaultRetryDelaysMs } from './asynchronous.ts';
import { type DebugLayer, type DebugRequest, debugLayer } from './debug.ts';
import { LocalFunction } from './function.ts';
import { answerUrl } from './function-url.ts';
import type { Front } from './http-event.ts';
import { Journal } from './journal.ts';
import { EnvironmentMaker } from './maker.ts';
import type { Functions } from './names.ts';
import { answerPage } from './page-server.ts';
import { type Listening, listen } from './server.ts';
import { CodeWatcher } from './watch.ts';

/** A function as a person names it. */
export interface FunctionRequest {
  readonly name: string;
  readonly codeDir: string;
  /** `module.function`. */
  readonly handler: string;
}

export interface ServeRequest extends Pick<SandboxOptions, 'layerDirs' | 'visible' | 'kinds'> {
  /** At least one; the first answers on the bare host. */
  readonly functions: readonly FunctionRequest[];
  readonly env: Readonly<Record<string, string>>;
  readonly host?: string;
  /** Default 9000; 0 takes any free one. */
  readonly port?: number;
  readonly memoryMb?: number;
  readonly timeoutSeconds?: number;
  /** Environments of a function at most. Default 10. */
  readonly concurrency?: number;
  /** One Managed Instances environment with so many invocations at a time, instead of environments with one each. */
  readonly managed?: number;
  readonly idleSeconds?: number;
  readonly aliases?: readonly string[];
  readonly retryDelaysMs?: readonly number[];
  readonly destinations?: string;
  /** Function URLs stream (InvokeMode RESPONSE_STREAM). */
  readonly stream?: boolean;
  /** What is saved in a function's folder is served by the next invocation. */
  readonly watch?: boolean;
  /** The function waits for a debugger before its handler is imported. */
  readonly debug?: DebugRequest;
  /** What stands in front of the functions on `/`. */
  readonly front?: Front;
  readonly runtimeVersion?: string;
}

export interface Serving {
  readonly url: string;
  readonly functions: Functions;
  readonly journal: Journal;
  /** Ends everything: no further requests, SIGTERM to the environments, SIGKILL after Lambda's grace. */
  close(): Promise<void>;
}

const defaults = {
  host: '127.0.0.1',
  port: 9000,
  memoryMb: 128,
  timeoutSeconds: 3,
  concurrency: 10,
  idleSeconds: 600,
  region: 'us-east-1',
  /** AWS's example account: there is no real one here. */
  accountId: '123456789012',
} as const;

/**
 * Starts a local Lambda. Of each function one environment is initialised before this returns, so that what is wrong with
 * a handler is said at once.
 * @throws PORT_TAKEN, USAGE, CODE_NOT_FOUND, ARTIFACT_NOT_FOUND, SANDBOX_UNAVAILABLE, what functionFailure() makes of a
 *   failed init (HANDLER_NOT_FOUND, FUNCTION_IMPORT_ERROR, ...), CANCELLED
 */
export async function serve(request: ServeRequest, context: Context): Promise<Serving> {
  checkLimits(request);
  const journal = new Journal();
  const stop = new AbortController();
  // Every environment listens to it, and there may be hundreds.
  setMaxListeners(0, stop.signal);
  // Ctrl-C would kill environments at once; here they shall be asked first.
  const inner: Context = { ...context, signal: stop.signal };
  const onTrouble = (message: string): void => context.report({ type: 'warn', message });
  let listening: Listening | undefined;
  const watchers: CodeWatcher[] = [];
  const makers: EnvironmentMaker[] = [];
  let debug: DebugLayer | undefined;
  const functions = Object.assign(new Map<string, LocalFunction>(), { streams: request.stream ?? false });
  const close = async (): Promise<void> => {
    await listening?.close();
    const left = await Promise.all([...functions.values()].map((fn) => fn.close()));
    const given = left.reduce((sum, count) => sum + count, 0);
    await Promise.all(makers.map((maker) => maker.close()));
    await Promise.all(watchers.map((watcher) => watcher.close()));
    await debug?.remove();
    if (given > 0) onTrouble(`${given} asynchronous event${given > 1 ? 's were' : ' was'} given up.`);
    stop.abort();
  };
  const cancelled = new Promise<never>((_, reject) => {
    context.signal.addEventListener('abort', () => reject(new MakeRuntimeError('CANCELLED', 'Stopped.')));
  });
  cancelled.catch(() => {});
  try {
    debug = await withDebugger(request, context);
    const asked =
      debug === undefined ? request : { ...request, ...patient, layerDirs: [...request.layerDirs, debug.folder] };
    for (const one of request.functions)
      await add(one, asked, { functions, watchers, makers, journal, onTrouble }, inner);
    listening = await listen({
      host: request.host ?? defaults.host,
      port: request.port ?? defaults.port,
      functions,
      functionUrl: (asked, response) => answerUrl(asked, response, functions, request.front ?? 'function-url'),
      page: (asked, response) => answerPage(asked, response, { functions, journal, packageDir: context.packageDir }),
      onTrouble,
    });
    for (const fn of functions.values()) {
      if (debug !== undefined) {
        // Not waited for: it waits for a person.
        fn.prepare().catch((error: Error) => onTrouble(error.message));
        continue;
      }
      const failure = await Promise.race([fn.prepare(), cancelled]);
      // Who watches is about to correct it; the journal has the failure.
      if (failure !== undefined && !request.watch) throw functionFailure(failure)!;
    }
    const { host, port } = listening;
    return { url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`, functions, journal, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Of a function that somebody steps through: one environment, and Lambda's longest timeout. */
const patient = {
  concurrency: 1,
  timeoutSeconds: 900,
  initTimeoutMs: 24 * 3600 * 1000,
  idleSeconds: 24 * 3600,
} as const;

function withDebugger(request: ServeRequest, context: Context): Promise<DebugLayer> | undefined {
  const [first, ...others] = request.functions;
  if (request.debug === undefined || first === undefined) return undefined;
  if (others.length > 0 || request.watch || request.managed !== undefined)
    throw new MakeRuntimeError('USAGE', 'A debugger is for one function in one process.', {
      remedy: 'Leave out --watch, --managed-instances and further functions while you debug.',
    });
  return debugLayer(request.debug, { layerDirs: request.layerDirs, codeDir: first.codeDir }, context);
}

interface Parts {
  readonly functions: Map<string, LocalFunction>;
  readonly watchers: CodeWatcher[];
  readonly makers: EnvironmentMaker[];
  readonly journal: Journal;
  readonly onTrouble: (message: string) => void;
}

/** Makes one function, and where that is wanted the watcher of its code. */
async function add(
  { name, codeDir, handler }: FunctionRequest,
  request: ServeRequest & { readonly initTimeoutMs?: number },
  { functions, watchers, makers, journal, onTrouble }: Parts,
  context: Context,
): Promise<void> {
  const { layerDirs, visible, kinds, runtimeVersion, managed, initTimeoutMs } = request;
  checkName(name, functions);
  const settings: FunctionSettings = {
    handler,
    functionName: name,
    memoryMb: request.memoryMb ?? defaults.memoryMb,
    timeoutSeconds: request.timeoutSeconds ?? defaults.timeoutSeconds,
    region: request.env['AWS_REGION'] ?? defaults.region,
    accountId: defaults.accountId,
    functionVersion: '$LATEST',
    env: request.env,
  };
  const maker = new EnvironmentMaker(
    {
      layerDirs,
      settings,
      managed,
      ...(visible === undefined ? {} : { visible }),
      ...(kinds === undefined ? {} : { kinds }),
      ...(runtimeVersion === undefined ? {} : { runtimeVersion }),
      ...(initTimeoutMs === undefined ? {} : { initTimeoutMs }),
    },
    context,
  );
  makers.push(maker);
  const deploy = (copy: string, changed: readonly string[], tookMs: number): void => {
    fn.deploy(copy, changed, tookMs);
    // Ahead of the next invocation, and so that what is wrong is said when it is saved.
    fn.prepare().catch((error: Error) => onTrouble(error.message));
  };
  const watcher = request.watch ? await CodeWatcher.start({ folder: codeDir, deploy }, context) : undefined;
  if (watcher !== undefined) watchers.push(watcher);
  const fn: LocalFunction = new LocalFunction({
    settings,
    codeDir: watcher?.copy ?? codeDir,
    aliases: request.aliases ?? [],
    concurrency: managed ?? request.concurrency ?? defaults.concurrency,
    managed: managed !== undefined,
    idleMs: (request.idleSeconds ?? defaults.idleSeconds) * 1000,
    retryDelaysMs: request.retryDelaysMs ?? defaultRetryDelaysMs,
    destinations: request.destinations,
    make: (folder) => maker.make(folder),
    ...(watcher === undefined ? {} : { fresh: () => watcher.fresh(), onReady: () => maker.keepSpare(watcher.next) }),
    journal,
    onTrouble,
  });
  functions.set(name, fn);
}

/** What Lambda takes in a function's configuration (API reference: CreateFunction, CapacityProviderConfig). */
const limits = [
  ['memoryMb', 'Memory', 128, 10_240],
  ['timeoutSeconds', 'The timeout', 1, 900],
  ['managed', 'The concurrency of a Managed Instances environment', 1, 1600],
  ['concurrency', 'Concurrency', 1, 1000],
] as const;

function checkLimits(request: ServeRequest): void {
  for (const [name, what, least, most] of limits) {
    const value = request[name];
    if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) continue;
    throw new MakeRuntimeError('USAGE', `${what} is a whole number from ${least} to ${most}, not ${value}.`, {
      remedy: 'Lambda takes no other.',
    });
  }
}

function checkName(name: string, all: ReadonlyMap<string, unknown>): void {
  if (!/^[a-zA-Z0-9-_]{1,64}$/.test(name))
    throw new MakeRuntimeError('USAGE', `${JSON.stringify(name)} is not a name Lambda accepts for a function.`, {
      remedy: 'Use 1 to 64 letters, digits, hyphens and underscores.',
    });
  if (all.has(name))
    throw new MakeRuntimeError('USAGE', `Two functions are called ${name}.`, {
      remedy: 'Give each --function a NAME of its own.',
    });
}
