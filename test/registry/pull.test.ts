// Pulling, against a registry that does what registries do on their bad days. A real one is asked in test/slow.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Descriptor } from '../../build/registry/oci.ts';
import { fetchBlob, fetchManifest } from '../../build/registry/pull.ts';
import { parseReference } from '../../build/registry/reference.ts';
import { Registry, type RegistryOptions } from '../../build/registry/session.ts';
import { cachePath } from '../../build/source/cache.ts';
import { type TestContext, testContext } from '../source/support/context.ts';
import { digestOf, type Rule, type ScriptedRegistry, sampleImage, scriptedRegistry } from './support/scripted.ts';

const image = sampleImage(Buffer.alloc(300_000, 'layer '), { compress: (bytes) => bytes });
const layer: Descriptor = { mediaType: 'x', digest: digestOf(image.layer), size: image.layer.length };
const digest = digestOf(image.manifest);

let server: ScriptedRegistry;
let ctx: TestContext;
beforeEach(async () => {
  server = await scriptedRegistry({ '1': { bytes: image.manifest, mediaType: image.mediaType } }, [
    image.config,
    image.layer,
  ]);
  ctx = await testContext();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await ctx[Symbol.asyncDispose]();
});

const open = (text = 'base:1', options: RegistryOptions = {}): Registry =>
  new Registry(parseReference(`${server.host}/${text}`), ctx, {
    patience: { attempts: 3, delay: 1, silence: 2000 },
    ...options,
  });

/** Answers the first `times` requests for a path in its own way. */
const first = (times: number, path: RegExp, answer: Rule): Rule => {
  let left = times;
  return (request, response, seen) => {
    if (!path.test(request.url ?? '') || left === 0) return false;
    left -= 1;
    return answer(request, response, seen);
  };
};
const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Rule =>
  (_, response) => {
    response.writeHead(code, headers).end(body);
    return true;
  };

describe('manifests', () => {
  test('by tag, then by digest from the cache alone', async () => {
    using registry = open();
    const found = await fetchManifest(registry, ctx);
    expect(found).toMatchObject({ digest, mediaType: image.mediaType });
    expect(found.bytes.equals(image.manifest)).toBe(true);
    const asked = server.seen.length;
    using offline = new Registry(parseReference(`${server.host}/base@${digest}`), { ...ctx, offline: true });
    expect((await fetchManifest(offline, { ...ctx, offline: true })).digest).toBe(digest);
    expect(server.seen).toHaveLength(asked);
  });

  test('a tag is always asked for, and cannot be had offline', async () => {
    using registry = open();
    await fetchManifest(registry, ctx);
    using offline = new Registry(parseReference(`${server.host}/base:1`), { ...ctx, offline: true });
    await expect(fetchManifest(offline, ctx)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      message: expect.stringContaining('--offline'),
    });
  });

  test('one that is not there', async () => {
    using registry = open('base:2');
    await expect(fetchManifest(registry, ctx)).rejects.toMatchObject({
      code: 'BASE_NOT_FOUND',
      message: `There is no image ${server.host}/base:2.`,
    });
  });

  test('other bytes than the digest says, and than the registry itself says', async () => {
    const other = Buffer.from('{"schemaVersion":2}');
    server.rules = [first(9, /manifests/, status(200, { 'docker-content-digest': digest }, other.toString()))];
    for (const text of [`base@${digest}`, 'base:1']) {
      using registry = open(text);
      await expect(fetchManifest(registry, ctx)).rejects.toMatchObject({
        code: 'BASE_DAMAGED',
        detail: `expected ${digest}\nreceived ${digestOf(other)}`,
      });
    }
  });

  test('one without end', async () => {
    server.rules = [first(1, /manifests/, status(200, {}, ' '.repeat(5_000_000)))];
    using registry = open();
    await expect(fetchManifest(registry, ctx)).rejects.toMatchObject({ code: 'BASE_DAMAGED' });
  });
});

