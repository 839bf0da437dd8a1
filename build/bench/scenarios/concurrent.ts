// Managed Instances: sixteen invocations at once in one environment, each with two boto3 clients at hand.
import { type Goal, type Scenario, type Subject, stepOf } from '../scenario.ts';
import { smallEvent, twoClients } from './samples.ts';

const width = 16;

export const concurrent: Scenario = {
  name: 'concurrent',
  title: `${width} at once, handler with two boto3 clients`,
  how: `AWS_LAMBDA_MAX_CONCURRENCY=${width}, until ${width} requests for work are waiting. Memory is the proportional size of all processes together.`,
  share: 10,
  prepare: async (bench) => {
    const code = await twoClients(bench);
    const { layer, client } = bench.names;
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
    const goals = (name: string, share: number): Goal[] => [
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
        ...(bench.freeThreaded ? [subject(threads, bench.layer(code, wide))] : []),
        subject(forked, bench.layer(code, processes)),
        subject(client, bench.client(code, wide)),
      ],
      figures: [
        { key: 'proportional', title: 'memory', unit: 'MB' },
        { key: 'processes', title: 'processes', unit: '' },
        { key: 'ready', title: 'ready', unit: 's' },
      ],
      goals: [...(bench.freeThreaded ? goals(threads, 1 / 9) : []), ...goals(forked, 1 / 3)],
    };
  },
};
