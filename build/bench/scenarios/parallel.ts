// Whether two threads of a free-threaded build do twice the work of one, with a handler that only computes.
import { type Scenario, type Subject, stepOf } from '../scenario.ts';
import { compute, functionOf } from './handlers.ts';

const invocations = 150;

export const parallel: Scenario = {
  name: 'parallel',
  group: 'special',
  title: 'Computing handler, two at once',
  how: `One process takes ${invocations} invocations one at a time, then ${2 * invocations} two at a time, twice; the ratio is of its own throughputs. Two processes say what the machine itself gives: cores that others use are in neither. \`processor\` is what one invocation used: where two threads got in each other's way, it would be more with two than with one.`,
  share: 5,
  prepare: async (bench) => {
    const { first } = bench;
    if (!first.freeThreaded) return undefined;
    const code = await functionOf(first, compute);
    const subject = (name: string, env: Record<string, string>): Subject => ({
      name,
      command: first.start(code, { AWS_LAMBDA_MAX_CONCURRENCY: '2', ...env }),
      steps: ['ready', 2, ...['load', 2, 20], ...round, ...round],
      read: (results) => {
        const load = (nth: number) => stepOf(results, 'load', nth);
        const alone = load(1).ns + load(3).ns;
        const both = load(2).ns + load(4).ns;
        const cpuAlone = load(1).cpu + load(3).cpu;
        const figures = { alone: alone / (2 * invocations), speedup: (2 * alone) / both };
        // Zero for processes: theirs is the workers', which is not in their parent's clock.
        if (cpuAlone === 0) return figures;
        return {
          ...figures,
          cpuAlone: cpuAlone / (2 * invocations),
          cpuBoth: (load(2).cpu + load(4).cpu) / (4 * invocations),
        };
      },
    });
    const round = ['load', 1, invocations, 'load', 2, 2 * invocations];
    const threads = 'two threads';
    const processes = 'two processes';
    return {
      event: await bench.event('compute', compute.event()),
      subjects: [subject(threads, {}), subject(processes, { AWS_LAMBDA_CONCURRENCY_MODE: 'process' })],
      figures: [
        { key: 'speedup', title: 'two at once / one', unit: 'x', more: true },
        { key: 'alone', title: 'one, alone', unit: 'ms' },
        { key: 'cpuAlone', title: 'processor, alone', unit: 'ms' },
        { key: 'cpuBoth', title: 'processor, of two', unit: 'ms' },
      ],
      goals: [
        {
          what: 'throughput of two threads / one',
          of: { subject: threads, figure: 'speedup' },
          target: { bound: 'at least', value: 1.9 },
        },
        {
          what: 'the same / that of two processes',
          of: { subject: threads, figure: 'speedup' },
          to: { subject: processes, figure: 'speedup' },
        },
        {
          what: 'processor for one of two / alone',
          of: { subject: threads, figure: 'cpuBoth' },
          to: { subject: threads, figure: 'cpuAlone' },
        },
      ],
    };
  },
};
