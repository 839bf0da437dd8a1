// One file over HTTP into one file on disk, going on where an earlier attempt stopped. Knows nothing of hashes, locks
// or other mirrors. Proxies come from the caller's environment.
import { appendFileSync, closeSync, openSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { type Agent, type Dispatcher, EnvHttpProxyAgent, interceptors, request } from 'undici';
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import { sizeOf } from './cache.ts';

/** A mirror that does not have the file, cannot be reached or stopped answering: the next one may do. */
export class MirrorFailure extends Error {
  override readonly name = 'MirrorFailure';
  /** The HTTP status, where one was what failed. */
  readonly status: number | undefined;

  constructor(message: string, { status, ...options }: ErrorOptions & { readonly status?: number } = {}) {
    super(message, options);
    this.status = status;
  }
}

/** A mirror that sends more than the pinned size: it has something else. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

export interface Patience {
  /** Attempts per mirror when the connection breaks or the server stumbles. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; doubles each time. */
  readonly delay: number;
  /** Milliseconds a server may be silent, before its first byte or between two. */
  readonly silence: number;
}

export const patience: Patience = { attempts: 4, delay: 500, silence: 60_000 };

const connectTimeout = 15_000;

/**
 * Downloads into `part`, appending when `part` is the beginning of the same file.
 * @param limit bytes that may be written at most; Infinity when unknown
 * @returns whether anything on disk was reused
 * @throws MirrorFailure, TooLarge; CANCELLED
 */
export async function download(
  url: string,
  part: string,
  limit: number,
  ctx: Context,
  { attempts, delay, silence }: Patience = patience,
): Promise<{ resumed: boolean }> {
  using session = openSession(ctx.env);
  let resumed = false;
  for (let attempt = 1; ; attempt++) {
    throwIfCancelled(ctx.signal);
    try {
      resumed = (await attemptDownload(session.dispatcher, url, part, limit, ctx, silence)) || resumed;
      return { resumed };
    } catch (error) {
      throwIfCancelled(ctx.signal);
      if (error instanceof TooLarge || (error instanceof MirrorFailure && !(error instanceof Stumble))) throw error;
      const reason = error instanceof Stumble ? error.message : networkReason(error);
      if (reason === undefined) throw error;
      if (attempt >= attempts || isHopeless(error)) throw new MirrorFailure(reason, { cause: error });
      ctx.report({ type: 'progress', stage: 'sources', text: `${new URL(url).host}: ${reason}; trying again` });
      await pause(delay * 2 ** (attempt - 1), ctx.signal);
    }
  }
}

/** True when the server says it has the file. */
export async function answers(url: string, ctx: Context): Promise<boolean> {
  using session = openSession(ctx.env);
  try {
    const { statusCode, body } = await ask(url, connectTimeout, ctx, {
      method: 'HEAD',
      dispatcher: session.dispatcher,
    });
    await body.dump();
    return statusCode === 200;
  } catch {
    throwIfCancelled(ctx.signal);
    return false;
  }
}

/** The server answered with a status that may pass: 5xx, 408, 429. */
export class Stumble extends MirrorFailure {}

async function attemptDownload(
  dispatcher: Dispatcher,
  url: string,
  part: string,
  limit: number,
  ctx: Context,
  silence: number,
): Promise<boolean> {
  const have = (await sizeOf(part)) ?? 0;
  const before = await readNote(part);
  // Bytes of another address, or of unknown origin, may still be the same file; the hash decides in the end.
  const validator = before?.url === url ? before.validator : undefined;
  const response = await ask(url, silence, ctx, {
    dispatcher,
    headers: {
      'accept-encoding': 'identity',
      ...(have > 0 ? { range: `bytes=${have}-` } : {}),
      ...(have > 0 && validator !== undefined ? { 'if-range': validator } : {}),
    },
  });
  const { statusCode, headers, body } = response;
  let start = 0;
  if (statusCode === 206 && startOf(headers['content-range']) === have) start = have;
  else if (statusCode === 416 && have > 0) {
    // Nothing behind what we have: it is whole, or longer than the file. The hash will tell.
    await body.dump();
    return true;
  } else if (statusCode !== 200) {
    await body.dump();
    const text = `answered HTTP ${statusCode}`;
    const Failure = statusCode >= 500 || statusCode === 408 || statusCode === 429 ? Stumble : MirrorFailure;
    throw new Failure(text, { status: statusCode });
  }
  await keep(body, part, start, limit, JSON.stringify({ url, validator: validatorOf(headers) }), (size) => {
    const of = Number.isFinite(limit) ? ` of ${megabytes(limit)}` : '';
    ctx.report({ type: 'progress', stage: 'sources', text: `${new URL(url).host}: ${megabytes(size)}${of} MB` });
  });
  return start > 0;
}

/**
 * Writes a body as it comes, so that every byte that arrived before the connection broke is on disk. That is why the
 * calls are synchronous: while one waits, bytes pile up in the stream, and an error throws those away.
 */
function keep(
  body: Dispatcher.ResponseData['body'],
  part: string,
  start: number,
  limit: number,
  note: string,
  progress: (size: number) => void,
): Promise<void> {
  writeFileSync(`${part}.json`, note);
  const file = openSync(part, start === 0 ? 'w' : 'a');
  let size = start;
  let reported = start;
  return new Promise<void>((done, failed) => {
    body.on('error', failed);
    body.on('end', done);
    body.on('data', (chunk: Buffer) => {
      if (body.destroyed) return;
      try {
        size += chunk.length;
        if (size > limit) throw new TooLarge(`sent more than ${limit} bytes`);
        appendFileSync(file, chunk);
        if (size - reported < 1 << 20) return;
        reported = size;
        progress(size);
      } catch (error) {
        body.destroy(error as Error);
      }
    });
  }).finally(() => closeSync(file));
}

