// Pushing, against a registry in memory that does what registries do on their bad days. Real ones are in test/slow.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { mediaTypes } from '../../build/registry/oci.ts';
import { type Blob, moveTag, pushBlobs, pushManifest, tagDigest } from '../../build/registry/push.ts';
import { parseReference } from '../../build/registry/reference.ts';
import { Registry, type RegistryOptions } from '../../build/registry/session.ts';
import { type TestContext, testContext } from '../source/support/context.ts';
import { sha256, type WritableRegistry, type WriteRule, writableRegistry } from './support/writable.ts';

let server: WritableRegistry;
let ctx: TestContext;
beforeEach(async () => {
  server = await writableRegistry({ repositories: ['app', 'base'] });
  ctx = await testContext();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await ctx[Symbol.asyncDispose]();
});

const blobOf = (bytes: Buffer): Blob => ({
  digest: sha256(bytes),
  size: bytes.length,
  // In pieces, so that a broken connection has a middle.
  open: async function* () {
    for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
  },
});
const large = Buffer.alloc(1_000_000, 'layer ');
const blob = blobOf(large);
const small = Array.from({ length: 7 }, (_, at) => blobOf(Buffer.from(`blob ${at}`)));

const open = (text = 'app:1', options: RegistryOptions = {}): Registry =>
  new Registry(parseReference(`${server.host}/${text}`), ctx, {
    patience: { attempts: 4, delay: 1, silence: 2000 },
    purpose: 'push',
    ...options,
  });

/** Answers the first `times` requests of a kind in its own way. */
const first = (times: number, method: string, path: RegExp, answer: WriteRule): WriteRule => {
  let left = times;
  return (request, response, body) => {
    if (request.method !== method || !path.test(request.url ?? '') || left === 0) return false;
    left -= 1;
    return answer(request, response, body);
  };
};
const status =
  (code: number, headers: Record<string, string> = {}, body = ''): WriteRule =>
  (_, response) => {
    response.writeHead(code, headers).end(body);
    return true;
  };
const said = (code: string, message: string): string => JSON.stringify({ errors: [{ code, message }] });
const count = (method: string, path: RegExp): number =>
  server.seen.filter((one) => one.method === method && path.test(one.url)).length;
const kept = (repository = 'app') => server.blobs.get(`${repository}@${blob.digest}`)?.equals(large);

