// System calls of a start and of an invocation, counted by strace: what a cold start costs, in a unit that does not
// depend on how busy the machine is. Upper bounds a little above what was counted when they were set: a change that
// opens a file more, or asks for the time at each invocation, is seen here and not in a benchmark's noise.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { builtRuntimes } from './support/built.ts';
import { event, scriptedApi } from './support/scripted-api.ts';

const runtimes = await builtRuntimes();

const canTrace = (await execa('strace', ['-o', '/dev/null', 'true'], { reject: false })).exitCode === 0;
if (!canTrace) console.warn('strace is missing or not allowed to trace here: system calls are not counted');

const next = /^\d+ +sendmsg\(\d+, .*GET \/2018-06-01\/runtime\/invocation\/next/;

describe.skipIf(!canTrace).each(runtimes)('on CPython $version', (built) => {
  it('makes few system calls', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'system-calls-'));
    const api = await scriptedApi([
      ...Array.from({ length: 5 }, () => event({ a: 1 })),
      // The first may be an idle connection that has died, and is tried again.
      { close: 'instead' },
      { close: 'instead' },
    ]);
    try {
      await writeFile(path.join(folder, 'app.py'), 'def handler(event, context):\n    return event\n');
      await execa(built.python, ['-m', 'py_compile', 'app.py'], { cwd: folder });
      const log = path.join(folder, 'strace');
      await execa('strace', ['-f', '-qq', '-s', '80', '-o', log, built.bootstrap], {
        cwd: folder,
        extendEnv: false,
        reject: false,
        env: {
          PATH: '/usr/local/bin:/usr/bin:/bin',
          LANG: 'C.UTF-8',
          TZ: ':UTC',
          AWS_LAMBDA_RUNTIME_API: api.address,
          LAMBDA_TASK_ROOT: folder,
          MAKE_RUNTIME_LAYER_ROOT: path.join(folder, 'opt'),
          _HANDLER: 'app.handler',
        },
      });
      const lines = (await readFile(log, 'utf8')).split('\n').filter((line) => /^\d+ +\w+\(/.test(line));
      const asked = lines.flatMap((line, index) => (next.test(line) ? [index] : []));
      expect(asked.length).toBeGreaterThanOrEqual(6);
      const shared = lines.some((line) => /openat\(.*libpython/.test(line));
      const start = asked[0] as number;
      const each = asked.slice(2, 6).map((index, nth) => index - (asked[nth + 1] as number));
      // A shared libpython and its libraries are loaded in tests only: what we build is one file.
      const most = !shared ? 230 : built.minor < 11 ? 400 : 330;
      expect(start).toBeLessThan(most);
      // next: sendmsg, poll, recvfrom; response: sendmsg, recvfrom.
      expect(Math.max(...each)).toBeLessThanOrEqual(5);
    } finally {
      api.close();
      await rm(folder, { recursive: true });
    }
  });
});
