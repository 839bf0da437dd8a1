// Starting and timing. Runs are interleaved, so that a machine whose speed drifts slows every subject alike, and what
// is reported are medians and the median of the ratios of neighbours.
import { type ChildProcess, spawn } from 'node:child_process';
import type { Context } from '../lib/context.ts';
import { throwIfCancelled } from '../lib/errors.ts';
import { timingServer } from './server.ts';
import type { Subject, Subjects } from './subjects.ts';

export interface Series {
  readonly name: string;
  /** Milliseconds, one a run, in the order of the runs. */
  readonly samples: readonly number[];
}

export interface Measured {
  readonly runs: number;
  /** Process start to first `next` (or to exit, for what does not serve). */
  readonly init: { readonly layer: Series; readonly python: Series; readonly client: Series; readonly nothing: Series };
  /** Event written to response received. */
  readonly roundTrip: { readonly layer: Series; readonly client: Series };
}

const event = JSON.stringify({ key: 'value', number: 42, list: [1, 2, 3], text: 'small' });
const roundTripsPerRun = 20;

export async function measure(subjects: Subjects, runs: number, ctx: Context): Promise<Measured> {
  const nothing: Subject = { ...subjects.python, name: 'true', argv: ['/bin/true'] };
  const order = [subjects.layer, subjects.python, subjects.client, nothing];
  const init = new Map(order.map(({ name }) => [name, [] as number[]]));
  const trips = new Map(order.map(({ name }) => [name, [] as number[]]));
  const server = await timingServer(event);
  try {
    // The first round warms the page cache and is not counted.
    for (let run = -1; run < runs; run += 1) {
      for (const subject of order) {
        throwIfCancelled(ctx.signal);
        const { start, inner } = await once(subject, server);
        if (run < 0) continue;
        init.get(subject.name)?.push(start);
        if (inner.length > 0) trips.get(subject.name)?.push(median(inner));
      }
      ctx.report({ type: 'progress', stage: 'bench', text: `timing: ${Math.max(run + 1, 0)} of ${runs}` });
    }
  } finally {
    await server.close();
  }
  const series = (from: Map<string, number[]>, { name }: Subject): Series => ({ name, samples: from.get(name) ?? [] });
  return {
    runs,
    init: {
      layer: series(init, subjects.layer),
      python: series(init, subjects.python),
      client: series(init, subjects.client),
      nothing: series(init, nothing),
    },
    roundTrip: { layer: series(trips, subjects.layer), client: series(trips, subjects.client) },
  };
}

async function once(
  subject: Subject,
  server: Awaited<ReturnType<typeof timingServer>>,
): Promise<{ start: number; inner: number[] }> {
  const [program, ...args] = subject.argv;
  const ready = subject.serves ? server.firstNext() : undefined;
  const begin = performance.now();
  const child = spawn(program, args, {
    cwd: subject.cwd,
    env: { ...subject.env, AWS_LAMBDA_RUNTIME_API: server.address },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = exitOf(child);
  if (!ready) {
    const { at, status } = await ended;
    if (status !== 0) throw new Error(`${subject.name} ended with ${status}: ${stderr}`);
    return { start: at - begin, inner: [] };
  }
  const at = await Promise.race([
    ready,
    ended.then(({ status }) => {
      throw new Error(`${subject.name} ended with ${status} before it asked for work: ${stderr}`);
    }),
  ]);
  const inner: number[] = [];
  for (let trip = 0; trip < roundTripsPerRun; trip += 1) inner.push(await server.roundTrip());
  child.kill('SIGKILL');
  await ended.catch(() => {});
  return { start: at - begin, inner: inner.slice(5) };
}

function exitOf(child: ChildProcess): Promise<{ at: number; status: number | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status) => resolve({ at: performance.now(), status }));
  });
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear interpolation between the nearest ranks; NaN for no values. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * fraction;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
}

/** The median of a[i] / b[i]: robust against a machine that is slow for a while. */
export function ratio(a: Series, b: Series): number {
  return median(a.samples.map((value, index) => value / (b.samples[index] ?? Number.NaN)));
}
