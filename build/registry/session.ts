// A conversation with one registry about one repository: where its API is, what it wants as authorization, redirects,
// retries. Pulling is pull.ts, pushing push.ts; it does not know manifests and blobs.
// Rules for secrets: an authorization goes over TLS or to this very machine only, never to another host that a redirect
// names, and never into a message; a URL in a message has no query, because storage backends sign theirs.
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import {
  ask,
  isHopeless,
  networkReason,
  openSession,
  type Patience,
  patience,
  pause,
  Stumble,
} from '../source/http.ts';
import { isInternal, isLoopback, mayCarrySecrets } from './address.ts';
import { basic, type Credentials, scopesFor, secretsOf, tokenRequest } from './authorize.ts';
import { type Challenge, parseChallenge } from './challenge.ts';
import {
  denied,
  nothingSaid,
  type Purpose,
  parseSaid,
  type Said,
  throttled,
  unreachable,
  unsafePlace,
} from './failure.ts';
import { apiHost, type Reference } from './reference.ts';

export interface RegistryOptions {
  /** Who we are for a registry (as a reference names it); undefined stays anonymous. Asked again when refused. */
  readonly credentials?: (registry: string) => Promise<Credentials | undefined>;
  readonly patience?: Patience;
  /** 'pull' when absent. */
  readonly purpose?: Purpose;
  /** Where the API is when not at the registry's own name: what ECR says with its token. */
  readonly origin?: string;
  /** Repositories of the same registry that blobs may be mounted from. */
  readonly mount?: readonly string[];
}

/** A body that can be sent again: each attempt opens it anew. */
export interface Body {
  /** Bytes. */
  readonly length: number;
  /** @param sent to be called whenever some of it has been taken: the connection is alive */
  readonly open: (sent: () => void) => Readable | Buffer;
}

export interface RegistryRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** Below /v2/<repository>/, for example "manifests/latest"; or a whole address that the registry gave. */
  readonly path: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Body;
}

export interface RegistryAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Dispatcher.ResponseData['body'];
  /** Where it came from: what a relative Location is relative to. */
  readonly url: URL;
}

const maxRedirects = 5;
/** A registry that asks for more than this many seconds is told to the caller instead of waited for. */
const maxWait = 60;

/** Bytes a second at which a registry is trusted to settle what it received, when it is slow. */
const settlingRate = 5_000_000;

/** Statuses that are answers for somebody who reads: there, not there, no more of it. */
const readable = (status: number): boolean => status < 400 || status === 404 || status === 416;

/** One repository of one registry. Dispose of it to close its connections. */
export class Registry implements Disposable {
  readonly reference: Reference;
  readonly #ctx: Context;
  readonly #options: RegistryOptions;
  readonly #http;
  readonly #secrets = new Set<string>();
  readonly #warned = new Set<string>();
  #origin: string | undefined;
  #authorization: string | undefined;

  constructor(reference: Reference, ctx: Context, options: RegistryOptions = {}) {
    this.reference = reference;
    this.#ctx = ctx;
    this.#options = options;
    this.#origin = options.origin;
    if (options.origin !== undefined && !mayCarrySecrets(new URL(options.origin)))
      throw new Error(`${options.origin} is not a TLS address`);
    // This very machine is never behind a proxy (as in Go's ProxyFromEnvironment, which Docker uses).
    const direct = [ctx.env.no_proxy ?? ctx.env.NO_PROXY, 'localhost', '127.0.0.1', '[::1]'].filter(Boolean).join(',');
    this.#http = openSession({ ...ctx.env, no_proxy: direct }, 0);
  }

  [Symbol.dispose](): void {
    this.#http[Symbol.dispose]();
  }

  /** How errors call it: without tag or digest. */
  get name(): string {
    return `${this.reference.registry}/${this.reference.repository}`;
  }

  get patience(): Patience {
    return this.#options.patience ?? patience;
  }

  get purpose(): Purpose {
    return this.#options.purpose ?? 'pull';
  }

  /**
   * Sends a request and follows redirects, again and again as long as the failure may pass. The caller reads the
   * answer's body, or dumps it.
   * @param accepts which statuses are answers; all others are errors here
   * @throws REGISTRY_UNREACHABLE, REGISTRY_DENIED, REGISTRY_THROTTLED; CANCELLED
   */
  send(request: RegistryRequest, accepts: (status: number) => boolean = readable): Promise<RegistryAnswer> {
    const about = request.path instanceof URL ? request.path.pathname : request.path;
    return this.patiently(() => this.once(request), about, accepts);
  }

