// The phases around the loop: SnapStart, shutdown, and what a start says about the GIL.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { builtRuntimes } from './support/built.ts';
import { json, run } from './support/run.ts';
import { event } from './support/scripted-api.ts';

describe.each(await builtRuntimes())('on CPython $version', (built) => {
  describe('SnapStart', () => {
    const env = { AWS_LAMBDA_INITIALIZATION_TYPE: 'snap-start' };
    const hooks = [
      'import sys',
      'from snapshot_restore_py import register_before_snapshot, register_after_restore',
      'def say(*words, end="\\n"): print(*words, end=end)',
      'register_before_snapshot(say, "before 1")',
      'register_before_snapshot(say, "before", 2, end="!\\n")',
      'register_after_restore(say, "after 1")',
      '@register_after_restore',
      'def two(): print("after 2", flush=True)',
      'def handler(event, context): return [two.__name__, event]',
      '',
    ].join('\n');

    it('calls hooks in order around the wait for a restore', async () => {
      const { exchanges, posts, stdout } = await run(built, { files: { 'app.py': hooks }, env });
      expect(exchanges.map(({ method, path }) => `${method} ${path}`)).toEqual([
        'GET /2018-06-01/runtime/restore/next',
        'GET /2018-06-01/runtime/invocation/next',
        'POST /2018-06-01/runtime/invocation/request-1/response',
        'GET /2018-06-01/runtime/invocation/next',
      ]);
      expect(exchanges[1]?.connection).not.toBe(exchanges[0]?.connection);
      expect(stdout).toBe('before 2!\nbefore 1\nafter 1\nafter 2\n');
      expect(json(posts[0])).toEqual(['two', {}]);
    });

    it('prefers the package of the function, and does without any', async () => {
      const own =
        'before, after = [(print, ("own",), {})], []\nget_before_snapshot = lambda: before\nget_after_restore = lambda: after\n';
      const files = {
        'app.py': 'import snapshot_restore_py as s\ndef handler(event, context): return s.__file__[-22:]\n',
        'snapshot_restore_py.py': own,
      };
      const shipped = await run(built, { files, env });
      expect(shipped.stdout).toBe('own\n');
      expect(json(shipped.posts[0])).toBe('snapshot_restore_py.py');
      const none = await run(built, { files: { 'app.py': 'def handler(event, context): return event\n' }, env });
      expect(none.exchanges.map((exchange) => exchange.path.split('/').pop())).toEqual([
        'next',
        'next',
        'response',
        'next',
      ]);
    });

    it('leaves hooks alone when there is no snapshot', async () => {
      const { exchanges, stdout } = await run(built, { files: { 'app.py': hooks } });
      expect(exchanges[0]?.path).toBe('/2018-06-01/runtime/invocation/next');
      expect(stdout).toBe('');
    });

    it.each(['ValueError("vé")', 'SystemExit(9)'])(
      'reports a hook that fails before the snapshot: %s',
      async (raised) => {
        const app = `${hooks}@register_before_snapshot\ndef fail(): raise ${raised}\n`;
        const { exchanges, posts, status, stdout } = await run(built, { files: { 'app.py': app }, env });
        expect(exchanges.length).toBe(1);
        expect(posts[0]?.path).toBe('/2018-06-01/runtime/init/error');
        expect(posts[0]?.headers['lambda-runtime-function-error-type']).toBe('Runtime.BeforeSnapshotError');
        const [errorType, errorMessage] = raised.startsWith('V') ? ['ValueError', 'vé'] : ['SystemExit', '9'];
        expect(json(posts[0])).toMatchObject({ errorType, errorMessage, requestId: '' });
        expect((json(posts[0]) as { stackTrace: string[] }).stackTrace).toEqual([
          expect.stringContaining(', in fail\n'),
        ]);
        expect(stdout).toContain(`[ERROR] ${errorType}: ${errorMessage}\rTraceback`);
        expect(status).toBe(64);
      },
    );

    it('reports a restore that is refused', async () => {
      const { posts, status } = await run(built, { files: { 'app.py': hooks }, env, restores: [{ status: 500 }] });
      expect(posts[0]?.path).toBe('/2018-06-01/runtime/init/error');
      expect(status).toBe(64);
    });

    it('reports a hook that fails after the restore', async () => {
      const app = `${hooks}@register_after_restore\ndef fail(): raise KeyError("k")\n`;
      const { posts, exchanges, status } = await run(built, { files: { 'app.py': app }, env });
      expect(exchanges.map((exchange) => exchange.path)).toEqual([
        '/2018-06-01/runtime/restore/next',
        '/2018-06-01/runtime/restore/error',
      ]);
      expect(posts[0]?.headers).toMatchObject({
        'lambda-runtime-function-error-type': 'Runtime.AfterRestoreError',
        'content-type': 'application/json',
      });
      expect(json(posts[0])).toMatchObject({ errorType: 'KeyError', errorMessage: "'k'" });
      expect(status).toBe(65);
    });

    it('wakes up with randomness of its own', async () => {
      const app = (between: string) =>
        [
          'import random, ssl',
          'from snapshot_restore_py import register_before_snapshot, register_after_restore',
          'known = random.Random(7)',
          'register_before_snapshot(random.seed, 7)',
          between,
          'def handler(event, context): return random.random() == known.random()',
        ].join('\n');
      expect(json((await run(built, { files: { 'app.py': app('') }, env })).posts[0])).toBe(false);
      // What the hooks do comes last.
      const seeded = app('register_after_restore(random.seed, 7)');
      expect(json((await run(built, { files: { 'app.py': seeded }, env })).posts[0])).toBe(true);
    });
  });

  describe('shutdown', () => {
    const env = { MAKE_RUNTIME_GRACEFUL_SHUTDOWN: '1' };
    const files = {
      'app.py': [
        'import signal, sys',
        'signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(print("closing", flush=True)))',
        'def handler(event, context): return "_socket" in sys.modules',
      ].join('\n'),
    };

    it('is announced by an internal extension when asked for, before anything else', async () => {
      const { exchanges, stdout, status } = await run(built, {
        files,
        env,
        // Again until it is heard: one that comes just before the wait begins is only noticed where the interpreter
        // exports PySignal_SetWakeupFd (see module.c), which those that tests link against do from 3.13.
        whenIdle: async (pid) => {
          try {
            for (;;) {
              process.kill(pid, 'SIGTERM');
              await new Promise((resolve) => setTimeout(resolve, 50));
            }
          } catch {} // it is gone
        },
      });
      // On a connection of its own: when it is seen among the invocation's requests is a matter of chance.
      const others = exchanges.filter((exchange) => !exchange.path.endsWith('/event/next'));
      expect(others.map(({ method, path }) => `${method} ${path}`)).toEqual([
        'POST /2020-01-01/extension/register',
        'GET /2018-06-01/runtime/invocation/next',
        'POST /2018-06-01/runtime/invocation/request-1/response',
        'GET /2018-06-01/runtime/invocation/next',
      ]);
      const waiting = exchanges.find((exchange) => exchange.path.endsWith('/event/next'));
      expect(exchanges[0]?.headers['lambda-extension-name']).toBe('make-runtime');
      expect(json(exchanges[0])).toEqual({ events: [] });
      expect(waiting).toMatchObject({ method: 'GET', connection: 1 });
      expect(waiting?.headers['lambda-extension-identifier']).toBe('extension-1');
      expect([stdout, status]).toEqual(['closing\n', 0]);
    });

    it.each([
      ['not asked for', undefined],
      ['switched off', '0'],
    ])('costs nothing when %s', async (_, value) => {
      const { exchanges, posts } = await run(built, {
        files,
        ...(value === undefined ? {} : { env: { MAKE_RUNTIME_GRACEFUL_SHUTDOWN: value } }),
      });
      expect(exchanges[0]?.path).toBe('/2018-06-01/runtime/invocation/next');
      expect(json(posts[0])).toBe(false);
    });

    it.each([
      ['refused', { status: 403, body: '{"errorType":"Extension.RegistrationClosed"}' }, 'status 403, {"errorType":'],
      ['not answered', { close: 'instead' as const }, 'the connection was closed'],
      ['answered by something else', { status: 200, body: 'hello' }, 'status 200, hello'],
    ])('goes without when registration is %s', async (_, reply, said) => {
      const { posts, stderr } = await run(built, { files, env, posts: [reply], nexts: [event(1)] });
      expect(posts.at(-1)?.path).toMatch(/response$/);
      expect(stderr).toContain('LAMBDA_RUNTIME no time for a graceful shutdown: ');
      expect(stderr).toContain(said);
    });
  });

  // Headers of the interpreter under test are needed to build an extension module that does not know free-threading.
  const include = process.env['MAKE_RUNTIME_TEST_INCLUDE'];
  const freeThreaded = built.version.endsWith('t');

  describe.skipIf(!freeThreaded || include === undefined)('an extension module that needs the GIL', () => {
    const withModule = async (env: Record<string, string>, app: string) => {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'gil-'));
      try {
        const source = [
          '#include <Python.h>',
          'static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "old", .m_size = -1};',
          'PyMODINIT_FUNC PyInit_old(void) { return PyModule_Create(&def); }',
        ];
        await writeFile(path.join(folder, 'old.c'), source.join('\n'));
        const flags = ['-shared', '-fPIC', `-I${include}`];
        await execa('cc', [...flags, '-o', path.join(folder, 'old.so'), path.join(folder, 'old.c')]);
        return await run(built, { files: { 'app.py': app }, env: { PYTHONPATH: folder, ...env } });
      } finally {
        await rm(folder, { recursive: true });
      }
    };
    const app = 'import sys, old, old\ndef handler(event, context): return sys._is_gil_enabled()\n';

    it('is named once, as a log record', async () => {
      const { posts, stdout, stderr } = await withModule({}, app);
      expect(json(posts[0])).toBe(true);
      expect(stdout).toMatch(
        /^\[WARNING\]\t[^\n]*Z\t\tLAMBDA_WARNING: The GIL was turned back on .* module 'old'[^\n]*\n$/,
      );
      expect(stderr).toBe('');
    });

    it('is named when the handler imports it later', async () => {
      const later = 'import sys\ndef handler(event, context):\n    import old\n    return sys._is_gil_enabled()\n';
      const { posts, stdout } = await withModule({}, later);
      expect(json(posts[0])).toBe(true);
      expect(stdout).toMatch(/^\[WARNING\]\t[^\n]*Z\trequest-1\tLAMBDA_WARNING: The GIL .* module 'old'[^\n]*\n$/);
    });

    it('is nothing to speak of where the function decided', async () => {
      expect(await withModule({ PYTHON_GIL: '0' }, app)).toMatchObject({ stdout: '', stderr: '' });
      expect(await withModule({ PYTHON_GIL: '1' }, app)).toMatchObject({ stdout: '', stderr: '' });
    });
  });
});