describe('blobs', () => {
  test('one request each, none for what is there', async () => {
    using registry = open();
    expect(await pushBlobs(registry, [blob, ...small], [], ctx)).toEqual({
      uploaded: 8,
      mounted: 0,
      found: 0,
      bytes: 1_000_000 + 7 * 6,
    });
    expect(kept()).toBe(true);
    expect(count('PATCH', /./)).toBe(0);
    expect(count('PUT', /./)).toBe(8);
    expect(await pushBlobs(registry, [blob, blob, ...small], [], ctx)).toMatchObject({
      uploaded: 0,
      found: 8,
      bytes: 0,
    });
    expect(count('PUT', /./)).toBe(8);
    expect(server.uploads.size).toBe(0);
  });

  test('several at a time, but never more than four', async () => {
    let now = 0;
    let most = 0;
    const slow: WriteRule = (request, response, body) => {
      if (request.method !== 'PUT') return false;
      now += 1;
      most = Math.max(most, now);
      setTimeout(() => {
        now -= 1;
        server.blobs.set(`app@${sha256(body)}`, body);
        response.writeHead(201).end();
      }, 30);
      return true;
    };
    server.rules = [slow];
    using registry = open();
    await pushBlobs(registry, small, [], ctx);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(4);
  });

  test('mounted where another repository has them, sent where not', async () => {
    server.blobs.set(`base@${blob.digest}`, large);
    using registry = open('app:1', { mount: ['elsewhere', 'base'] });
    expect(await pushBlobs(registry, [blob, small[0]!], ['elsewhere', 'base'], ctx)).toMatchObject({
      uploaded: 1,
      mounted: 1,
    });
    expect(kept()).toBe(true);
    expect(count('PUT', /./)).toBe(1);
  });

  test.each<[string, WriteRule]>([
    ['refuses to mount', status(405, {}, said('UNSUPPORTED', 'no'))],
    ['fails to mount', status(500)],
    [
      'says 201 and has not mounted',
      (_, response) => {
        server.uploads.add('odd');
        response.writeHead(201, { location: '/v2/app/blobs/uploads/odd?state=a%2Bb' }).end();
        return true;
      },
    ],
  ])('a registry that %s is sent the blob', async (_, answer) => {
    server.rules = [first(1, 'POST', /mount=/, answer)];
    using registry = open();
    expect(await pushBlobs(registry, [blob], ['base'], ctx)).toMatchObject({ uploaded: 1, mounted: 0 });
    expect(kept()).toBe(true);
  });

  test('201 where the specification has 202', async () => {
    server.rules = [
      first(9, 'POST', /uploads/, (_, response) => {
        server.uploads.add('early');
        response.writeHead(201, { location: '/v2/app/blobs/uploads/early?state=a%2Bb' }).end();
        return true;
      }),
    ];
    using registry = open();
    expect(await pushBlobs(registry, [blob], [], ctx)).toMatchObject({ uploaded: 1 });
    expect(kept()).toBe(true);
  });

  test('each attempt opens the body again', async () => {
    let opened = 0;
    const counted: Blob = {
      ...blob,
      open: () => {
        opened += 1;
        return blob.open();
      },
    };
    server.rules = [first(2, 'PUT', /uploads/, status(503))];
    using registry = open();
    await pushBlobs(registry, [counted], [], ctx);
    expect(opened).toBe(3);
    expect(kept()).toBe(true);
  });

  test.each([500, 502, 503, 504, 408, 429])('%i at every step once: asked again', async (code) => {
    server.rules = [
      first(1, 'HEAD', /blobs/, status(code)),
      first(1, 'POST', /uploads/, status(code)),
      first(1, 'PUT', /uploads/, status(code, { 'retry-after': '0' })),
    ];
    using registry = open();
    await pushBlobs(registry, [blob], [], ctx);
    expect(kept()).toBe(true);
    expect(ctx.events).toContainEqual(
      expect.objectContaining({ stage: 'push', text: expect.stringContaining(`HTTP ${code}; trying again`) }),
    );
  });

  test('a connection that breaks while a blob is sent, and one whose answer is lost', async () => {
    const hangUp: WriteRule = (request) => {
      request.socket.destroy();
      return true;
    };
    server.rules = [first(1, 'PUT', /uploads/, hangUp)];
    using registry = open();
    expect(await pushBlobs(registry, [blob], [], ctx)).toMatchObject({ uploaded: 1 });
    expect(kept()).toBe(true);

    const arrives: WriteRule = (request, _, body) => {
      server.blobs.set(`app@${sha256(body)}`, body);
      request.socket.destroy();
      return true;
    };
    server.rules = [first(1, 'PUT', /uploads/, arrives)];
    const sent = count('PUT', /uploads/);
    expect(await pushBlobs(registry, [small[1]!], [], ctx)).toMatchObject({ uploaded: 0, found: 1 });
    expect(count('PUT', /uploads/)).toBe(sent + 1);
  });

  test('an upload that the registry has lost is begun again', async () => {
    server.rules = [first(1, 'PUT', /uploads/, status(404, {}, said('BLOB_UPLOAD_UNKNOWN', 'gone')))];
    using registry = open();
    await pushBlobs(registry, [blob], [], ctx);
    expect(kept()).toBe(true);
    expect(count('POST', /uploads/)).toBe(2);
  });

  test('bytes that were changed on their way are sent again', async () => {
    server.rules = [
      first(1, 'PUT', /uploads/, status(400, {}, said('DIGEST_INVALID', 'provided digest did not match'))),
    ];
    using registry = open();
    await pushBlobs(registry, [blob], [], ctx);
    expect(kept()).toBe(true);
    server.rules = [first(99, 'PUT', /uploads/, status(400, {}, said('DIGEST_INVALID', 'did not match')))];
    await expect(pushBlobs(registry, [small[0]!], [], ctx)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      detail: expect.stringContaining('received something else'),
    });
  });

  test.each([
    ['other bytes', Buffer.alloc(1_000_000, 'other')],
    ['fewer bytes', large.subarray(0, 500_000)],
    ['more bytes', Buffer.concat([large, large])],
  ])('an image that changes meanwhile: %s', async (_, now) => {
    using registry = open();
    const changed = { ...blob, open: blobOf(now).open };
    await expect(pushBlobs(registry, [changed], [], ctx)).rejects.toMatchObject({ code: 'ARTIFACT_CHANGED' });
    expect(kept()).toBeUndefined();
  });

  test('a line that is slow but alive is not given up', async () => {
    const slowly: Blob = {
      ...blob,
      open: async function* () {
        for await (const chunk of blob.open()) {
          await new Promise((done) => setTimeout(done, 40));
          yield chunk;
        }
      },
    };
    // 16 pieces of 40 ms: longer than the silence, which each piece breaks.
    using registry = open('app:1', { patience: { attempts: 1, delay: 1, silence: 300 } });
    await pushBlobs(registry, [slowly], [], ctx);
    expect(kept()).toBe(true);
  });

  test('a registry that falls silent is given up', async () => {
    server.rules = [first(9, 'PUT', /uploads/, () => true)];
    using registry = open('app:1', { patience: { attempts: 1, delay: 1, silence: 200 } });
    await expect(pushBlobs(registry, [blob], [], ctx)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      detail: expect.stringContaining('no answer within 0.2 s'),
    });
  });

  test('a cancelled push stops', async () => {
    const abort = new AbortController();
    const cancelled = { ...ctx, signal: abort.signal };
    server.rules = [first(9, 'PUT', /uploads/, () => true)];
    using registry = new Registry(parseReference(`${server.host}/app:1`), cancelled, { purpose: 'push' });
    setTimeout(() => abort.abort(), 100);
    await expect(pushBlobs(registry, [blob], [], cancelled)).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('what the registry refuses', () => {
  test.each<[string, number, string, string, object]>([
    [
      'a repository that is not there',
      404,
      'NAME_UNKNOWN',
      'no such',
      { code: 'REPOSITORY_MISSING', remedy: expect.stringContaining('--create') },
    ],
    ['a name', 400, 'NAME_INVALID', 'invalid', { code: 'REFERENCE_INVALID' }],
    ['size', 413, 'SIZE', 'too large', { code: 'PUSH_REFUSED', detail: 'the registry says: SIZE: too large' }],
    [
      'anybody',
      403,
      'DENIED',
      'requested access is denied',
      { code: 'REGISTRY_DENIED', remedy: expect.stringContaining('docker login 127.0.0.1') },
    ],
    [
      'whom ECR does not trust',
      403,
      'DENIED',
      'User: arn:aws:sts::123456789012:assumed-role/ci/x is not authorized to perform: ecr:InitiateLayerUpload on resource: arn:aws:ecr:eu-west-1:123456789012:repository/app because no identity-based policy allows the ecr:InitiateLayerUpload action',
      {
        code: 'REGISTRY_DENIED',
        message: expect.stringContaining(
          'ecr:InitiateLayerUpload is not allowed on arn:aws:ecr:eu-west-1:123456789012:repository/app.',
        ),
      },
    ],
    [
      'an old token',
      403,
      'DENIED',
      'Your authorization token has expired. Reauthenticate and try again.',
      { code: 'REGISTRY_DENIED', message: expect.stringContaining('has expired') },
    ],
  ])('%s', async (_, code, name, message, expected) => {
    server.rules = [first(9, 'POST', /uploads/, status(code, {}, said(name, message)))];
    using registry = open();
    await expect(pushBlobs(registry, [blob], [], ctx)).rejects.toMatchObject(expected);
    expect(count('POST', /uploads/)).toBe(1);
  });

  test('to look is not to write: 403 for HEAD alone is no end', async () => {
    server.rules = [first(99, 'HEAD', /blobs/, status(403))];
    using registry = open();
    expect(await pushBlobs(registry, [blob], [], ctx)).toMatchObject({ uploaded: 1 });
  });

  test('429 until the end', async () => {
    server.rules = [first(99, 'POST', /uploads/, status(429, {}, said('TOOMANYREQUESTS', 'Rate exceeded')))];
    using registry = open();
    await expect(pushBlobs(registry, [blob], [], ctx)).rejects.toMatchObject({ code: 'REGISTRY_THROTTLED' });
    expect(count('POST', /uploads/)).toBe(4);
  });
});

describe('manifests and tags', () => {
  const config = Buffer.from('{}');
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.oci.manifest,
      config: { mediaType: mediaTypes.oci.config, digest: sha256(config), size: config.length },
      layers: [],
    }),
  );
  const manifest = { mediaType: mediaTypes.oci.manifest, digest: sha256(bytes), bytes };

  test('by digest, then by tag, with its own type', async () => {
    using registry = open();
    await pushBlobs(registry, [blobOf(config)], [], ctx);
    await pushManifest(registry, manifest);
    expect(await tagDigest(registry, '1')).toBeUndefined();
    await moveTag(registry, manifest, '1');
    expect(await tagDigest(registry, '1')).toBe(manifest.digest);
    expect(server.manifests.get('app:1')).toMatchObject({ type: manifest.mediaType });
  });

  test('a tag that may not be moved, as ECR says it', async () => {
    const words =
      "The image tag '1' already exists in the 'app' repository and cannot be overwritten because the tag is immutable.";
    server.rules = [first(9, 'PUT', /manifests\/1$/, status(400, {}, said('TAG_INVALID', words)))];
    using registry = open();
    await pushBlobs(registry, [blobOf(config)], [], ctx);
    await expect(moveTag(registry, manifest, '1')).rejects.toMatchObject({
      code: 'TAG_TAKEN',
      detail: expect.stringContaining('immutable'),
    });
  });

  test('a tag that leads elsewhere although the registry says it does not', async () => {
    server.manifests.set('app:1', { type: manifest.mediaType, bytes: Buffer.from('{"other":1}') });
    server.rules = [first(1, 'PUT', /manifests\/1$/, status(201, { 'docker-content-digest': manifest.digest }))];
    using registry = open();
    await expect(moveTag(registry, manifest, '1')).rejects.toMatchObject({
      code: 'PUSH_REFUSED',
      detail: expect.stringContaining(manifest.digest),
    });
  });

  test('a manifest the registry does not want', async () => {
    using registry = open();
    await expect(pushManifest(registry, manifest)).rejects.toMatchObject({
      code: 'PUSH_REFUSED',
      detail: 'the registry says: MANIFEST_BLOB_UNKNOWN: manifest_blob_unknown',
    });
  });
});

