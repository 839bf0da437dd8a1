// What a function, or the machine below it, can do to the runtime: no descriptors, threads or space left, forks, closed
// descriptors, a handler that never returns. Each ends in an error and a sane exit or in recovery, never in a hang: every test
// has a time limit, and waits for nothing but what the runtime says. A killed worker and its invocation are in
// test/bootstrap/concurrency.test.ts.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, describe, expect, test } from 'vitest';
import { type Given, live, value } from '../bootstrap/support/live-api.ts';
import { type Subject, subjects } from './reliability/subjects.ts';

// Not below /tmp, which one of the tests fills.
process.env['TMPDIR'] = '/var/tmp';
const { all, discard } = await subjects();
const folder = await mkdtemp('/var/tmp/reliability-faults-');
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await discard();
});

const LIMIT = 60_000;
const root = process.getuid?.() === 0;
const code = (...lines: string[]) => ({ 'app.py': `${lines.join('\n')}\n` });
const managed = (count: number, mode: string): Record<string, string> => ({
  AWS_LAMBDA_MAX_CONCURRENCY: String(count),
  AWS_LAMBDA_CONCURRENCY_MODE: mode,
});

let wrappers = 0;

/** The same runtime, started by a shell that does something to itself first. */
async function after(subject: Subject, script: string): Promise<Subject> {
  const file = path.join(folder, `bootstrap-${++wrappers}`);
  await writeFile(file, `#!/bin/sh\nset -eu\n${script.replaceAll('{bootstrap}', subject.bootstrap)}\n`);
  await chmod(file, 0o755);
  return { ...subject, bootstrap: file };
}

const descriptors = (subject: Subject, count: number) => after(subject, `ulimit -n ${count}\nexec {bootstrap}`);

/** A user that nobody else is, who may read everything but have only so many threads. Root has no such limit. */
const threads = (subject: Subject, count: number) => {
  const id = 61_000 + ++wrappers;
  const drop = `setpriv --reuid=${id} --regid=${id} --clear-groups --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search`;
  return after(subject, `exec ${drop} prlimit --nproc=${count} {bootstrap}`);
};

/** Whether root may do here what root may: containers differ. */
async function works(...command: [string, ...string[]]): Promise<boolean> {
  return root && (await execa(command[0], command.slice(1), { reject: false })).exitCode === 0;
}
const canDrop = await works(
  'setpriv',
  '--reuid=61000',
  '--inh-caps=-all,+dac_read_search',
  '--ambient-caps=-all,+dac_read_search',
  'true',
);
const canMount = await works('unshare', '-m', 'mount', '-t', 'tmpfs', 'none', '/mnt');

async function error(given: Given) {
  const { kind, body } = await given.answer;
  expect(kind, body.toString()).toBe('error');
  return JSON.parse(body.toString()) as { errorType: string; errorMessage: string; stackTrace: string[] };
}

