import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cachePath } from '../../build/source/cache.ts';
import { fetchSource, fetchUnpinned, isObtainable } from '../../build/source/download.ts';
import { fetchPlanSource } from '../../build/source/obtain.ts';
import { rejection } from '../recipe/support/failure.ts';
import { type TestContext, testContext } from './support/context.ts';
import { pin, sha256 } from './support/pins.ts';
import { cutAt, type FileServer, stallAt, startServer, status, whole } from './support/server.ts';

const bytes = randomBytes(300_000);
const quick = { attempts: 3, delay: 1, silence: 10_000 };
// Port 9 (discard) answers nobody: a mirror that is not there.
const dead = 'http://127.0.0.1:9/Python-3.13.15.tar.xz';

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

const partFiles = () => readdir(join(ctx.cacheDir, 'part')).catch(() => []);

describe('the way it should go', () => {
  test('from the first mirror into the cache, and from there without a socket', async () => {
    const source = pin(bytes, [server.serve('/a', whole(bytes)), server.serve('/b', whole(bytes))]);
    const path = await fetchSource(source, ctx, quick);
    expect(path).toBe(join(ctx.cacheDir, 'sha256', source.sha256.slice(0, 2), source.sha256.slice(2)));
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect(server.log).toEqual(['GET /a']);

    expect(await fetchSource(source, { ...ctx, offline: true }, quick)).toBe(path);
    expect(server.log).toHaveLength(1);
    expect(await partFiles()).toEqual([]);
  });

  test('the next mirror when one is not there', async () => {
    const source = pin(bytes, [dead, server.serve('/gone', status(404)), server.serve('/a', whole(bytes))]);
    await fetchSource(source, ctx, quick);
    // A 404 will not change within a second: no second attempt.
    expect(server.log).toEqual(['GET /gone', 'GET /a']);
  });

  test('again after a server error', async () => {
    const source = pin(bytes, [server.serve('/a', status(500), status(503), whole(bytes))]);
    await fetchSource(source, ctx, quick);
    expect(server.log).toHaveLength(3);
    expect(ctx.events).toContainEqual(
      expect.objectContaining({ type: 'progress', stage: 'sources', text: expect.stringContaining('HTTP 503') }),
    );
  });

  test('on from where the connection broke', async () => {
    const source = pin(bytes, [server.serve('/a', cutAt(bytes, 100_000), whole(bytes))]);
    await fetchSource(source, ctx, quick);
    expect(server.log).toEqual(['GET /a', expect.stringMatching(/^GET \/a bytes=\d+- if "v1"$/)]);
    expect(Number(/bytes=(\d+)/.exec(server.log[1]!)![1])).toBe(100_000);
  });

  test('from the start when the file changed in between', async () => {
    const source = pin(bytes, [
      server.serve('/a', cutAt(randomBytes(300_000), 100_000, '"old"'), whole(bytes, '"new"')),
    ]);
    await fetchSource(source, ctx, quick);
    expect(server.log[1]).toMatch(/bytes=100000- if "old"$/);
  });

  test('on at the second mirror where the first gave up', async () => {
    const source = pin(bytes, [
      server.serve('/a', cutAt(bytes, 100_000), status(404)),
      server.serve('/b', whole(bytes)),
    ]);
    await fetchSource(source, ctx, quick);
    expect(server.log.at(-1)).toBe('GET /b bytes=100000-');
  });

  test('once more from the start when such a beginning turns out wrong', async () => {
    const other = randomBytes(300_000);
    const source = pin(bytes, [
      server.serve('/a', cutAt(other, 100_000), status(404)),
      server.serve('/b', whole(bytes)),
    ]);
    await fetchSource(source, ctx, quick);
    expect(server.log.slice(-2)).toEqual(['GET /b bytes=100000-', 'GET /b']);
  });

  test('through redirects', async () => {
    const target = server.serve('/b', whole(bytes));
    const from = server.serve('/a', (_, response) => response.writeHead(302, { location: target }).end());
    await fetchSource(pin(bytes, [from]), ctx, quick);
    expect(server.log).toEqual(['GET /a', 'GET /b']);
  });

  test('through the proxy that the environment names, and around it for no_proxy', async () => {
    await using proxy = await startServer();
    const url = server.serve('/a', whole(bytes));
    proxy.serve(url, whole(bytes));
    const env = { ...ctx.env, http_proxy: proxy.url('') };
    await fetchSource(pin(bytes, [url]), { ...ctx, env }, quick);
    expect(proxy.log).toEqual([`GET ${url}`]);
    expect(server.log).toEqual([]);

    await using fresh = await testContext({ env: { ...env, no_proxy: '127.0.0.1' } });
    await fetchSource(pin(bytes, [url]), fresh, quick);
    expect(server.log).toEqual(['GET /a']);
  });

  test('a proxy that refuses, and one that hangs up, are said', async () => {
    const single = { attempts: 1, delay: 1, silence: 100 };
    const https = pin(bytes, ['https://127.0.0.1:9/a']);
    const refuses = { ...ctx, env: { ...ctx.env, https_proxy: server.url('') } };
    const refused = await rejection(fetchSource(https, refuses, single));
    expect(refused.detail).toBe('https://127.0.0.1:9/a: the proxy answered HTTP 502');

    const mute = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const { port } = mute.address() as AddressInfo;
    const hangsUp = { ...ctx, env: { ...ctx.env, https_proxy: `http://127.0.0.1:${port}` } };
    const dropped = await rejection(fetchSource(https, hangsUp, single));
    expect(dropped.detail).toMatch(/^https:\/\/127\.0\.0\.1:9\/a: (no answer within 0\.1 s|connection broken)$/);
    mute.close();
  });

  test('a server that says nothing is given up, one that stops is resumed', async () => {
    const impatient = { attempts: 2, delay: 1, silence: 300 };
    const mute = server.serve('/mute', () => {});
    const source = pin(bytes, [mute, server.serve('/a', stallAt(bytes, 1000), whole(bytes))]);
    await fetchSource(source, ctx, impatient);
    expect(server.log).toEqual(['GET /mute', 'GET /mute', 'GET /a', 'GET /a bytes=1000- if "v1"']);
  });

  test('from a file URL', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mirror-'));
    await writeFile(join(folder, 'it'), bytes);
    const none = pathToFileURL(join(folder, 'none')).href;
    const path = await fetchSource(pin(bytes, [none, pathToFileURL(join(folder, 'it')).href]), ctx, quick);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    await rm(folder, { recursive: true });
  });

  test('by several at once, each whole', async () => {
    const source = pin(bytes, [server.serve('/a', whole(bytes))]);
    const paths = await Promise.all([1, 2, 3, 4].map(() => fetchSource(source, ctx, quick)));
    expect(new Set(paths).size).toBe(1);
    expect((await readFile(paths[0]!)).equals(bytes)).toBe(true);
    expect(await partFiles()).toEqual([]);
  });
});

