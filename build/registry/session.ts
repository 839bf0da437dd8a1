// A conversation with one registry about one repository: where its API is, what it wants as authorization, redirects,
// retries. Pulling is pull.ts; it does not know manifests and blobs.
// Rules for secrets: an authorization goes over TLS or to this very machine only, never to another host that a redirect
// names, and never into a message; a URL in a message has no query, because storage backends sign theirs.
import type { IncomingHttpHeaders } from 'node:http';
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
import { type Challenge, parseChallenge } from './challenge.ts';
import { apiHost, printReference, type Reference } from './reference.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface RegistryOptions {
  /** Who we are for a registry (as a reference names it); undefined stays anonymous. */
  readonly credentials?: (registry: string) => Promise<Credentials | undefined>;
  readonly patience?: Patience;
}

export interface RegistryRequest {
  readonly method?: 'GET' | 'HEAD';
  /** Below /v2/<repository>/, for example "manifests/latest". */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RegistryAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Dispatcher.ResponseData['body'];
}

const maxRedirects = 5;
/** A registry that asks for more than this many seconds is told to the caller instead of waited for. */
const maxWait = 60;

/** One repository of one registry. Dispose of it to close its connections. */
export class Registry implements Disposable {
  readonly reference: Reference;
  readonly #ctx: Context;
  readonly #options: RegistryOptions;
  readonly #http;
  #origin: string | undefined;
  #authorization: string | undefined;