  /**
   * One request, signed in when the registry wants that; whatever it answers is returned.
   * @throws REGISTRY_UNREACHABLE, REGISTRY_DENIED; Stumble and undici's errors, for patiently(); CANCELLED
   */
  async once(request: RegistryRequest): Promise<RegistryAnswer> {
    if (this.#ctx.offline) throw offline(this.name, this.purpose);
    this.#origin ??= await this.#findOrigin();
    const { path } = request;
    const url = path instanceof URL ? path : new URL(`${this.#origin}/v2/${this.reference.repository}/${path}`);
    const answer = await this.#follow(url, request);
    if (answer.status !== 401) return answer;
    await answer.body.dump();
    this.#authorization = await this.#authorize(parseChallenge(answer.headers['www-authenticate']));
    return this.#follow(url, request);
  }

  /**
   * Runs one attempt after the other as long as the failure may pass: connections that break, 408, 429 and 5xx.
   * @param about what is asked for, for the messages
   */
  async patiently(
    attempt: () => Promise<RegistryAnswer>,
    about: string,
    accepts: (status: number) => boolean = readable,
  ): Promise<RegistryAnswer> {
    const { attempts, delay } = this.patience;
    for (let number = 1; ; number++) {
      throwIfCancelled(this.#ctx.signal);
      let reason: string;
      let cause: unknown;
      let wait = delay * 2 ** (number - 1);
      let last = number >= attempts;
      let busy = false;
      try {
        const answer = await attempt();
        const { status } = answer;
        if (accepts(status)) return answer;
        const said = await this.words(answer);
        if (status === 401 || status === 403) throw denied(this.name, this.purpose, status, said);
        reason = `answered HTTP ${status}${said.text === '' ? '' : ` (${said.text})`}`;
        // Quotas of ECR's come as 400 or 403 in places, and say so in their code.
        busy = status === 429 || said.code === 'TOOMANYREQUESTS';
        if (!busy && status !== 408 && status < 500) last = true;
        const asked = secondsOf(answer.headers['retry-after']);
        if (asked > maxWait) last = true;
        else if (asked >= 0) wait = Math.max(wait, asked * 1000);
      } catch (error) {
        throwIfCancelled(this.#ctx.signal);
        if (error instanceof MakeRuntimeError) throw error;
        const sentence = error instanceof Stumble ? error.message : networkReason(error);
        if (sentence === undefined) throw error;
        reason = sentence;
        cause = error;
        if (isHopeless(error)) last = true;
      }
      if (last)
        throw busy ? throttled(this.name, reason) : unreachable(this.name, this.purpose, `${about}: ${reason}`, cause);
      this.#ctx.report({
        type: 'progress',
        stage: this.purpose === 'pull' ? 'base' : 'push',
        text: `${this.reference.registry}: ${reason}; trying again`,
      });
      await pause(wait, this.#ctx.signal);
    }
  }

  /** The registry's own words in an answer, which is read to its end; what it echoes of our secrets is taken out. */
  async words({ body }: RegistryAnswer): Promise<Said> {
    let text = await body.text().catch(() => '');
    for (const secret of this.#secrets) if (secret !== '') text = text.replaceAll(secret, '***');
    return parseSaid(text);
  }

  /**
   * Where an answer's Location leads.
   * @throws REGISTRY_UNREACHABLE for a place that nothing may be sent to
   */
  place({ headers, url }: RegistryAnswer): URL | undefined {
    const location = headers.location;
    if (location === undefined) return undefined;
    let next: URL;
    try {
      next = new URL(String(location), url);
    } catch {
      throw new Stumble('names a place that is no address');
    }
    if (!mayCarrySecrets(next)) throw unsafePlace(this.name, next, 'not a TLS address');
    if (next.host !== this.#home && isInternal(next.host) && !isInternal(this.#home))
      throw unsafePlace(this.name, next, 'an address inside of this network');
    return next;
  }

  get #home(): string {
    return this.#origin === undefined ? apiHost(this.reference.registry) : new URL(this.#origin).host;
  }

  /** https, and for this very machine http where https is not spoken, as Docker does. */
  async #findOrigin(): Promise<string> {
    const host = apiHost(this.reference.registry);
    if (!isLoopback(host)) return `https://${host}`;
    try {
      const { body } = await this.#ask(new URL(`https://${host}/v2/`), {});
      await body.dump();
      return `https://${host}`;
    } catch (error) {
      const code = (error as { code?: string }).code ?? '';
      if (/^(ERR_SSL|EPROTO|UND_ERR_SOCKET|ECONNRESET)/.test(code)) return `http://${host}`;
      throw error;
    }
  }

  async #follow(start: URL, { method = 'GET', headers = {}, body }: RegistryRequest): Promise<RegistryAnswer> {
    let url = start;
    for (let redirects = 0; ; redirects++) {
      const authorization = url.host === this.#home && mayCarrySecrets(url) ? this.#authorization : undefined;
      const answer = await this.#ask(url, {
        method,
        headers: { ...headers, ...(authorization === undefined ? {} : { authorization }) },
        ...(body === undefined ? {} : { body }),
      });
      this.#warn(answer.headers['warning']);
      // A body goes on only where the status says that it should (RFC 9110, 15.4).
      const redirected = body === undefined ? [301, 302, 303, 307, 308] : [307, 308];
      if (!redirected.includes(answer.status) || answer.headers.location === undefined) return answer;
      await answer.body.dump();
      if (redirects === maxRedirects) throw new Stumble('redirects without end');
      url = this.place(answer)!;
    }
  }

  async #ask(url: URL, options: Omit<RegistryRequest, 'path'>): Promise<RegistryAnswer> {
    const { body: sent, headers = {}, method = 'GET' } = options;
    // What a registry does with a large blob before it answers takes its time: copying it within its storage, hashing.
    const silence = this.patience.silence + Math.floor((sent?.length ?? 0) / settlingRate) * 1000;
    const answer = await ask(url.href, silence, this.#ctx, {
      dispatcher: this.#http.dispatcher,
      method,
      headers: { ...headers, ...(sent === undefined ? {} : { 'content-length': String(sent.length) }) },
      ...(sent === undefined ? {} : { body: sent.open }),
    });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body, url };
  }

  /** What a registry wants people to read (OCI distribution specification, "Warnings"), once. */
  #warn(header: string | readonly string[] | undefined): void {
    for (const [, text = ''] of String(header ?? '').matchAll(/299 - "((?:[^"\\]|\\.)*)"/g)) {
      if (this.#warned.has(text)) continue;
      this.#warned.add(text);
      this.#ctx.report({ type: 'warn', message: `${this.reference.registry} says: ${text.slice(0, 200)}` });
    }
  }

  /** The value of the Authorization header that meets a challenge. */
  async #authorize(challenge: Challenge | undefined): Promise<string> {
    const { purpose, name } = this;
    const credentials = await this.#options.credentials?.(this.reference.registry);
    for (const secret of secretsOf(credentials)) this.#secrets.add(secret);
    const plain = basic(credentials);
    if (challenge?.scheme === 'basic' && plain !== undefined) return plain;
    if (challenge?.scheme !== 'bearer') throw denied(name, purpose, 401, nothingSaid);
    const said = (text: string): Said => ({ code: '', text });
    const { mount = [] } = this.#options;
    const scopes = scopesFor(challenge.scope, this.reference.repository, purpose, mount);
    let request: ReturnType<typeof tokenRequest>;
    try {
      request = tokenRequest(challenge, scopes, credentials);
    } catch {
      throw denied(name, purpose, 401, said('its token service has no address'));
    }
    if (!mayCarrySecrets(request.url))
      throw denied(name, purpose, 401, said(`its token service ${request.url.host} is not a TLS address`));
    const form = request.body === undefined ? undefined : Buffer.from(request.body);
    const answer = await this.#ask(request.url, {
      method: request.method,
      headers: request.headers,
      ...(form === undefined ? {} : { body: { length: form.length, open: () => form } }),
    });
    if (answer.status === 401 || answer.status === 403)
      throw denied(name, purpose, answer.status, await this.words(answer));
    if (answer.status !== 200) {
      await answer.body.dump();
      throw new Stumble(`its token service answered HTTP ${answer.status}`);
    }
    const { token, access_token } = (await answer.body.json().catch(() => ({}))) as Record<string, unknown>;
    const bearer = token ?? access_token;
    if (typeof bearer !== 'string') throw new Stumble('its token service answered without a token');
    this.#secrets.add(bearer);
    return `Bearer ${bearer}`;
  }
}

/** Retry-After, which is a number or a date (RFC 9110, 10.2.3); NaN for anything else. */
function secondsOf(header: string | undefined): number {
  if (header === undefined || /^\d+$/.test(header)) return Number(header);
  return Math.max(0, (Date.parse(header) - Date.now()) / 1000);
}

function offline(name: string, purpose: Purpose): MakeRuntimeError {
  return new MakeRuntimeError('REGISTRY_UNREACHABLE', `${name} cannot be asked with --offline.`, {
    remedy:
      purpose === 'pull'
        ? 'Run without --offline, or name a base that is in the cache already by its digest, or one in a folder: --base layout:DIR.'
        : 'Run without --offline.',
  });
}