describe('bytes that are not the pinned ones', () => {
  const wrong = Buffer.from(bytes);
  wrong[150_000]! ^= 1;

  test('expected and received hash on two lines, and the bad file is gone', async () => {
    const source = pin(bytes, [server.serve('/a', whole(wrong)), dead]);
    const error = await rejection(fetchSource(source, ctx, quick));
    expect(error.code).toBe('SOURCE_HASH_MISMATCH');
    expect(error.detail?.split('\n')).toEqual([
      `${server.url('/a')}: sent other bytes`,
      `  expected sha256 ${sha256(bytes)}`,
      `  received sha256 ${sha256(wrong)}`,
      `${dead}: connection refused`,
    ]);
    expect(await partFiles()).toEqual([]);
    expect(await readdir(ctx.cacheDir)).not.toContain('sha256');
  });

  test('the next mirror is tried first', async () => {
    const source = pin(bytes, [server.serve('/a', whole(wrong)), server.serve('/b', whole(bytes))]);
    const path = await fetchSource(source, ctx, quick);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test('a truncated file that the server thinks is whole', async () => {
    const short = bytes.subarray(0, 1000);
    const error = await rejection(fetchSource(pin(bytes, [server.serve('/a', whole(short))]), ctx, quick));
    expect(error.code).toBe('SOURCE_HASH_MISMATCH');
    expect(error.detail).toContain(`received sha256 ${sha256(short)}`);
    expect(error.detail).toContain('expected size 300000\n  received size 1000');
  });

  test('a longer file is not even read to its end', async () => {
    const endless = server.serve('/a', (request, response) => {
      response.writeHead(200);
      const more = () => {
        while (response.write(bytes));
      };
      response.on('drain', more);
      request.on('close', () => response.destroy());
      more();
    });
    const error = await rejection(fetchSource(pin(bytes, [endless]), ctx, quick));
    expect(error.code).toBe('SOURCE_HASH_MISMATCH');
    expect(error.detail).toContain('expected size 300000\n  received size more than 300000');
    expect(await partFiles()).toEqual([]);
  });

  test('a damaged file in the cache is said and replaced', async () => {
    const source = pin(bytes, [server.serve('/a', whole(bytes))]);
    const path = cachePath(ctx.cacheDir, source.sha256);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, wrong);
    await fetchSource(source, ctx, quick);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect(ctx.events).toContainEqual(expect.objectContaining({ type: 'warn' }));
  });
});

describe('nothing to be had', () => {
  test('every mirror is named with what it answered', async () => {
    const cut = server.serve('/cut', cutAt(bytes, 10));
    server.serve('/cut', cutAt(bytes, 10), (_, response) => response.destroy());
    const mirrors = [dead, server.serve('/gone', status(404)), server.serve('/ill', status(500)), cut];
    const error = await rejection(fetchSource(pin(bytes, mirrors), ctx, quick));
    expect(error.code).toBe('SOURCE_UNREACHABLE');
    expect(error.message).toBe('Python-3.13.15.tar.xz could not be fetched from any mirror.');
    expect(error.detail?.split('\n')).toEqual([
      `${dead}: connection refused`,
      `${mirrors[1]}: answered HTTP 404`,
      `${mirrors[2]}: answered HTTP 500`,
      `${cut}: connection broken`,
    ]);
  });

  test('a name that does not resolve', async () => {
    const error = await rejection(fetchSource(pin(bytes, ['https://no-such-host.invalid/x']), ctx, quick));
    expect(error.detail).toMatch(/host not found|name server does not answer/);
  });

  test('--offline opens no socket and says which file goes where', async () => {
    const source = pin(bytes, [server.serve('/a', whole(bytes))]);
    const error = await rejection(fetchSource(source, { ...ctx, offline: true }, quick));
    expect(error.code).toBe('SOURCE_UNREACHABLE');
    expect(error.detail).toContain('file Python-3.13.15.tar.xz');
    expect(error.detail).toContain(server.url('/a'));
    expect(error.detail).toContain(dirname(cachePath(ctx.cacheDir, source.sha256)));
    expect(error.remedy).toContain(cachePath(ctx.cacheDir, source.sha256));
    expect(server.log).toEqual([]);
  });
});

describe('an older pin', () => {
  const old = randomBytes(1000);
  const oldest = randomBytes(1000);
  const plan = {
    recipe: '3.13',
    flavor: 'free-threaded',
    python: { version: '3.13.15', minor: '3.13', executable: 'python3.13t' },
  } as const;

  test('is offered with the command that takes it, and is not downloaded', async () => {
    const source = pin(bytes, [dead]);
    const lock = {
      sources: [
        pin(oldest, [server.serve('/oldest', whole(oldest))], { version: '3.13.2' }),
        pin(old, [server.serve('/old', whole(old))], { version: '3.13.5' }),
        source,
        pin(old, [server.url('/old')], { version: '3.13.99' }),
        pin(old, [server.url('/old')], { version: '3.12.14' }),
      ],
    };
    const error = await rejection(fetchPlanSource({ ...plan, source }, lock, ctx));
    expect(error).toMatchObject({
      code: 'SOURCE_OLDER_AVAILABLE',
      message: 'CPython 3.13.15 cannot be had from any mirror, but 3.13.5 can.',
      remedy: 'make-runtime build 3.13t --python 3.13.5',
    });
    expect(error.detail).toContain('connection refused');
    expect(server.log).toEqual(['HEAD /old']);
  });

  test('in the cache will do without the network', async () => {
    const source = pin(bytes, [dead]);
    const cached = pin(old, [dead], { version: '3.13.5' });
    const path = cachePath(ctx.cacheDir, cached.sha256);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, old);
    const offline = { ...ctx, offline: true };
    const error = await rejection(fetchPlanSource({ ...plan, source }, { sources: [cached, source] }, offline));
    expect(error.code).toBe('SOURCE_OLDER_AVAILABLE');
  });

  test('that cannot be had either is not mentioned', async () => {
    const source = pin(bytes, [dead]);
    const older = pin(old, [server.url('/none')], { version: '3.13.5' });
    expect(await isObtainable(older, ctx)).toBe(false);
    const error = await rejection(fetchPlanSource({ ...plan, source }, { sources: [older, source] }, ctx));
    expect(error.code).toBe('SOURCE_UNREACHABLE');
  });

  test('is no answer to wrong bytes', async () => {
    const source = pin(bytes, [server.serve('/a', whole(old))]);
    const older = pin(old, [server.serve('/old', whole(old))], { version: '3.13.5' });
    const error = await rejection(fetchPlanSource({ ...plan, source }, { sources: [older, source] }, ctx));
    expect(error.code).toBe('SOURCE_HASH_MISMATCH');
  });
});