  constructor(reference: Reference, ctx: Context, options: RegistryOptions = {}) {
    this.reference = reference;
    this.#ctx = ctx;
    this.#options = options;
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

  /**
   * Sends a request and follows redirects. The caller reads the answer's body, or dumps it.
   * Statuses below 400, 404 and 416 are answers; all others are errors here.
   * @throws REGISTRY_UNREACHABLE, REGISTRY_DENIED, REGISTRY_THROTTLED; CANCELLED
   */
  async send(request: RegistryRequest): Promise<RegistryAnswer> {
    if (this.#ctx.offline) {
      throw new MakeRuntimeError('REGISTRY_UNREACHABLE', `${this.name} cannot be asked with --offline.`, {
        remedy:
          'Run without --offline, or name a base that is in the cache already by its digest, or one in a folder: --base layout:DIR.',
      });
    }
    return this.#patiently(async () => {
      this.#origin ??= await this.#findOrigin();
      const url = `${this.#origin}/v2/${this.reference.repository}/${request.path}`;
      const answer = await this.#follow(url, request);
      if (answer.status !== 401) return answer;
      await answer.body.dump();
      this.#authorization = await this.#authorize(parseChallenge(answer.headers['www-authenticate']));
      return this.#follow(url, request);
    }, request.path);
  }

  /**
   * Runs one attempt after the other as long as the failure may pass: connections that break, 408, 429 and 5xx.
   * @param about what is asked for, for the messages
   */
  async #patiently(attempt: () => Promise<RegistryAnswer>, about: string): Promise<RegistryAnswer> {
    const { attempts, delay } = this.patience;
    for (let number = 1; ; number++) {
      throwIfCancelled(this.#ctx.signal);
      let reason: string;
      let cause: unknown;
      let wait = delay * 2 ** (number - 1);
      let last = number >= attempts;
      let throttled = false;
      try {
        const answer = await attempt();
        const { status } = answer;
        if (status < 400 || status === 404 || status === 416) return answer;
        const said = await readMessage(answer);
        if (status === 401 || status === 403) throw denied(this.name, status, said);
        reason = `answered HTTP ${status}${said === '' ? '' : ` (${said})`}`;
        throttled = status === 429;
        if (!throttled && status !== 408 && status < 500) last = true;
        const asked = Number(answer.headers['retry-after']);
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
      if (last) throw throttled ? throttledError(this.name, reason) : unreachable(this.name, about, reason, cause);
      this.#ctx.report({
        type: 'progress',
        stage: 'base',
        text: `${this.reference.registry}: ${reason}; trying again`,
      });
      await pause(wait, this.#ctx.signal);
    }
  }

  /** https, and for this very machine http where https is not spoken, as Docker does. */
  async #findOrigin(): Promise<string> {
    const host = apiHost(this.reference.registry);
    if (!isLoopback(host)) return `https://${host}`;
    try {
      const { body } = await this.#ask(`https://${host}/v2/`, {});
      await body.dump();
      return `https://${host}`;
    } catch (error) {
      const code = (error as { code?: string }).code ?? '';
      if (/^(ERR_SSL|EPROTO|UND_ERR_SOCKET|ECONNRESET)/.test(code)) return `http://${host}`;
      throw error;
    }
  }

  async #follow(start: string, { method = 'GET', headers = {} }: RegistryRequest): Promise<RegistryAnswer> {
    let url = new URL(start);
    const home = url.host;
    for (let redirects = 0; ; redirects++) {
      const authorization = url.host === home && mayCarrySecrets(url) ? this.#authorization : undefined;
      const answer = await this.#ask(url.href, {
        method,
        headers: { ...headers, ...(authorization === undefined ? {} : { authorization }) },
      });
      const { location } = answer.headers;
      if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer;
      await answer.body.dump();
      const next = new URL(String(location), url);
      if (redirects === maxRedirects) throw new Stumble('redirects without end');
      if (!mayCarrySecrets(next)) {
        throw new MakeRuntimeError(
          'REGISTRY_UNREACHABLE',
          `${this.name} redirects to ${next.protocol}//${next.host}, which is not a TLS address.`,
          { remedy: 'The registry is set up wrongly, or something between here and it answers in its place.' },
        );
      }
      url = next;
    }
  }

  async #ask(
    url: string,
    options: { method?: 'GET' | 'HEAD'; headers?: Record<string, string> },
  ): Promise<RegistryAnswer> {
    const { statusCode, headers, body } = await ask(url, this.patience.silence, this.#ctx, {
      dispatcher: this.#http.dispatcher,
      ...options,
    });
    return { status: statusCode, headers, body };
  }

  /** The value of the Authorization header that meets a challenge. */
  async #authorize(challenge: Challenge | undefined): Promise<string> {
    const credentials = await this.#options.credentials?.(this.reference.registry);
    const basic =
      credentials && `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
    if (challenge?.scheme === 'basic' && basic !== undefined) return basic;
    if (challenge?.scheme !== 'bearer') throw denied(this.name, 401, '');
    let realm: URL;
    try {
      realm = new URL(challenge.realm);
    } catch {
      throw denied(this.name, 401, 'its token service has no address');
    }
    if (!mayCarrySecrets(realm)) throw denied(this.name, 401, `its token service ${realm.host} is not a TLS address`);
    if (challenge.service !== undefined) realm.searchParams.set('service', challenge.service);
    realm.searchParams.set('scope', challenge.scope ?? `repository:${this.reference.repository}:pull`);
    const answer = await this.#ask(realm.href, { headers: basic === undefined ? {} : { authorization: basic } });
    if (answer.status === 401 || answer.status === 403)
      throw denied(this.name, answer.status, await readMessage(answer));
    if (answer.status !== 200) {
      await answer.body.dump();
      throw new Stumble(`its token service answered HTTP ${answer.status}`);
    }
    const { token, access_token } = (await answer.body.json().catch(() => ({}))) as Record<string, unknown>;
    const bearer = token ?? access_token;
    if (typeof bearer !== 'string') throw new Stumble('its token service answered without a token');
    return `Bearer ${bearer}`;
  }
}

function isLoopback(host: string): boolean {
  const name = host.startsWith('[') ? host.replace(/\].*$/, ']') : host.replace(/:\d+$/, '');
  return name === 'localhost' || name === '[::1]' || /^127(\.\d{1,3}){3}$/.test(name);
}

function mayCarrySecrets(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.host));
}

/** The registry's own words (OCI distribution specification, "Error Codes"), cropped; reads the body. */
async function readMessage({ body }: RegistryAnswer): Promise<string> {
  const text = await body.text().catch(() => '');
  try {
    const { code, message } = JSON.parse(text).errors[0];
    return [code, message].filter(Boolean).join(': ').slice(0, 200);
  } catch {
    return '';
  }
}

function denied(name: string, status: number, said: string): MakeRuntimeError {
  return new MakeRuntimeError(
    'REGISTRY_DENIED',
    `${name} may not be read without signing in, or does not exist (HTTP ${status}).`,
    {
      remedy:
        'Check the name. For an image that is not public, copy it first: skopeo copy docker://... oci:DIR, then --base layout:DIR.',
      ...(said === '' ? {} : { detail: `the registry says: ${said}` }),
    },
  );
}

function throttledError(name: string, reason: string): MakeRuntimeError {
  return new MakeRuntimeError('REGISTRY_THROTTLED', `The registry of ${name} has had too many requests from here.`, {
    remedy: 'Wait some minutes and run again: what has been pulled is kept.',
    detail: `it ${reason}`,
  });
}

function unreachable(name: string, about: string, reason: string, cause: unknown): MakeRuntimeError {
  return new MakeRuntimeError('REGISTRY_UNREACHABLE', `The registry of ${name} does not give what it was asked for.`, {
    remedy: 'Check the network and the proxy settings and run again: what has been pulled is kept.',
    detail: `${about}: ${reason}`,
    cause,
  });
}

export function notThere(reference: Reference): MakeRuntimeError {
  return new MakeRuntimeError('BASE_NOT_FOUND', `There is no image ${printReference(reference)}.`, {
    remedy: 'Check registry, repository and tag; references look like public.ecr.aws/lambda/provided:al2023.',
  });
}
