// A registry as it answers anonymous clients: a challenge, a token, a digest.
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { Context } from '../../build/lib/context.ts';
import { parseLock, pinBuilder, printLock } from '../../build/source/lock.ts';
import { parseReference, registryDigest } from '../../build/source/registry-digest.ts';
import { lock, packageDir } from '../recipe/support/plans.ts';

let server: Server | undefined;
afterEach(() => server?.close());

async function registry(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const ctx: Context = {
  report: () => {},
  signal: new AbortController().signal,
  cacheDir: '/nowhere',
  packageDir,
  env: {},
  offline: false,
};
const digest = `sha256:${'4'.repeat(64)}`;

test('asks for a token when it must, and for the index of all architectures', async () => {
  const seen: string[] = [];
  const host = await registry((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (request.url?.startsWith('/token')) {
      response.end('{"token": "anonymous", "expires_in": 300}');
    } else if (request.headers.authorization !== 'Bearer anonymous') {
      const challenge = `Bearer realm="http://${host}/token/",service="the service",scope="repository:lambda/provided:pull"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    } else {
      expect(request.headers.accept).toContain('application/vnd.oci.image.index.v1+json');
      response.writeHead(200, { 'docker-content-digest': digest }).end();
    }
  });
  expect(await registryDigest(`${host}/lambda/provided:al2023`, ctx)).toBe(digest);
  expect(seen).toEqual([
    'HEAD /v2/lambda/provided/manifests/al2023',
    'GET /token/?service=the+service&scope=repository%3Alambda%2Fprovided%3Apull',
    'HEAD /v2/lambda/provided/manifests/al2023',
  ]);
});

test('a pin is added, printed, read back, and moved', async () => {
  let now = digest;
  const host = await registry((_request, response) => response.writeHead(200, { 'docker-content-digest': now }).end());
  const reference = `${host}/lambda/provided:al2023`;
  const before = await lock();
  const pinned = await pinBuilder(before, reference, ctx);
  expect(pinned.builders).toEqual([{ reference, digest, verifiedBy: expect.stringContaining(host) }]);
  expect(parseLock(printLock(pinned))).toEqual({ ...pinned, sources: parseLock(printLock(before)).sources });
  now = `sha256:${'5'.repeat(64)}`;
  expect((await pinBuilder(pinned, reference, ctx)).builders).toMatchObject([{ reference, digest: now }]);
});

test.each([
  ['404', (response: Parameters<RequestListener>[1]) => response.writeHead(404).end(), 'HTTP 404'],
  ['no digest', (response: Parameters<RequestListener>[1]) => response.writeHead(200).end(), 'no digest'],
  [
    'a login',
    (response: Parameters<RequestListener>[1]) => response.writeHead(401, { 'www-authenticate': 'Basic' }).end(),
    'login',
  ],
])('a registry that answers with %s', async (_what, answer, detail) => {
  const host = await registry((_request, response) => void answer(response));
  await expect(registryDigest(`${host}/a/b:c`, ctx)).rejects.toMatchObject({
    code: 'BUILDER_UNAVAILABLE',
    detail: expect.stringContaining(detail),
  });
});

test('offline, unreachable, and names that are none', async () => {
  await expect(registryDigest('127.0.0.1:1/a:b', { ...ctx, offline: true })).rejects.toMatchObject({
    code: 'BUILDER_UNAVAILABLE',
  });
  await expect(registryDigest('127.0.0.1:1/a:b', ctx)).rejects.toMatchObject({
    code: 'BUILDER_UNAVAILABLE',
    detail: expect.stringContaining('refused'),
  });
  for (const name of ['debian:12', 'library/debian:12', 'public.ecr.aws/lambda/provided', 'a b'])
    expect(() => parseReference(name)).toThrow(expect.objectContaining({ code: 'USAGE' }));
});
