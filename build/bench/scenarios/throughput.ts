// Invocations a second: one at a time, and several at once where a runtime takes several (Lambda Managed Instances).
import { type Scenario, type Subject, stepOf } from '../scenario.ts';
import { namesOf, ratios, readyFor } from './entrants.ts';
import { compute, echo, fastapi, type Handler } from './handlers.ts';

const widths = [1, 4, 16] as const;

interface Load {
  readonly name: string;
  readonly handler: Handler;
  readonly title: string;
  /** Invocations that are counted, at each width. */
  readonly count: number;
}

const scenario = ({ name, handler, title, count }: Load): Scenario => ({
  name,
  group: 'throughput',
  handler: handler.title,
  overview: ['rate'],
  title,
  how: `AWS_LAMBDA_MAX_CONCURRENCY=N; ${count} invocations, N at a time, after a tenth as many uncounted ones; one at a time is the ordinary mode. On all cores of this machine. Memory is the proportional size of all processes together.`,
  share: 8,
  prepare: async (bench) => {
    const { ready, left } = await readyFor(bench, handler);
    const subjects = ready.flatMap(({ runtime, start }) =>
      widths.map(
        (width): Subject => ({
          name: at(runtime.name, width),
          command: start(width === 1 ? {} : { AWS_LAMBDA_MAX_CONCURRENCY: String(width) }),
          steps: ['ready', width, 'load', width, Math.ceil(count / 10), 'load', width, count, 'memory'],
          // Not every client knows the concurrent mode, and whether an image does is not written on it.
          optional: width > 1 && runtime.kind !== 'artifact',
          read: (results) => ({
            rate: (count * 1e9) / stepOf(results, 'load', 1).ns,
            proportional: stepOf(results, 'memory').proportional,
          }),
        }),
      ),
    );
    return {
      event: await bench.event(handler.name, handler.event()),
      subjects,
      left,
      figures: [
        { key: 'rate', title: 'invocations', unit: '/s', more: true },
        { key: 'proportional', title: 'memory', unit: 'MB' },
      ],
      goals: widths.flatMap((width) => ratios(bench, namesOf(subjects), 'rate', 'rate', {}, (who) => at(who, width))),
    };
  },
});

const at = (name: string, width: number): string => (width === 1 ? name : `${name}, ${width} at once`);

export const throughput: readonly Scenario[] = [
  scenario({ name: 'throughput-trivial', handler: echo, title: 'Throughput, trivial handler', count: 2000 }),
  scenario({ name: 'throughput-fastapi', handler: fastapi, title: 'Throughput, FastAPI through Mangum', count: 300 }),
  scenario({ name: 'throughput-compute', handler: compute, title: 'Throughput, CPU-bound handler', count: 120 }),
];
