// From the start of the process to its first request for work: a trivial handler, and one that imports boto3.
import { type Goal, type Scenario, type Subject, stepOf } from '../scenario.ts';
import type { FunctionFolder, Workbench } from '../workbench.ts';
import { echo, smallEvent, twoClients } from './samples.ts';

const figures = [
  { key: 'wall', title: 'time', unit: 'ms' },
  { key: 'cpu', title: 'processor', unit: 'ms' },
] as const;

const ready: Pick<Subject, 'steps' | 'read'> = {
  steps: ['ready', 1],
  read: (results) => ({ wall: stepOf(results, 'ready').ns, cpu: stepOf(results, 'ready').cpu }),
};
const exit: Pick<Subject, 'steps' | 'read'> = {
  steps: ['exit'],
  read: (results) => ({ wall: stepOf(results, 'exit').ns, cpu: stepOf(results, 'exit').cpu }),
};

const runtimes = (bench: Workbench, code: FunctionFolder): Subject[] => [
  { name: bench.names.layer, command: bench.layer(code), ...ready },
  { name: bench.names.client, command: bench.client(code), ...ready },
];

export const init: Scenario = {
  name: 'init',
  title: 'Init, trivial handler',
  how: 'From before the fork to the first `next`; of `python` and `true`, to their end. `true` is what starting any process costs here.',
  share: 1,
  prepare: async (bench) => {
    const { layer, client } = bench.names;
    const python = 'python -I -S -c pass';
    const goal = (to: string, figure: string, rest: Partial<Goal>): Goal => ({
      what: `${figure === 'wall' ? 'time' : 'processor'} / ${to}`,
      of: { subject: layer, figure },
      to: { subject: to, figure },
      ...rest,
    });
    return {
      event: await bench.event('small', smallEvent),
      subjects: [
        ...runtimes(bench, await echo(bench)),
        { name: python, command: bench.python('-I', '-S', '-c', 'pass'), ...exit },
        { name: 'true', command: { ...bench.python(), argv: ['/bin/true'] }, ...exit },
      ],
      figures,
      goals: [
        goal(python, 'wall', { target: { bound: 'at most', value: 1 } }),
        goal(client, 'wall', { target: { bound: 'at most', value: 1 / 8 } }),
        goal(client, 'wall', { lessFloor: 'true' }),
        goal(python, 'cpu', {}),
        goal(client, 'cpu', {}),
      ],
    };
  },
};

export const initBoto3: Scenario = {
  name: 'init-boto3',
  title: 'Init, handler with two boto3 clients',
  how: 'As above. The same import in plain Python says what is the function itself: no runtime can make that part shorter.',
  share: 3,
  prepare: async (bench) => {
    const code = await twoClients(bench);
    const { layer, client } = bench.names;
    const own = 'the same import in plain python';
    const script = 'import sys; sys.path.insert(0, sys.argv[1]); import app; import os; os._exit(0)';
    return {
      event: await bench.event('small', smallEvent),
      subjects: [
        ...runtimes(bench, code),
        { name: own, command: bench.python('-I', '-S', '-c', script, code.folder), ...exit },
      ],
      figures,
      goals: [
        {
          what: `time / ${client}`,
          of: { subject: layer, figure: 'wall' },
          to: { subject: client, figure: 'wall' },
          target: { bound: 'at most', value: 1 },
        },
        {
          what: `processor / ${client}`,
          of: { subject: layer, figure: 'cpu' },
          to: { subject: client, figure: 'cpu' },
        },
        {
          what: `processor / ${own}`,
          of: { subject: layer, figure: 'cpu' },
          to: { subject: own, figure: 'cpu' },
        },
      ],
    };
  },
};