describe('stopped in the middle', () => {
  test('Ctrl-C: CANCELLED at once, and the next run goes on from there', async () => {
    const stop = new AbortController();
    const url = server.serve('/a', stallAt(bytes, 100_000), whole(bytes));
    const pending = rejection(fetchSource(pin(bytes, [url]), { ...ctx, signal: stop.signal }, quick));
    await arrived(100_000);
    stop.abort();
    expect((await pending).code).toBe('CANCELLED');
    expect(await readdir(ctx.cacheDir)).toEqual(['part']);
  });

  test('kill -9: the next run goes on from there', async () => {
    const source = pin(bytes, [server.serve('/a', stallAt(bytes, 100_000), whole(bytes))]);
    const program = fileURLToPath(new URL('./support/fetch.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', program, ctx.cacheDir, JSON.stringify(source)]);
    const gone = new Promise((done) => child.on('exit', done));
    await arrived(100_000);
    child.kill('SIGKILL');
    await gone;
    const path = await fetchSource(source, ctx, quick);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect(server.log).toEqual(['GET /a', 'GET /a bytes=100000- if "v1"']);
    expect(await partFiles()).toEqual([]);
  });

  /** Waits until a part file has that many bytes. */
  async function arrived(size: number): Promise<void> {
    for (;;) {
      for (const name of await partFiles()) {
        if (name.endsWith('.part') && (await readFile(join(ctx.cacheDir, 'part', name))).length >= size) return;
      }
      await new Promise((done) => setTimeout(done, 20));
    }
  }
});