describe.each([...all])('on CPython $version', (subject) => {
  describe('no descriptors left', () => {
    test('when the pollers start: those that got a connection serve', { timeout: LIMIT }, async () => {
      const few = await descriptors(subject, 14);
      const files = code('def handler(event, context):', '    return event');
      await live(few, { files, env: managed(32, 'thread') }, async ({ give, polls, said, ended }) => {
        await polls(4);
        await said(/cannot connect to \S+: Too many open files/);
        const answers = Array.from({ length: 20 }, (_, i) => value(give(i).answer));
        expect(await Promise.race([Promise.all(answers), ended])).toEqual(Array.from({ length: 20 }, (_, i) => i));
      });
    });

    test('in a handler: it is told, with the error as JSON, and the next is served', { timeout: LIMIT }, async () => {
      const few = await descriptors(subject, 32);
      const files = code(
        'import os',
        'kept = []',
        'def handler(event, context):',
        '    while event == "leak": kept.append(os.open("/dev/null", os.O_RDONLY))',
        '    return event',
      );
      await live(few, { files }, async ({ give, said }) => {
        for (const _ of [1, 2]) {
          const { errorType, errorMessage, stackTrace } = await error(give('leak'));
          expect([errorType, errorMessage]).toEqual(['OSError', "[Errno 24] Too many open files: '/dev/null'"]);
          expect(stackTrace[0]).toMatch(/File ".*app\.py", line 4, in handler/);
          expect(await value(give('fine').answer)).toBe('fine');
        }
        await said(/\[ERROR\] OSError: \[Errno 24\]/);
      });
    });

    test('for the first connection: a reason, and status 1', { timeout: LIMIT }, async () => {
      const files = code(
        'import os',
        'try:',
        '    while True: os.dup(0)',
        'except OSError: pass',
        'def handler(e, c): pass',
      );
      await live(await descriptors(subject, 16), { files }, async ({ ended, output }) => {
        expect(await ended).toEqual({ status: 1, signal: null });
        expect(output.stderr).toMatch(/LAMBDA_RUNTIME .*Too many open files/);
      });
    });
  });

  describe.skipIf(!canDrop)('no threads left (needs root and setpriv)', () => {
    test('when the pollers start: fewer serve', { timeout: LIMIT }, async () => {
      const files = code('def handler(event, context):', '    return event');
      await live(await threads(subject, 6), { files, env: managed(16, 'thread') }, async ({ give, polls, said }) => {
        await said(/only 5 of 16 invocations at once: can't start new thread/);
        await polls(5);
        expect(await Promise.all([1, 2, 3, 4, 5, 6].map((n) => value(give(n).answer)))).toEqual([1, 2, 3, 4, 5, 6]);
      });
    });

    test('when the worker processes start: fewer serve', { timeout: LIMIT }, async () => {
      const files = code('def handler(event, context):', '    return event');
      await live(await threads(subject, 4), { files, env: managed(16, 'process') }, async ({ give, polls, said }) => {
        await said(/only 3 worker processes: .*Resource temporarily unavailable/);
        await polls(3);
        expect(await Promise.all([1, 2, 3, 4].map((n) => value(give(n).answer)))).toEqual([1, 2, 3, 4]);
      });
    });

    test('in a handler: it is told, and the next is served', { timeout: LIMIT }, async () => {
      const files = code(
        'import threading',
        'go = threading.Event()',
        'def handler(event, context):',
        '    if event == "threads":',
        '        while True: threading.Thread(target=go.wait, daemon=True).start()',
        '    return event',
      );
      await live(await threads(subject, 6), { files }, async ({ give }) => {
        expect((await error(give('threads'))).errorMessage).toBe("can't start new thread");
        expect(await value(give('fine').answer)).toBe('fine');
      });
    });

    test('for a large response of a coroutine: it is sent all the same', { timeout: LIMIT }, async () => {
      const files = code('async def handler(event, context):', '    return "x" * event');
      await live(await threads(subject, 1), { files, env: managed(2, 'thread') }, async ({ give, polls }) => {
        for (const size of [10, 1_000_000, 10]) expect(await value(give(size).answer)).toBe('x'.repeat(size));
        await polls(2);
      });
    });
  });

  test.skipIf(!canMount)(
    'a full /tmp (needs root and mount): only who writes there sees it',
    { timeout: LIMIT },
    async () => {
      const full = await after(
        subject,
        "exec unshare -m sh -c 'mount -t tmpfs -o size=64k none /tmp; head -c 1M /dev/zero > /tmp/full 2>&-; exec {bootstrap}'",
      );
      const files = code(
        'import logging',
        'def handler(event, context):',
        '    logging.getLogger().error("logged %s", event)',
        '    if event == "write":',
        '        with open("/tmp/more", "w") as file: file.write("x" * 10000)',
        '    return "y" * 1_000_000 if event == "large" else event',
      );
      for (const env of [{}, managed(2, 'process'), managed(2, 'thread')])
        await live(full, { files, env }, async ({ give, said }) => {
          expect(await error(give('write'))).toMatchObject({ errorMessage: '[Errno 28] No space left on device' });
          expect(await value(give('large').answer)).toHaveLength(1_000_000);
          expect(await value(give('fine').answer)).toBe('fine');
          await said(/logged write[\s\S]*logged fine/);
        });
    },
  );

  describe('a handler that forks', () => {
    const fork = (child: string, prefix = '') =>
      code(
        'import os, sys, time',
        `${prefix}def handler(event, context):`,
        '    if event != "fork": return event',
        '    pid = os.fork()',
        '    if pid == 0:',
        `        ${child}`,
        '    return os.waitpid(pid, 0)[1] if event == "fork" else event',
      );
    const modes: Array<[string, Record<string, string>, string]> = [
      ['on demand', {}, ''],
      ['on demand, async', {}, 'async '],
      ['in threads', managed(3, 'thread'), ''],
      ['in processes', managed(3, 'process'), ''],
    ];

    test.each(modes)('%s: the child exits', { timeout: LIMIT }, async (_, env, prefix) => {
      await live(subject, { files: fork('os._exit(5)', prefix), env }, async ({ give, output }) => {
        for (const _ of [1, 2]) expect(await value(give('fork').answer)).toBe(5 << 8);
        expect(await value(give('fine').answer)).toBe('fine');
        expect(output.stderr.replace(/.*DeprecationWarning[\s\S]*?os\.fork\(\)\n/g, '')).toBe('');
      });
    });

    test.each(modes)(
      '%s: the child falls out, and only the parent answers',
      { timeout: LIMIT },
      async (_, env, prefix) => {
        await live(subject, { files: fork('return "child"', prefix), env }, async ({ give, said, others, output }) => {
          for (const _ of [1, 2]) expect(await value(give('fork').answer)).not.toBe('child');
          expect(await value(give('fine').answer)).toBe('fine');
          await said(/LAMBDA_RUNTIME this process was forked by a handler: only its parent can use the Runtime API/);
          expect(others, output.stderr).toEqual([]); // a second answer to an invocation would be here
        });
      },
    );

    test.each(modes)('%s: the child keeps running', { timeout: LIMIT }, async (_, env, prefix) => {
      const files = code(
        'import os, signal, time',
        `${prefix}def handler(event, context):`,
        '    if event[0] == "end": return os.kill(event[1], signal.SIGKILL)',
        '    pid = os.fork()',
        '    while pid == 0: time.sleep(1)',
        '    return pid',
      );
      await live(subject, { files, env }, async ({ give }) => {
        const pids = [await value(give(['fork']).answer), await value(give(['fork']).answer)] as number[];
        for (const pid of pids) {
          process.kill(pid, 0); // it runs
          expect(await value(give(['end', pid]).answer)).toBe(null);
        }
      });
    });
  });

  describe('a handler that closes descriptors 3 to 100', () => {
    const files = (prefix: string) =>
      code(
        'import os, logging',
        `${prefix}def handler(event, context):`,
        '    if event == "close": os.closerange(3, 101)',
        '    if event == "raise": raise ValueError(event)',
        '    logging.getLogger().error("logged %s", event)',
        '    return event',
      );

    test.each([
      ['on demand', {}],
      ['in threads', managed(3, 'thread')],
      ['in processes', managed(3, 'process')],
    ])('%s: connects again', { timeout: LIMIT }, async (_, env) => {
      await live(subject, { files: files(''), env }, async ({ give, said, polls }) => {
        // Every poll is there: what a handler closes just before is received on, and with it the invocation in it, is lost.
        for (const event of ['close', 'fine', 'close', 'close', 'fine', 'close', 'fine', 'fine', 'close']) {
          await polls('AWS_LAMBDA_MAX_CONCURRENCY' in env ? 3 : 1);
          expect(await value(give(event).answer)).toBe(event);
        }
        expect((await error(give('raise'))).errorType).toBe('ValueError');
        await said(/\[ERROR\]\t\S+Z\t\S+\tlogged close\n/);
        await said(/\[ERROR\]\t\S+Z\t\S+\tlogged fine\n/);
        await said(/\[ERROR\] ValueError: raise/);
      });
    });

    test('with the log descriptor of the platform among them: the record goes to standard output', {
      timeout: LIMIT,
    }, async () => {
      const env = { _LAMBDA_TELEMETRY_LOG_FD: '9' };
      const logging = await after(subject, `exec 9>/dev/null\nexec {bootstrap}`);
      await live(logging, { files: files(''), env }, async ({ give, said, output }) => {
        expect(await value(give('first').answer)).toBe('first');
        expect(output.stdout).toBe('');
        expect(await value(give('close').answer)).toBe('close');
        await said(/^\[ERROR\]\t\S+Z\t\S+\tlogged close\n/);
      });
    });

    test('async def: the event loop is gone with them, which is said, with status 1', { timeout: LIMIT }, async () => {
      await live(subject, { files: files('async ') }, async ({ give, ended, output }) => {
        void give('close').answer;
        expect(await ended).toEqual({ status: 1, signal: null });
        expect(output.stderr).toMatch(/^Traceback[\s\S]*\nOSError: \[Errno \d+\] .*\n$/);
      });
    });
  });

  describe('SIGTERM while a handler never returns', () => {
    const loops = (...more: string[]) =>
      code(
        'import signal',
        ...more,
        'def handler(event, context):',
        '    print("entered", flush=True)',
        '    while True: pass',
      );
    const ignores = 'signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))';
    const modes: Array<[string, Record<string, string>]> = [
      ['on demand', {}],
      ['in threads', managed(2, 'thread')],
      ['in processes', managed(2, 'process')],
    ];

    test.each(modes)('%s: it dies of it', { timeout: LIMIT }, async (_, env) => {
      await live(subject, { files: loops(), env }, async ({ give, said, process, ended }) => {
        void give(1).answer;
        await said(/entered/);
        process.kill('SIGTERM');
        expect(await ended).toEqual({ status: null, signal: 'SIGTERM' });
      });
    });

    test.each(modes)(
      '%s: a function that does not want to dies of SIGKILL, and nothing is left',
      { timeout: LIMIT },
      async (_, env) => {
        await live(subject, { files: loops(ignores), env }, async ({ give, said, process, ended }) => {
          void give(1).answer;
          await said(/entered/);
          process.kill('SIGTERM');
          await said(/asked/);
          process.kill('SIGKILL');
          // `ended` waits for the ends of standard output and standard error, which any process that is left would hold.
          expect(await ended).toEqual({ status: null, signal: 'SIGKILL' });
        });
      },
    );
  });
});
