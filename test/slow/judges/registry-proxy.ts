// What can stand between us and a registry: a proxy that passes everything on, except where a test wants it broken.
// Knows HTTP, and of the registry's protocol nothing but that uploads have a Location.
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Fault =
  /** The connection breaks before the registry hears of it. */
  | { readonly kind: 'drop' }
  /** The connection breaks after so many bytes of the body, which the registry gets. */
  | { readonly kind: 'drop-in-body'; readonly after: number }
  /** The registry has done it, and the answer is lost. */
  | { readonly kind: 'lose-answer' }
  | { readonly kind: 'answer'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** One byte of the body is turned around. */
  | { readonly kind: 'corrupt' }
  /** The body ends early, and properly. */
  | { readonly kind: 'truncate'; readonly by: number }
  /** The registry's answer with another status. */
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'location'; readonly change: (location: string) => string }
  /** Nothing more happens to it. */
  | { readonly kind: 'hold' };

export interface Passing {
  readonly method: string;
  readonly url: string;
}

export interface RegistryProxy extends AsyncDisposable {
  /** "127.0.0.1:12345" */
  readonly host: string;
  readonly seen: (Passing & { readonly authorization: string | undefined })[];
  /** Asked for each request; undefined lets it pass. */
  fault: (passing: Passing) => Fault | undefined;
}

/** @param behind "127.0.0.1:5000", spoken to in plain HTTP */
export async function registryProxy(behind: string): Promise<RegistryProxy> {
  const proxy: { fault: RegistryProxy['fault']; seen: RegistryProxy['seen']; host: string } = {
    fault: () => undefined,
    seen: [],
    host: '',
  };
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    proxy.seen.push({ method, url, authorization: headers.authorization });
    request.on('error', () => {});
    pass(behind, request, response, proxy.fault({ method, url }));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  proxy.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(proxy, {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  });
}

function pass(behind: string, request: IncomingMessage, response: ServerResponse, fault: Fault | undefined): void {
  if (fault?.kind === 'hold') return;
  if (fault?.kind === 'drop') return void request.socket.destroy();
  if (fault?.kind === 'answer') {
    request.resume().on('end', () => response.writeHead(fault.status, fault.headers).end());
    return;
  }
  const [hostname, port] = behind.split(':');
  const headers = { ...request.headers };
  if (fault?.kind === 'truncate') headers['content-length'] = String(Number(headers['content-length']) - fault.by);
  const onward = httpRequest({ hostname, port, method: request.method, path: request.url, headers }, (answer) => {
    if (fault?.kind === 'lose-answer') {
      answer.resume().on('end', () => request.socket.destroy());
      return;
    }
    const status = fault?.kind === 'status' ? fault.status : (answer.statusCode ?? 502);
    const { location } = answer.headers;
    const changed = fault?.kind === 'location' && location !== undefined ? { location: fault.change(location) } : {};
    response.writeHead(status, { ...answer.headers, ...changed });
    answer.pipe(response);
  });
  onward.on('error', () => request.socket.destroy());
  let passed = 0;
  const limit = Number(headers['content-length'] ?? Number.POSITIVE_INFINITY);
  request.on('data', (chunk: Buffer) => {
    if (fault?.kind === 'corrupt' && passed === 0) chunk[0]! ^= 1;
    const piece = fault?.kind === 'truncate' ? chunk.subarray(0, Math.max(0, limit - passed)) : chunk;
    passed += chunk.length;
    if (fault?.kind === 'drop-in-body' && passed > fault.after) {
      request.socket.destroy();
      onward.destroy();
      return;
    }
    if (piece.length > 0 && !onward.write(piece)) {
      request.pause();
      onward.once('drain', () => request.resume());
    }
  });
  request.on('end', () => onward.end());
}
