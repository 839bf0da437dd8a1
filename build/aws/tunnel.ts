// HTTPS through the caller's proxy, which the AWS SDK knows nothing of: CONNECT, then TLS with the host itself, so that
// the proxy sees names and no content. Plain HTTP (an emulator on this machine) is never asked of a proxy.
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent, type AgentOptions, request as httpsRequest, type RequestOptions } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect } from 'node:tls';
import type { Context } from '../lib/context.ts';

type Env = Context['env'];
type Callback = (error: Error | null, socket: Duplex) => void;

/** How long a proxy may take to open the tunnel, milliseconds. */
const patience = 15_000;

/** Whether there is a proxy for HTTPS at all. */
export function behindProxy(env: Env): boolean {
  return proxyOf(env) !== undefined;
}

export class TunnelAgent extends Agent {
  readonly #env: Env;

  constructor(env: Env, options: AgentOptions = {}) {
    super({ keepAlive: true, ...options });
    this.#env = env;
  }

  /** Node calls it for every new connection; the socket may come later, through the callback. */
  override createConnection(options: RequestOptions, callback?: Callback): Duplex | null | undefined {
    const host = options.host ?? 'localhost';
    const port = Number(options.port ?? 443);
    const proxy = proxyOf(this.#env);
    if (proxy === undefined || isDirect(host, port, this.#env)) {
      return super.createConnection(options, callback);
    }
    const done = callback ?? (() => {});
    openTunnel(proxy, `${host.includes(':') ? `[${host}]` : host}:${port}`).then(
      (socket) => {
        // The name is checked against the host's certificate, whatever the proxy connected to.
        const { servername = isIP(host) === 0 ? host : '' } = options;
        const tls = connect({ ...(options as ConnectionOptions), socket, servername });
        done(null, tls);
      },
      (error: Error) => done(error, undefined as never), // Node looks at the error first.
    );
    return undefined;
  }
}

function openTunnel(proxy: URL, target: string): Promise<Socket> {
  const { username, password } = proxy;
  const secret = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  const headers = { host: target, ...(username === '' ? {} : { 'proxy-authorization': `Basic ${secret}` }) };
  const options = {
    host: proxy.hostname.replace(/^\[|\]$/g, ''),
    port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
    method: 'CONNECT',
    path: target,
    headers,
    agent: false,
    timeout: patience,
  } as const;
  return new Promise((opened, failed) => {
    const request: ClientRequest = proxy.protocol === 'https:' ? httpsRequest(options) : httpRequest(options);
    const refuse = (answer: IncomingMessage) => {
      answer.destroy();
      const error = new Error(`the proxy ${proxy.host} answered ${answer.statusCode} to CONNECT ${target}`);
      failed(Object.assign(error, { code: 'EPROXY' }));
    };
    request.once('connect', (answer, socket) => {
      if (answer.statusCode !== 200) return refuse(answer);
      socket.setTimeout(0);
      opened(socket);
    });
    request.once('response', refuse);
    request.once('timeout', () => {
      request.destroy(Object.assign(new Error(`the proxy ${proxy.host} does not answer`), { code: 'ETIMEDOUT' }));
    });
    request.once('error', failed);
    request.end();
  });
}

function proxyOf(env: Env): URL | undefined {
  const text = env['https_proxy'] || env['HTTPS_PROXY'];
  if (!text) return undefined;
  try {
    return new URL(text.includes('://') ? text : `http://${text}`);
  } catch {
    return undefined;
  }
}

/** By NO_PROXY: "*", a host, a domain with or without a dot before it, each also with a port. */
export function isDirect(host: string, port: number, env: Env): boolean {
  if (host === 'localhost' || host === '::1' || host.startsWith('127.')) return true;
  const rules = (env['no_proxy'] || env['NO_PROXY'] || '').split(/[\s,]+/).filter(Boolean);
  return rules.some((rule) => {
    if (rule === '*') return true;
    const [, name = '', only] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(rule) ?? [];
    if (only !== undefined && Number(only) !== port) return false;
    const [wanted, given] = [name.toLowerCase(), host.toLowerCase()];
    return given === wanted || given.endsWith(`.${wanted}`);
  });
}