test('a full disk', async () => {
  // What a killed run left behind is a link to the device that is always full.
  const source = pin(bytes, [server.serve('/a', whole(bytes))]);
  const dead = execFileSync('sh', ['-c', 'echo $$'], { encoding: 'utf8' }).trim();
  await mkdir(join(ctx.cacheDir, 'part'));
  await symlink('/dev/full', join(ctx.cacheDir, 'part', `${source.sha256}.${hostname()}.${dead}.0.part`));
  const error = await rejection(fetchSource(source, ctx, quick));
  expect(error).toMatchObject({
    code: 'DISK_FULL',
    message: 'No space left on the device while downloading Python-3.13.15.tar.xz.',
  });
});

describe('a file that has no pin yet', () => {
  test('gives size and hash, and takes nothing over from earlier runs', async () => {
    const wanted = { file: 'Python-3.13.99.tar.xz', mirrors: [dead, server.serve('/a', whole(bytes))] };
    await mkdir(join(ctx.cacheDir, 'part'));
    await writeFile(join(ctx.cacheDir, 'part', `unpinned.host.0.abc.part`), 'rubbish');
    const got = await fetchUnpinned(wanted, ctx, quick);
    expect(got).toEqual({ size: bytes.length, sha256: sha256(bytes), mirror: server.url('/a') });
    expect(server.log).toEqual(['GET /a']);
  });

  test('says what every mirror answered', async () => {
    const error = await rejection(fetchUnpinned({ file: 'x', mirrors: [server.url('/none')] }, ctx, quick));
    expect(error).toMatchObject({ code: 'SOURCE_UNREACHABLE', detail: `${server.url('/none')}: answered HTTP 404` });
  });
});