export interface AskOptions {
  readonly dispatcher: Dispatcher;
  readonly method?: Dispatcher.HttpMethod;
  readonly headers?: Record<string, string>;
  /** Opens what is sent; the silence is counted from when `sent` was last called. */
  readonly body?: (sent: () => void) => Readable | Buffer;
}

/**
 * One request, answered within `silence` milliseconds or not at all. undici's own timeouts and signals do not reach a
 * request that waits for its connection (a proxy that hangs up, a host that drops packets), hence the race.
 */
export async function ask(
  url: string,
  silence: number,
  ctx: Context,
  { body, ...options }: AskOptions,
): Promise<Dispatcher.ResponseData<unknown>> {
  const stop = new AbortController();
  const signal = AbortSignal.any([ctx.signal, stop.signal]);
  const timer = setTimeout(() => stop.abort(), silence);
  let stopped = () => {};
  try {
    const sent = body?.(() => void timer.refresh());
    const response = request(url, {
      ...options,
      bodyTimeout: silence,
      signal,
      // undici's limit runs while a body is on its way; ours starts again with each piece of it.
      ...(sent === undefined ? {} : { body: sent, headersTimeout: 0 }),
    });
    const gone = new Promise<never>((_, reject) => {
      stopped = () => reject(stop.signal.aborted ? new Stumble(`no answer within ${silence / 1000} s`) : signal.reason);
      signal.addEventListener('abort', stopped, { once: true });
      if (signal.aborted) stopped();
    });
    response.catch(() => {});
    return await Promise.race([response, gone]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stopped);
  }
}

export interface Session extends Disposable {
  readonly dispatcher: Dispatcher;
}

/**
 * Connections through the caller's proxies, closed when it is disposed of.
 * @param redirections how many are followed; 0 for callers that must look at each themselves
 */
export function openSession(env: Context['env'], redirections = 5): Session {
  const agent = new EnvHttpProxyAgent({
    // An empty string, not undefined: undici would look into the process environment itself.
    httpProxy: env.http_proxy ?? env.HTTP_PROXY ?? '',
    httpsProxy: env.https_proxy ?? env.HTTPS_PROXY ?? '',
    noProxy: env.no_proxy ?? env.NO_PROXY ?? '',
    // Plain HTTP is asked of the proxy itself: many proxies tunnel to port 443 only.
    proxyTunnel: false,
    connect: { timeout: connectTimeout },
    proxyTls: { timeout: connectTimeout },
    requestTls: { timeout: connectTimeout },
  } satisfies EnvHttpProxyAgent.Options & Agent.Options);
  const dispatcher =
    redirections === 0 ? agent : agent.compose(interceptors.redirect({ maxRedirections: redirections }));
  // Not awaited: it waits for connections that may never come about.
  return { dispatcher, [Symbol.dispose]: () => void agent.destroy().catch(() => {}) };
}

async function readNote(part: string): Promise<{ url?: string; validator?: string } | undefined> {
  try {
    return JSON.parse(await readFile(`${part}.json`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** A strong ETag, or the date: what If-Range may carry (RFC 9110, 13.1.5). */
function validatorOf(headers: Record<string, string | string[] | undefined>): string | undefined {
  const etag = headers.etag;
  if (typeof etag === 'string' && !etag.startsWith('W/')) return etag;
  const date = headers['last-modified'];
  return typeof date === 'string' ? date : undefined;
}

function startOf(contentRange: string | string[] | undefined): number | undefined {
  const match = /^bytes (\d+)-/.exec(String(contentRange));
  return match ? Number(match[1]) : undefined;
}

const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'host not found',
  EAI_AGAIN: 'the name server does not answer',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection broken',
  EPIPE: 'connection broken',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'no answer',
  UND_ERR_CONNECT_TIMEOUT: `no answer within ${connectTimeout / 1000} s`,
  UND_ERR_HEADERS_TIMEOUT: 'silent for too long',
  UND_ERR_BODY_TIMEOUT: 'silent for too long',
  UND_ERR_SOCKET: 'connection broken',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'sent less than it announced',
  UND_ERR_ABORTED: 'connection broken',
};

/** What happened on the network in a few words; undefined when it was not the network. */
export function networkReason(error: unknown): string | undefined {
  const { code, message, errors } = error as { code?: string; message?: string; errors?: unknown[] };
  const refused = /^Proxy response \((\d+)\)/.exec(message ?? '');
  if (refused) return `the proxy answered HTTP ${refused[1]}`;
  if (code !== undefined && code in reasons) return reasons[code];
  if (Array.isArray(errors) && errors.length > 0) return networkReason(errors[0]);
  if (code?.startsWith('UND_ERR') || code?.startsWith('HPE_')) return message;
  if (code?.startsWith('ERR_TLS') || code?.includes('CERT') || code?.includes('SELF_SIGNED')) return `TLS: ${message}`;
  return undefined;
}

/** Trying again at once cannot help. */
export function isHopeless(error: unknown): boolean {
  const { code, message, errors } = error as { code?: string; message?: string; errors?: unknown[] };
  if (Array.isArray(errors) && errors.length > 0) return isHopeless(errors[0]);
  if (/^Proxy response/.test(message ?? '')) return true;
  return code === 'ENOTFOUND' || code === 'ECONNREFUSED' || code === 'ENETUNREACH' || code?.includes('CERT') === true;
}

export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      done();
    };
    const timer = setTimeout(finish, milliseconds);
    signal.addEventListener('abort', finish, { once: true });
  });
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
