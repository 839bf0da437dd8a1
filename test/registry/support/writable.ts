// A registry in memory that takes what is pushed, as the OCI distribution specification has it, keeps account of every
// request, and misbehaves on request: `rules` see each first and may answer in its place.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface SeenWrite {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly host: string | undefined;
}

/** Answers and returns true, or returns false to let the registry answer. */
export type WriteRule = (request: IncomingMessage, response: ServerResponse, body: Buffer) => boolean;

export interface WritableRegistry extends AsyncDisposable {
  /** "127.0.0.1:12345" */
  readonly host: string;
  readonly seen: SeenWrite[];
  /** By "repository@digest". */
  readonly blobs: Map<string, Buffer>;
  /** By "repository@digest" and "repository:tag". */
  readonly manifests: Map<string, { readonly type: string; readonly bytes: Buffer }>;
  rules: WriteRule[];
  /** Uploads under way. */
  readonly uploads: Set<string>;
}

export const sha256 = (bytes: Buffer | string): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export interface WritableOptions {
  /** Answers referrers/, and says OCI-Subject. */
  readonly referrers?: boolean;
  /** Repositories that exist; any when absent. */
  readonly repositories?: readonly string[];
  readonly tls?: { readonly key: string; readonly cert: string };
}

export async function writableRegistry(options: WritableOptions = {}): Promise<WritableRegistry> {
  const state = {
    seen: [] as SeenWrite[],
    blobs: new Map<string, Buffer>(),
    manifests: new Map<string, { type: string; bytes: Buffer }>(),
    uploads: new Set<string>(),
    rules: [] as WriteRule[],
  };
  let number = 0;
  const error = (response: ServerResponse, status: number, code: string, message = code.toLowerCase()): void => {
    response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(JSON.stringify({ errors: [{ code, message }] }));
  };
  const listener: RequestListener = async (request, response) => {
    const { method = '', url = '', headers } = request;
    state.seen.push({ method, url, authorization: headers.authorization, host: headers.host });
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return; // The other side hung up.
    }
    const body = Buffer.concat(chunks);
    if (state.rules.some((rule) => rule(request, response, body))) return;
    const { pathname, searchParams: query } = new URL(url, 'http://x');
    if (pathname === '/v2/') return void response.end('{}');
    const [, repository = '', kind = '', rest = ''] =
      /^\/v2\/(.+?)\/(blobs\/uploads|blobs|manifests|referrers)\/(.*)$/.exec(pathname) ?? [];
    const known = options.repositories === undefined || options.repositories.includes(repository);
    if (kind === 'blobs' && (method === 'HEAD' || method === 'GET')) {
      const blob = state.blobs.get(`${repository}@${rest}`);
      if (blob === undefined) return error(response, 404, 'BLOB_UNKNOWN');
      return void response.writeHead(200, { 'content-length': blob.length }).end(method === 'HEAD' ? undefined : blob);
    }
    if (kind === 'blobs/uploads' && method === 'POST') {
      if (!known)
        return error(response, 404, 'NAME_UNKNOWN', `The repository with name '${repository}' does not exist`);
      const mounted = state.blobs.get(`${query.get('from')}@${query.get('mount')}`);
      if (mounted !== undefined) {
        state.blobs.set(`${repository}@${query.get('mount')}`, mounted);
        return void response.writeHead(201, { location: `/v2/${repository}/blobs/${query.get('mount')}` }).end();
      }
      number += 1;
      const id = `u${number}`;
      state.uploads.add(id);
      return void response.writeHead(202, { location: `/v2/${repository}/blobs/uploads/${id}?state=a%2Bb` }).end();
    }
    if (kind === 'blobs/uploads' && method === 'PUT') {
      if (!state.uploads.has(rest) || query.get('state') !== 'a+b') return error(response, 404, 'BLOB_UPLOAD_UNKNOWN');
      state.uploads.delete(rest);
      if (sha256(body) !== query.get('digest')) return error(response, 400, 'DIGEST_INVALID');
      state.blobs.set(`${repository}@${query.get('digest')}`, body);
      return void response.writeHead(201, { 'docker-content-digest': sha256(body) }).end();
    }
    if (kind === 'manifests' && method === 'PUT') {
      const { config, layers = [], manifests = [], subject } = JSON.parse(body.toString());
      for (const { digest } of [...(config ? [config] : []), ...layers])
        if (!state.blobs.has(`${repository}@${digest}`)) return error(response, 400, 'MANIFEST_BLOB_UNKNOWN');
      for (const { digest } of manifests)
        if (!state.manifests.has(`${repository}@${digest}`)) return error(response, 400, 'MANIFEST_UNKNOWN');
      if (rest.startsWith('sha256:') && rest !== sha256(body)) return error(response, 400, 'DIGEST_INVALID');
      const kept = { type: String(headers['content-type']), bytes: body };
      state.manifests.set(`${repository}@${sha256(body)}`, kept);
      if (!rest.startsWith('sha256:')) state.manifests.set(`${repository}:${rest}`, kept);
      const told = options.referrers && subject ? { 'oci-subject': subject.digest } : {};
      return void response.writeHead(201, { 'docker-content-digest': sha256(body), ...told }).end();
    }
    if (kind === 'manifests') {
      const found = state.manifests.get(rest.startsWith('sha256:') ? `${repository}@${rest}` : `${repository}:${rest}`);
      if (found === undefined) return error(response, 404, 'MANIFEST_UNKNOWN');
      return void response.writeHead(200, { 'content-type': found.type }).end(found.bytes);
    }
    return error(response, 404, 'UNSUPPORTED');
  };
  const server = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return Object.assign(state, {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  });
}
