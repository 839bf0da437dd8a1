// Statements that refer to an image, on registries that know the referrers API, that do not, and that take neither.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { mediaTypes, ociIndex, type RawManifest } from '../../build/registry/oci.ts';
import { parseReference } from '../../build/registry/reference.ts';
import { type Artifact, type Attached, attach } from '../../build/registry/referrers.ts';
import { Registry } from '../../build/registry/session.ts';
import { type TestContext, testContext } from '../source/support/context.ts';
import { sha256, type WritableRegistry, writableRegistry } from './support/writable.ts';

const bytes = Buffer.from('{"schemaVersion":2}');
const subject: RawManifest = { mediaType: mediaTypes.oci.manifest, digest: sha256(bytes), bytes };
const bom: Artifact = { type: 'application/spdx+json', title: 'sbom.spdx.json', bytes: Buffer.from('{"spdx":1}') };
const tag = `app:${subject.digest.replace(':', '-')}`;

let ctx: TestContext;
let server: WritableRegistry;
const start = async (options = {}): Promise<void> => {
  server = await writableRegistry(options);
};
beforeEach(async () => {
  ctx = await testContext();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await ctx[Symbol.asyncDispose]();
});
const attached = async (artifacts: readonly Artifact[] = [bom]): Promise<Attached> => {
  const options = { purpose: 'push', patience: { attempts: 2, delay: 1, silence: 2000 } } as const;
  using registry = new Registry(parseReference(`${server.host}/app:1`), ctx, options);
  return await attach(registry, subject, artifacts, ctx);
};
const rows = () => JSON.parse(server.manifests.get(tag)!.bytes.toString()).manifests;

test('through the API: a manifest of its own with a subject, and no tag', async () => {
  await start({ referrers: true });
  const { digests, through } = await attached();
  expect(through).toBe('referrers');
  expect([...server.manifests.keys()]).toEqual([`app@${digests[0]}`]);
  expect(JSON.parse(server.manifests.get(`app@${digests[0]}`)!.bytes.toString())).toEqual({
    schemaVersion: 2,
    mediaType: mediaTypes.oci.manifest,
    artifactType: bom.type,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 },
    layers: [
      {
        mediaType: bom.type,
        digest: sha256(bom.bytes),
        size: bom.bytes.length,
        annotations: { 'org.opencontainers.image.title': bom.title },
      },
    ],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: bytes.length },
    annotations: { 'org.opencontainers.image.title': bom.title },
  });
});

test('through the tag where there is no API; again, nothing changes', async () => {
  await start();
  const first = await attached();
  expect(first.through).toBe('tag');
  expect(server.manifests.get(tag)?.type).toBe(ociIndex);
  expect(rows()).toEqual([expect.objectContaining({ digest: first.digests[0], artifactType: bom.type })]);
  const puts = server.seen.filter(({ method, url }) => method === 'PUT' && url.includes('sha256-')).length;
  expect(await attached()).toEqual(first);
  expect(server.seen.filter(({ method, url }) => method === 'PUT' && url.includes('sha256-'))).toHaveLength(puts);
});

test('what somebody else attached stays', async () => {
  await start();
  const other = Buffer.from('{"layers":[]}');
  server.manifests.set(`app@${sha256(other)}`, { type: mediaTypes.oci.manifest, bytes: other });
  const index = { schemaVersion: 2, mediaType: ociIndex, manifests: [{ digest: sha256(other), size: 13 }] };
  server.manifests.set(tag, { type: ociIndex, bytes: Buffer.from(JSON.stringify(index)) });
  const { digests } = await attached();
  expect(rows().map(({ digest }: { digest: string }) => digest)).toEqual([sha256(other), ...digests]);
});

test('a registry that has the API but does not say so is asked', async () => {
  await start();
  server.rules = [
    (request, response) => {
      if (!request.url?.includes('/referrers/')) return false;
      response.writeHead(200, { 'content-type': ociIndex }).end('{"schemaVersion":2,"manifests":[]}');
      return true;
    },
  ];
  expect((await attached()).through).toBe('referrers');
  expect(server.manifests.has(tag)).toBe(false);
});

test('a registry that takes none is no failure, and its words are handed on', async () => {
  await start();
  server.rules = [
    (request, response) => {
      if (request.method !== 'PUT' || !request.url?.includes('/manifests/')) return false;
      response.writeHead(415).end('{"errors":[{"code":"UNSUPPORTED","message":"config type is not known"}]}');
      return true;
    },
  ];
  expect(await attached()).toEqual({
    digests: [],
    through: undefined,
    refusal: 'the registry says: UNSUPPORTED: config type is not known',
  });
});

test('nothing to attach, nothing asked', async () => {
  await start();
  expect(await attached([])).toEqual({ digests: [], through: undefined });
  expect(server.seen).toEqual([]);
});
