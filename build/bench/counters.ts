// Programs that count instead of timing: system calls (strace) and instructions (perf where the processor's counters can
// be read, else callgrind). Counts repeat where times do not. Refuses to know what is counted.
import { readFile } from 'node:fs/promises';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import type { Command } from './harness.ts';

export interface Counter {
  /** The same program below the counter, which writes to `log`. */
  wrap(command: Command, log: string): Command;
}

export interface Counters {
  readonly calls: Counter | undefined;
  readonly instructions: (Counter & { readonly by: string; read(log: string): Promise<number> }) | undefined;
  /** One line for each that is absent. */
  readonly absent: readonly string[];
}

const wrapped = (command: Command, words: readonly [string, ...string[]]): Command => ({
  ...command,
  argv: [...words, ...command.argv] as [string, ...string[]],
});

export async function findCounters(ctx: Context): Promise<Counters> {
  const absent: string[] = [];
  const options = { reject: false, stdin: 'ignore', cancelSignal: ctx.signal, env: { LC_ALL: 'C' } } as const;
  const strace = await execa('strace', ['-o', '/dev/null', 'true'], options);
  if (strace.failed) absent.push('System calls are not counted: strace is not installed, or may not trace here.');
  const calls: Counter = {
    wrap: (command, log) => wrapped(command, ['strace', '-f', '-qq', '-s', '80', '-o', log, '--']),
  };
  const perf = await execa('perf', ['stat', '-x,', '-e', 'instructions:u', 'true'], options);
  if (!perf.failed && Number.isFinite(perfCount(perf.stderr))) {
    const wrap: Counter['wrap'] = (command, log) =>
      wrapped(command, ['perf', 'stat', '-x,', '-e', 'instructions:u', '-o', log, '--']);
    const read = async (log: string): Promise<number> => perfCount(await readFile(log, 'utf8'));
    return { calls: strace.failed ? undefined : calls, instructions: { by: 'perf', wrap, read }, absent };
  }
  const valgrind = await execa('valgrind', ['--version'], options);
  if (valgrind.failed) {
    absent.push(
      "Instructions are not counted: perf is not installed or may not read this processor's counters, and valgrind is not installed.",
    );
    return { calls: strace.failed ? undefined : calls, instructions: undefined, absent };
  }
  const wrap: Counter['wrap'] = (command, log) =>
    wrapped(command, [
      'valgrind',
      '--tool=callgrind',
      '--callgrind-out-file=/dev/null',
      `--log-file=${log.replaceAll('%', '%%')}`,
      '--',
    ]);
  const read = async (log: string): Promise<number> => callgrindCount(await readFile(log, 'utf8'));
  return { calls: strace.failed ? undefined : calls, instructions: { by: 'callgrind', wrap, read }, absent };
}

/** perf-stat(1), CSV FORMAT: the count is the first field of the event's line; "<not supported>" where there is none. */
export function perfCount(text: string): number {
  const line = text.split('\n').find((one) => /,instructions(:u)?,/.test(one));
  return line === undefined ? Number.NaN : Number.parseFloat(line);
}

export function callgrindCount(text: string): number {
  const found = /Collected : (\d+)/.exec(text)?.[1];
  if (found === undefined) throw new Error(`callgrind has not counted:\n${text}`);
  return Number(found);
}

// Without sched_yield: it is how threads of a free-threaded build wait for each other, so under strace there are
// thousands, and never the same number (6800 of 8082 in a start of AWS's client on 3.13t, and none in ours).
const call = /^\d+ +(?!sched_yield)\w+\(/;
const next = /^\d+ +\w+\(.*GET \/2018-06-01\/runtime\/invocation\/next/;

/**
 * System calls of all threads and processes, from strace's log.
 * @returns those before the first request for work, and those from one request to the next, each
 */
export function systemCalls(log: string): { readonly start: number; readonly each: readonly number[] } {
  const calls = log.split('\n').filter((line) => call.test(line));
  const asked = calls.flatMap((line, index) => (next.test(line) ? [index] : []));
  return {
    start: asked[0] ?? Number.NaN,
    each: asked.slice(1).map((index, nth) => index - (asked[nth] as number)),
  };
}
