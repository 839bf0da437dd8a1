// Managed Instances: sixteen invocations at once in one environment, each with two boto3 clients at hand.
import { type Goal, type Scenario, type Subject, stepOf } from '../scenario.ts';
import { boto3, functionOf, smallEvent } from './handlers.ts';

const width = 16;

export const concurrent: Scenario = {
  name: 'concurrent',
  group: 'special',
  title: `${width} at once, handler with two boto3 clients`,
  how: `AWS_LAMBDA_MAX_CONCURRENCY=${width}, until ${width} requests for work are waiting. Memory is the proportional size of all processes together.`,
  share: 10,
  prepare: async (bench) => {
    const { first } = bench;
    const other = bench.pairs[0]?.client;
    const layer = first.name;
    const client = other?.name;
    const code = await functionOf(first, boto3);
    const wide = { AWS_LAMBDA_MAX_CONCURRENCY: String(width) };
    const processes = { ...wide, AWS_LAMBDA_CONCURRENCY_MODE: 'process' };
    const threads = `${layer}, threads`;
    const forked = `${layer}, processes`;
    const subject = (name: string, command: Subject['command']): Subject => ({
      name,
      command,
      steps: ['ready', width, 'memory'],
      read: (results) => {
        const { processes: count, proportional } = stepOf(results, 'memory');
        return { ready: stepOf(results, 'ready').ns, proportional, processes: count };
      },
    });
    const goals = (name: string, share: number): Goal[] =>
      client === undefined
        ? []
        : [
            {
              what: `memory / ${client}: ${name.slice(layer.length + 2)}`,
              of: { subject: name, figure: 'proportional' },
              to: { subject: client, figure: 'proportional' },
              target: { bound: 'at most', value: share },
            },
            {
              what: `ready / ${client}: ${name.slice(layer.length + 2)}`,
              of: { subject: name, figure: 'ready' },
              to: { subject: client, figure: 'ready' },
              target: { bound: 'at most', value: 1 / 4 },
            },
          ];
    return {
      event: await bench.event('small', smallEvent),
      subjects: [
        ...(first.freeThreaded ? [subject(threads, first.start(code, wide))] : []),
        subject(forked, first.start(code, processes)),
        ...(other === undefined ? [] : [subject(other.name, other.start(await functionOf(other, boto3), wide))]),
      ],
      figures: [
        { key: 'proportional', title: 'memory', unit: 'MB' },
        { key: 'processes', title: 'processes', unit: '' },
        { key: 'ready', title: 'ready', unit: 's' },
      ],
      goals: [...(first.freeThreaded ? goals(threads, 1 / 9) : []), ...goals(forked, 1 / 3)],
    };
  },
};
