// `make-runtime serve`: a local Lambda in the foreground. Its address on stdout, logs as CloudWatch shows them on stderr;
// with --json everything that happens on stdout, one object a line. Ends with Ctrl-C.
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { MakeRuntimeError } from '../lib/errors.ts';
import { unpackLayer } from '../package/unpack.ts';
import { buildRuntime, resolvePlan } from '../pipeline.ts';
import type { Plan } from '../recipe/model.ts';
import type { DebugRequest } from '../serve/debug.ts';
import { readEnvFile } from '../serve/env-file.ts';
import type { Front } from '../serve/http-event.ts';
import type { Entry } from '../serve/journal.ts';
import { type FunctionRequest, serve as serveFunctions } from '../serve/serve.ts';
import type { Edge } from './edge.ts';
import { readVariable } from './variable.ts';

export interface ServeOptions {
  readonly subject: string;
  readonly code?: string;
  readonly handler?: string;
  readonly name: string;
  readonly function: readonly string[];
  readonly layer: readonly string[];
  readonly env: readonly string[];
  readonly envFile: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly timeout: number;
  readonly memory: number;
  readonly concurrency: number;
  readonly managedInstances?: number;
  readonly idle: number;
  readonly alias: readonly string[];
  readonly stream?: boolean;
  readonly front: Front;
  readonly watch?: boolean;
  readonly debug?: number | true;
  readonly debugpy?: string;
  readonly fetchDebugpy?: boolean;
  readonly retryDelays?: string;
  readonly destinations?: string;
}

export async function serve(options: ServeOptions, edge: Edge): Promise<void> {
  const { ctx } = edge;
  const functions = readFunctions(options);
  const files = await Promise.all(options.envFile.map(readEnvFile));
  const env = Object.assign({}, ...files, Object.fromEntries(options.env.map(readVariable))) as Record<string, string>;
  const retryDelaysMs = options.retryDelays?.split(',').map(readSeconds);
  const layerDirs: string[] = [];
  for (const layer of [await artifactOf(options.subject, edge), ...options.layer])
    layerDirs.push(await unpackLayer(layer, undefined, ctx));
  const runtimeVersion = await versionOf(layerDirs[0]!);
  if (!isLoopback(options.host))
    ctx.report({
      type: 'warn',
      message: `Everybody who reaches ${options.host} can run these functions and read their logs.`,
      remedy: 'Leave --host out to listen on loopback only.',
    });
  const serving = await serveFunctions(
    {
      layerDirs,
      functions,
      env,
      host: options.host,
      port: options.port,
      memoryMb: options.memory,
      timeoutSeconds: options.timeout,
      concurrency: options.concurrency,
      idleSeconds: options.idle,
      ...(options.managedInstances === undefined ? {} : { managed: options.managedInstances }),
      aliases: options.alias,
      ...(runtimeVersion === undefined ? {} : { runtimeVersion }),
      stream: options.stream ?? false,
      front: options.front,
      watch: options.watch ?? false,
      ...(options.debug === undefined ? {} : { debug: readDebug(options.debug, options) }),
      ...(retryDelaysMs === undefined ? {} : { retryDelaysMs }),
      ...(options.destinations === undefined ? {} : { destinations: resolve(options.destinations) }),
    },
    ctx,
  );
  try {
    const { url, journal } = serving;
    const names = functions.map(({ name }) => name);
    edge.print(edge.json ? JSON.stringify({ type: 'listening', url, functions: names }) : url);
    const show = edge.json
      ? (entry: Entry) => edge.print(JSON.stringify(entry))
      : (entry: Entry) => forPeople(entry, functions.length > 1, edge);
    for (const entry of journal.since(0)) show(entry);
    journal.read(show);
    edge.say(
      edge.colors.dim(
        `Try  aws lambda invoke --endpoint-url ${url} --function-name ${names[0]} --no-sign-request --region us-east-1 /dev/stdout`,
      ),
    );
    edge.say(edge.colors.dim(`or   curl ${url}/   or open ${url}/_/   Ctrl-C ends it.`));
    if (!ctx.signal.aborted) await once(ctx.signal, 'abort');
  } finally {
    await serving.close();
  }
}