describe('secrets', () => {
  const credentials = { username: 'me', password: 'se:cret%20' };
  const basic = `Basic ${Buffer.from('me:se:cret%20').toString('base64')}`;
  const guard: WriteRule = (request, response) => {
    if (request.headers.authorization === basic) return false;
    response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
    return true;
  };
  const shown = (error: unknown): string => {
    const { message, detail, remedy, stack } = error as Error & { detail?: string; remedy?: string };
    return `${message} ${detail} ${remedy} ${stack} ${JSON.stringify(ctx.events)}`;
  };

  test('go to the registry itself, and not where its Location leads', async () => {
    const elsewhere: { authorization: string | undefined; url: string | undefined; bytes: number }[] = [];
    const storage = createServer(async (request: IncomingMessage, response: ServerResponse) => {
      let bytes = 0;
      for await (const chunk of request) bytes += (chunk as Buffer).length;
      elsewhere.push({ authorization: request.headers.authorization, url: request.url, bytes });
      response.writeHead(201).end();
    });
    await new Promise<void>((done) => storage.listen(0, '127.0.0.1', done));
    try {
      const place = `http://127.0.0.1:${(storage.address() as AddressInfo).port}/put?signature=hidden`;
      server.rules = [guard, first(1, 'POST', /uploads/, status(202, { location: place }))];
      using registry = open('app:1', { credentials: async () => credentials });
      await pushBlobs(registry, [blob], [], ctx);
      expect(elsewhere).toEqual([
        {
          authorization: undefined,
          url: expect.stringContaining('signature=hidden&digest=sha256'),
          bytes: large.length,
        },
      ]);
      // The same for a redirect of the upload itself, which takes the body along.
      server.rules = [guard, first(1, 'PUT', /uploads/, status(307, { location: place }))];
      await pushBlobs(registry, [small[0]!], [], ctx);
      expect(elsewhere[1]).toMatchObject({ authorization: undefined, bytes: 6 });
      expect(server.seen.filter(({ authorization }) => authorization === basic).length).toBeGreaterThan(3);
    } finally {
      storage.closeAllConnections();
      storage.close();
    }
  });

  test.each(['http://storage.example/put', 'ftp://storage.example/put'])(
    'a Location without TLS: %s',
    async (location) => {
      server.rules = [guard, first(1, 'POST', /uploads/, status(202, { location }))];
      using registry = open('app:1', { credentials: async () => credentials });
      await expect(pushBlobs(registry, [blob], [], ctx)).rejects.toMatchObject({
        code: 'REGISTRY_UNREACHABLE',
        message: expect.stringContaining('not a TLS address'),
      });
    },
  );

  test('what a registry echoes of them is not repeated', async () => {
    const echo: WriteRule = (request, response) => {
      const { authorization = '' } = request.headers;
      const message = `no: ${authorization} ${Buffer.from(authorization.slice(6), 'base64')} ${encodeURIComponent(credentials.password)}`;
      response.writeHead(403).end(said('DENIED', message));
      return true;
    };
    server.rules = [guard, first(9, 'POST', /uploads/, echo)];
    using registry = open('app:1', { credentials: async () => credentials });
    const error = await pushBlobs(registry, [blob], [], ctx).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'REGISTRY_DENIED', detail: expect.stringContaining('DENIED: no: Basic ***') });
    expect(shown(error)).not.toContain('se:cret');
    expect(shown(error)).not.toContain(basic.slice(6));
    expect(shown(error)).not.toContain(encodeURIComponent(credentials.password));
  });

  test('a token that expires on the way is renewed', async () => {
    let issued = 0;
    let renewed = 0;
    const tokens: WriteRule = (request, response) => {
      const asked = new URL(request.url ?? '', 'http://x');
      if (asked.pathname === '/token') {
        expect(asked.searchParams.getAll('scope')).toEqual(['repository:app:pull,push', 'repository:base:pull']);
        issued += 1;
        response.end(JSON.stringify({ token: `t${issued}` }));
        return true;
      }
      const wanted = request.method === 'PUT' && renewed === 0 ? 'Bearer t2' : `Bearer t${issued}`;
      if (request.headers.authorization === wanted && issued > 0) {
        if (request.method === 'PUT') renewed += 1;
        return false;
      }
      const challenge = `Bearer realm="http://${server.host}/token",service="s",scope="repository:app:pull"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return true;
    };
    server.rules = [tokens];
    using registry = open('app:1', { mount: ['base'], credentials: async () => credentials });
    await pushBlobs(registry, [blob], [], ctx);
    expect({ issued, renewed }).toEqual({ issued: 2, renewed: 1 });
    expect(kept()).toBe(true);
  });

  test('an identity token is exchanged, and never sent to the registry', async () => {
    let form = '';
    const tokens: WriteRule = (request, response, body) => {
      if (request.url === '/token') {
        form = body.toString();
        response.end(JSON.stringify({ access_token: 'short' }));
        return true;
      }
      if (request.headers.authorization === 'Bearer short') return false;
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${server.host}/token",service="s"` }).end();
      return true;
    };
    server.rules = [tokens];
    using registry = open('app:1', { credentials: async () => ({ identityToken: 'long-lived' }) });
    await pushBlobs(registry, [blob], [], ctx);
    expect(Object.fromEntries(new URLSearchParams(form))).toEqual({
      grant_type: 'refresh_token',
      client_id: 'make-runtime',
      service: 's',
      scope: 'repository:app:pull,push',
      refresh_token: 'long-lived',
    });
    expect(server.seen.some(({ authorization }) => authorization?.includes('long-lived'))).toBe(false);
  });

  test('a registry that is not this machine is spoken to over TLS only', async () => {
    // Nothing listens there: what counts is the address that was tried.
    using registry = new Registry(parseReference('registry.invalid/app:1'), ctx, {
      purpose: 'push',
      patience: { attempts: 1, delay: 1, silence: 2000 },
      credentials: async () => credentials,
    });
    await expect(pushBlobs(registry, [blob], [], ctx)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    expect(() => new Registry(parseReference('x/app'), ctx, { origin: 'http://registry.example' })).toThrow(
      'not a TLS',
    );
  });
});

