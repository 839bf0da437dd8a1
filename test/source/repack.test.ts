// A distribution's archive of the same release: asked last, with a hash of its own.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fetchSource, isObtainable } from '../../build/source/download.ts';
import { parseLock, printLock } from '../../build/source/lock.ts';
import { rejection } from '../recipe/support/failure.ts';
import { type TestContext, testContext } from './support/context.ts';
import { pin, sha256 } from './support/pins.ts';
import { type FileServer, startServer, status, whole } from './support/server.ts';

const upstream = randomBytes(1000);
const repacked = randomBytes(800);
const quick = { attempts: 1, delay: 1, silence: 10_000 };

let server: FileServer;
let ctx: TestContext;
beforeEach(async () => {
  server = await startServer();
  ctx = await testContext();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await ctx[Symbol.asyncDispose]();
});

const repack = (mirror: string, bytes = repacked) => ({
  mirror,
  size: bytes.length,
  sha256: sha256(bytes),
  difference: 'without the manual',
});

test('asked when no mirror answers, and found in the cache afterwards without asking anybody', async () => {
  const source = pin(upstream, [server.serve('/a', status(404))], {
    repacks: [repack(server.serve('/gone', status(404))), repack(server.serve('/b', whole(repacked)))],
  });
  expect(await isObtainable(source, ctx)).toBe(true);
  server.log.length = 0;
  const path = await fetchSource(source, ctx, quick);
  expect((await readFile(path)).equals(repacked)).toBe(true);
  expect(server.log).toEqual(['GET /a', 'GET /gone', 'GET /b']);
  expect(await fetchSource(source, { ...ctx, offline: true }, quick)).toBe(path);
  expect(server.log).toHaveLength(3);
});

test('not asked when upstream answers', async () => {
  const source = pin(upstream, [server.serve('/a', whole(upstream))], {
    repacks: [repack(server.serve('/b', whole(repacked)))],
  });
  expect((await readFile(await fetchSource(source, ctx, quick))).equals(upstream)).toBe(true);
  expect(server.log).toEqual(['GET /a']);
});

test('not asked when a mirror sends something else: that is to be looked into', async () => {
  const source = pin(upstream, [server.serve('/a', whole(randomBytes(1000)))], {
    repacks: [repack(server.serve('/b', whole(repacked)))],
  });
  expect(await rejection(fetchSource(source, ctx, quick))).toMatchObject({ code: 'SOURCE_HASH_MISMATCH' });
  expect(server.log).not.toContain('GET /b');
});

test('held to its own hash, and the error is about what was asked for', async () => {
  const wrong = pin(upstream, [server.serve('/a', status(404))], {
    repacks: [repack(server.serve('/b', whole(randomBytes(800))))],
  });
  expect(await rejection(fetchSource(wrong, ctx, quick))).toMatchObject({ code: 'SOURCE_HASH_MISMATCH' });
  const gone = { ...wrong, repacks: [repack(server.serve('/c', status(404)))] };
  expect(await rejection(fetchSource(gone, ctx, quick))).toMatchObject({ code: 'SOURCE_UNREACHABLE' });
});

test('survives the lock file, and a malformed mirror does not', () => {
  const source = pin(upstream, ['https://a.example/x'], {
    cpe: 'cpe:2.3:a:python:python:3.13.15:*:*:*:*:*:*:*',
    repacks: [repack('debian:trixie/python3.13=3.13.15-*/x.tar.xz')],
  });
  expect(parseLock(printLock({ sources: [source] })).sources).toEqual([source]);
  const malformed = { ...source, repacks: [repack('trixie/x')] };
  expect(() => parseLock(printLock({ sources: [malformed] }))).toThrow(
    expect.objectContaining({ code: 'LOCK_INVALID' }),
  );
});