describe('what the registry answers', () => {
  test.each([500, 502, 503, 408, 429])('%i once: asked again', async (code) => {
    server.rules = [first(1, /manifests/, status(code))];
    using registry = open();
    expect((await fetchManifest(registry, ctx)).digest).toBe(digest);
    expect(ctx.events).toContainEqual(
      expect.objectContaining({ text: expect.stringContaining(`answered HTTP ${code}; trying again`) }),
    );
  });

  test.each([
    [500, 'REGISTRY_UNREACHABLE', 3],
    [429, 'REGISTRY_THROTTLED', 3],
    [401, 'REGISTRY_DENIED', 1],
    [403, 'REGISTRY_DENIED', 1],
    [405, 'REGISTRY_UNREACHABLE', 1],
  ] as const)('%i always: %s after %i attempts', async (code, error, attempts) => {
    const body = '{"errors":[{"code":"SOME_CODE","message":"some words"}]}';
    server.rules = [first(99, /manifests/, status(code, {}, body))];
    using registry = open();
    await expect(fetchManifest(registry, ctx)).rejects.toMatchObject({ code: error, remedy: expect.any(String) });
    expect(server.seen.filter(({ url }) => url.includes('manifests'))).toHaveLength(attempts);
  });

  test('a wait longer than a minute is told, not waited for', async () => {
    server.rules = [first(99, /manifests/, status(429, { 'retry-after': '3600' }))];
    using registry = open();
    await expect(fetchManifest(registry, ctx)).rejects.toMatchObject({ code: 'REGISTRY_THROTTLED' });
    expect(server.seen.filter(({ url }) => url.includes('manifests'))).toHaveLength(1);
  });

  test('no registry at all', async () => {
    await server[Symbol.asyncDispose]();
    using registry = open();
    await expect(fetchManifest(registry, ctx)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      detail: 'manifests/1: connection refused',
    });
  });

  test('silence', async () => {
    server.rules = [() => true];
    using registry = open('base:1', { patience: { attempts: 1, delay: 1, silence: 100 } });
    await expect(fetchManifest(registry, ctx)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
  });

  test('a cancelled run stops', async () => {
    const abort = new AbortController();
    server.rules = [() => true];
    const cancelled = { ...ctx, signal: abort.signal };
    using registry = new Registry(parseReference(`${server.host}/base:1`), cancelled);
    setTimeout(() => abort.abort(), 50);
    await expect(fetchManifest(registry, cancelled)).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('authorization', () => {
  const guarded =
    (expected: string, challenge: string): Rule =>
    (request, response) => {
      if (request.url?.startsWith('/token') || request.headers.authorization === expected) return false;
      response.writeHead(401, { 'www-authenticate': challenge }).end('{"errors":[{"code":"UNAUTHORIZED"}]}');
      return true;
    };
  const tokens =
    (body: string, code = 200): Rule =>
    (request, response) => {
      if (!request.url?.startsWith('/token')) return false;
      response.writeHead(code).end(body);
      return true;
    };

  test('an anonymous token, for the repository and used for all that follows', async () => {
    const challenge = `Bearer realm="http://${server.host}/token",service="s"`;
    server.rules = [guarded('Bearer abc', challenge), tokens('{"token":"abc"}')];
    using registry = open();
    await fetchManifest(registry, ctx);
    await fetchBlob(registry, layer, ctx);
    const asked = server.seen.filter(({ url }) => url.startsWith('/token'));
    expect(asked.map(({ url }) => url)).toEqual(['/token?service=s&scope=repository%3Abase%3Apull']);
    expect(asked[0]?.authorization).toBeUndefined();
  });

  test('credentials become a token, or basic authorization', async () => {
    const basic = `Basic ${Buffer.from('me:se:cret').toString('base64')}`;
    const options = { credentials: async () => ({ username: 'me', password: 'se:cret' }) };
    const challenge = `Bearer realm="http://${server.host}/token",scope="aws"`;
    server.rules = [guarded('Bearer xyz', challenge), tokens('{"access_token":"xyz"}')];
    using bearer = open('base:1', options);
    await fetchManifest(bearer, ctx);
    expect(server.seen).toContainEqual(expect.objectContaining({ url: '/token?scope=aws', authorization: basic }));
    server.rules = [guarded(basic, 'Basic realm="r"')];
    using plain = open('base:1', options);
    expect((await fetchManifest(plain, ctx)).digest).toBe(digest);
  });

  test.each([
    ['Basic realm="r"', '', 200],
    ['Digest realm="r"', '', 200],
    ['Bearer realm="nonsense"', '', 200],
    ['Bearer realm="http://tokens.example/"', '', 200],
    ['Bearer realm="http://HOST/token"', '{"errors":[{"code":"DENIED","message":"no"}]}', 403],
    ['Bearer realm="http://HOST/token"', '{"token":"wrong"}', 200],
  ])('denied: %s, %s', async (challenge, body, code) => {
    server.rules = [guarded('Bearer right', challenge.replace('HOST', server.host)), tokens(body, code)];
    using registry = open();
    await expect(fetchManifest(registry, ctx)).rejects.toMatchObject({
      code: 'REGISTRY_DENIED',
      remedy: expect.stringContaining('skopeo'),
    });
  });

  test('a token service that stumbles is asked again', async () => {
    const challenge = `Bearer realm="http://${server.host}/token"`;
    server.rules = [
      guarded('Bearer abc', challenge),
      first(1, /^\/token/, status(503)),
      first(1, /^\/token/, status(200, {}, 'not JSON')),
      tokens('{"token":"abc"}'),
    ];
    using registry = open();
    expect((await fetchManifest(registry, ctx)).digest).toBe(digest);
  });

  test('secrets reach no other host, and no message', async () => {
    const elsewhere: (string | undefined)[] = [];
    const storage = createServer((request, response) => {
      elsewhere.push(request.headers.authorization);
      response.writeHead(request.url?.includes('gone') ? 403 : 200).end(image.layer);
    });
    await new Promise<void>((done) => storage.listen(0, '127.0.0.1', done));
    const place = `http://127.0.0.1:${(storage.address() as AddressInfo).port}/blob?signature=hidden`;
    const options = { credentials: async () => ({ username: 'me', password: 'se:cret' }) };
    const basic = `Basic ${Buffer.from('me:se:cret').toString('base64')}`;
    try {
      server.rules = [guarded(basic, 'Basic realm="r"'), first(1, /blobs/, status(307, { location: place }))];
      using registry = open('base:1', options);
      await fetchBlob(registry, layer, ctx);
      expect(elsewhere).toEqual([undefined]);

      server.rules = [guarded(basic, 'Basic realm="r"'), first(9, /blobs/, status(307, { location: `${place}&gone` }))];
      const other = { ...layer, digest: digestOf('other') };
      const error = await fetchBlob(registry, other, ctx).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: 'REGISTRY_DENIED' });
      const { message, detail, remedy } = error as { message: string; detail?: string; remedy: string };
      expect(`${message} ${detail} ${remedy} ${JSON.stringify(ctx.events)}`).not.toMatch(/hidden|se:cret|Basic/);
    } finally {
      storage.closeAllConnections();
      storage.close();
    }
  });

  test('a redirect to an address without TLS is refused', async () => {
    server.rules = [first(1, /blobs/, status(307, { location: 'http://storage.example/x' }))];
    using registry = open();
    await expect(fetchBlob(registry, layer, ctx)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      message: expect.stringContaining('http://storage.example'),
    });
  });

  test('redirects without end', async () => {
    server.rules = [
      first(99, /blobs/, (request, response) => status(307, { location: request.url! })(request, response, [])),
    ];
    using registry = open();
    await expect(fetchBlob(registry, layer, ctx)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
  });
});

describe('blobs', () => {
  const inCache = () => readFile(cachePath(ctx.cacheDir, layer.digest.slice(7)));
  const cut =
    (bytes: number): Rule =>
    (_, response) => {
      response.writeHead(200, { 'content-length': image.layer.length });
      response.write(image.layer.subarray(0, bytes), () => setTimeout(() => response.destroy(), 50));
      return true;
    };

  test('a connection that breaks goes on where it stopped', async () => {
    server.rules = [first(1, /blobs/, cut(100_000))];
    using registry = open();
    await fetchBlob(registry, layer, ctx);
    expect((await inCache()).equals(image.layer)).toBe(true);
    expect(server.seen.map(({ range }) => range)).toContainEqual(expect.stringMatching(/^bytes=[1-9]\d*-$/));
  });

  test('the rest from a server that knows no ranges replaces what was there', async () => {
    const whole: Rule = (_, response) => {
      response.end(image.layer);
      return true;
    };
    server.rules = [first(1, /blobs/, cut(100_000)), first(1, /blobs/, whole)];
    using registry = open();
    await fetchBlob(registry, layer, ctx);
    expect((await inCache()).equals(image.layer)).toBe(true);
  });

  test('one that always ends early', async () => {
    server.rules = [
      first(9, /blobs/, (_, response) => {
        response.end(image.layer.subarray(0, 1000));
        return true;
      }),
    ];
    using registry = open();
    await expect(fetchBlob(registry, layer, ctx)).rejects.toMatchObject({
      code: 'BASE_DAMAGED',
      detail: expect.stringMatching(/^expected 300000 bytes\nreceived 1000 bytes/),
    });
    await expect(inCache()).rejects.toThrow('ENOENT');
  });

  test.each([
    ['other bytes', Buffer.alloc(300_000, 'wrong')],
    ['more bytes', Buffer.concat([image.layer, Buffer.from('!')])],
  ])('%s', async (_, bytes) => {
    server.rules = [first(9, /blobs/, status(200, {}, bytes.toString('latin1')))];
    using registry = open();
    await expect(fetchBlob(registry, layer, ctx)).rejects.toMatchObject({
      code: 'BASE_DAMAGED',
      detail: expect.stringContaining(`expected ${layer.digest}`),
    });
    await expect(inCache()).rejects.toThrow('ENOENT');
  });

  test('one that the manifest names and the registry lacks', async () => {
    using registry = open();
    await expect(fetchBlob(registry, { ...layer, digest: digestOf('lost') }, ctx)).rejects.toMatchObject({
      code: 'BASE_DAMAGED',
    });
  });

  test('a cache that was damaged is not believed', async () => {
    using registry = open();
    const path = await fetchBlob(registry, layer, ctx);
    await writeFile(path, 'poison');
    const again = await fetchBlob(registry, layer, ctx);
    const found = createHash('sha256')
      .update(await readFile(again))
      .digest('hex');
    expect(`sha256:${found}`).toBe(layer.digest);
  });
});