/** A layer that is there, or the one that a recipe makes. */
async function artifactOf(subject: string, { ctx }: Edge): Promise<string> {
  if (/\.zip$/i.test(subject)) return subject;
  const found = await stat(subject).catch(() => undefined);
  if (found?.isFile() && !subject.endsWith('.toml')) return subject;
  return (await buildRuntime(await resolvePlan({ recipe: subject }, ctx), 'dist/out', ctx)).layer.path;
}

/** What INIT_START calls the runtime: `python:3.13.5t`, of layers that this tool built. */
async function versionOf(layerDir: string): Promise<string | undefined> {
  try {
    const { plan } = JSON.parse(await readFile(join(layerDir, 'lang', 'build.json'), 'utf8')) as { plan: Plan };
    return `python:${plan.python.version}${plan.flavor === 'free-threaded' ? 't' : ''}`;
  } catch {
    return undefined;
  }
}

function readFunctions({ code, handler, name, function: more }: ServeOptions): FunctionRequest[] {
  if ((code === undefined) !== (handler === undefined) || (code === undefined && more.length === 0))
    throw new MakeRuntimeError('USAGE', `There is no ${code === undefined ? '--code' : '--handler'}.`, {
      remedy: 'Say --code DIR --handler module.function, or --function NAME=DIR:module.function.',
    });
  const first = code === undefined || handler === undefined ? [] : [{ name, codeDir: resolve(code), handler }];
  return [...first, ...more.map(readFunction)];
}

/** `NAME=DIR:module.function`; the folder may hold colons. */
function readFunction(text: string): FunctionRequest {
  const [, name, codeDir, handler] = /^([^=]+)=(.+):([^:]+)$/.exec(text) ?? [];
  if (name === undefined || codeDir === undefined || handler === undefined)
    throw new MakeRuntimeError('USAGE', `"${text}" does not name a function.`, {
      remedy: 'Write --function NAME=DIR:module.function, for example --function orders=./orders:app.handler.',
    });
  return { name, codeDir: resolve(codeDir), handler };
}

/** debugpy's own default port. */
function readDebug(port: number | true, { debugpy, fetchDebugpy }: ServeOptions): DebugRequest {
  return {
    port: port === true ? 5678 : port,
    fetch: fetchDebugpy ?? false,
    ...(debugpy === undefined ? {} : { debugpy }),
  };
}

function readSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() !== '' && seconds >= 0 && Number.isFinite(seconds)) return seconds * 1000;
  throw new MakeRuntimeError('USAGE', `"${text}" is not a number of seconds.`, {
    remedy: 'Write --retry-delays 60,120; an empty list is --retry-delays 0 with one further attempt at once.',
  });
}

function forPeople(entry: Entry, several: boolean, edge: Edge): void {
  const { colors } = edge;
  const who = several ? colors.dim(`${entry.function} `) : '';
  if (entry.type === 'log') {
    // Carriage returns are line ends inside one event (log-lines.ts); in a terminal they would hide what precedes them.
    const text = entry.text.replaceAll('\r', '\n');
    edge.say(`${who}${entry.source === 'platform' ? colors.dim(text) : text}`);
  }
  if (entry.type === 'deployed')
    edge.say(`${who}${colors.green('deployed')} ${entry.changed.join(', ')} in ${entry.tookMs.toFixed(0)} ms`);
  else if (entry.type === 'throttled') edge.say(`${who}${colors.yellow('throttled')}: all environments are busy`);
  else if (entry.type === 'environment-failed') edge.say(`${who}${colors.red('init failed')} ${entry.message}`);
  else if (entry.type === 'event-record')
    edge.say(`${who}${colors.dim(`event ${entry.requestId}: ${entry.condition} after ${entry.attempts} attempts`)}`);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