test('a registry out on the network may not lead into this one', () => {
  using registry = new Registry(parseReference('registry.example/app:1'), ctx, { purpose: 'push' });
  const lead = (location: string) =>
    registry.place({ headers: { location }, url: new URL('https://registry.example/v2/') } as unknown as Parameters<
      typeof registry.place
    >[0]);
  expect(lead('/v2/app/x')?.href).toBe('https://registry.example/v2/app/x');
  expect(lead('https://storage.example/x')?.host).toBe('storage.example');
  for (const inside of ['https://169.254.169.254/x', 'https://10.0.0.1/', 'http://127.0.0.1:9/', 'https://[fd00::1]/'])
    expect(() => lead(inside)).toThrow(expect.objectContaining({ code: 'REGISTRY_UNREACHABLE' }));
  expect(() => lead('http://:::')).toThrow('no address');
});

test('Retry-After as a date', async () => {
  const later = new Date(Date.now() + 3_600_000).toUTCString();
  server.rules = [first(9, 'HEAD', /blobs/, status(503, { 'retry-after': later }))];
  using registry = open();
  await expect(pushBlobs(registry, [blob], [], ctx)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
  expect(count('HEAD', /blobs/)).toBe(1); // An hour is told, not waited for.
});

test('a warning of the registry is told once', async () => {
  const warns: WriteRule = (_, response) => {
    response.setHeader('warning', '299 - "This repository is read-only from Monday"');
    return false;
  };
  server.rules = [warns];
  using registry = open();
  await pushBlobs(registry, small, [], ctx);
  const warnings = ctx.events.filter(({ type }) => type === 'warn');
  expect(warnings).toEqual([
    {
      type: 'warn',
      message: '127.0.0.1:PORT says: This repository is read-only from Monday'.replace('127.0.0.1:PORT', server.host),
    },
  ]);
});
