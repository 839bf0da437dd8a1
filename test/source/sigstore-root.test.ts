import { readdir } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { openTrustRoot, shippedSeed } from '../../build/source/sigstore-root.ts';
import { rejection } from '../recipe/support/failure.ts';
import { testContext } from './support/context.ts';
import { startServer, status, whole } from './support/server.ts';
import { startSigstore } from './support/sigstore.ts';
import { serveTuf } from './support/tuf.ts';

let before: string;
let now: string;
beforeAll(async () => {
  [before, now] = await Promise.all([startSigstore(), startSigstore()]).then(
    (both) => both.map(({ trustedRoot }) => trustedRoot) as [string, string],
  );
});

/** Tells roots apart. */
const logOf = (text: string) => JSON.parse(text).tlogs[0].logId.keyId as string;
const logIn = ({ keys }: { keys: { tlogs: { logId: { keyId: Buffer } | undefined }[] } }) =>
  keys.tlogs[0]?.logId?.keyId.toString('base64');

test('what came with make-runtime starts from the real Sigstore', () => {
  const { url, root, target } = shippedSeed();
  expect(url).toBe('https://tuf-repo-cdn.sigstore.dev');
  expect(JSON.parse(root.toString()).signed._type).toBe('root');
  const { certificateAuthorities, tlogs } = JSON.parse(target.toString());
  expect(certificateAuthorities.map(({ uri }: { uri: string }) => uri)).toContain('https://fulcio.sigstore.dev');
  expect(tlogs.map(({ baseUrl }: { baseUrl: string }) => baseUrl)).toContain('https://rekor.sigstore.dev');
});

test('the root is refreshed through a rotation of keys, and nothing stays in the cache', async () => {
  await using server = await startServer();
  await using ctx = await testContext();
  const tuf = serveTuf(server, before);
  tuf.publish(now);
  const root = await openTrustRoot(ctx, tuf.seed);
  expect(root).toMatchObject({ fresh: true, origin: "Sigstore's trust root (TUF root 2)" });
  expect(logIn(root)).toBe(logOf(now));
  expect(ctx.events.filter(({ type }) => type === 'warn')).toEqual([]);
  expect((await readdir(ctx.cacheDir)).filter((name) => name !== 'part')).toEqual([]);
  expect(await readdir(`${ctx.cacheDir}/part`)).toEqual([]);
});

test('offline it is the one that came along, and nobody is asked', async () => {
  await using server = await startServer();
  await using ctx = await testContext({ offline: true });
  const root = await openTrustRoot(ctx, serveTuf(server, before).seed);
  expect(root.fresh).toBe(false);
  expect(logIn(root)).toBe(logOf(before));
  expect(server.log).toEqual([]);
});

test('a server out of reach is a warning', async () => {
  await using ctx = await testContext();
  const gone = await startServer();
  const { seed } = serveTuf(gone, before);
  await gone[Symbol.asyncDispose]();
  expect(logIn(await openTrustRoot(ctx, seed))).toBe(logOf(before));
  expect(ctx.events).toContainEqual(
    expect.objectContaining({ type: 'warn', message: expect.stringContaining('connection refused') }),
  );
});

test('a server that has none of it is as good as out of reach', async () => {
  await using server = await startServer();
  await using ctx = await testContext();
  const tuf = serveTuf(server, before);
  tuf.publish(now);
  server.serve('/tuf/timestamp.json', status(404));
  expect(await openTrustRoot(ctx, tuf.seed)).toMatchObject({ fresh: false });
  expect(ctx.events).toContainEqual(expect.objectContaining({ message: expect.stringContaining('HTTP 404') }));
});

test.each(['signature', 'target', 'expired', 'rollback'] as const)('wrong %s', async (wrong) => {
  await using server = await startServer();
  await using ctx = await testContext();
  const tuf = serveTuf(server, before);
  tuf.publish(now, wrong);
  expect(await rejection(openTrustRoot(ctx, tuf.seed))).toMatchObject({
    code: 'TRUST_ROOT_INVALID',
    remedy: expect.stringContaining('--trusted-root'),
  });
});

test('a proxy that answers with a page of its own', async () => {
  await using server = await startServer();
  await using ctx = await testContext();
  const tuf = serveTuf(server, before);
  server.serve('/tuf/2.root.json', whole(Buffer.from('<h1>Sign in to the network</h1>')));
  expect((await rejection(openTrustRoot(ctx, tuf.seed))).code).toBe('TRUST_ROOT_INVALID');
  server.serve('/tuf/2.root.json', whole(Buffer.alloc(2 << 20, 'x')));
  expect((await rejection(openTrustRoot(ctx, tuf.seed))).detail).toContain('larger than TUF allows');
});

test('Ctrl-C', async () => {
  await using server = await startServer();
  const abort = new AbortController();
  await using ctx = await testContext({ signal: abort.signal });
  const tuf = serveTuf(server, before);
  server.serve('/tuf/2.root.json', () => abort.abort());
  expect((await rejection(openTrustRoot(ctx, tuf.seed))).code).toBe('CANCELLED');
});
