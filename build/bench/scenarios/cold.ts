// From the start of the process to its first request for work, and to its first response: a trivial handler, one that
// imports boto3, one that imports FastAPI.
import { type Goal, type Scenario, type Subject, stepOf } from '../scenario.ts';
import { namesOf, ratios, readyFor } from './entrants.ts';
import { boto3, echo, fastapi, functionOf, type Handler } from './handlers.ts';

const figures = [
  { key: 'wall', title: 'time', unit: 'ms' },
  { key: 'first', title: 'first response', unit: 'ms' },
  { key: 'cpu', title: 'processor', unit: 'ms' },
] as const;

const ready: Pick<Subject, 'steps' | 'read'> = {
  steps: ['ready', 1, 'trips', 1],
  read: (results) => {
    const { ns, cpu } = stepOf(results, 'ready');
    // The event is written as soon as it is asked for.
    return { wall: ns, cpu, first: ns + (stepOf(results, 'trips').response[0] ?? Number.NaN) };
  },
};
const exit: Pick<Subject, 'steps' | 'read'> = {
  steps: ['exit'],
  read: (results) => ({ wall: stepOf(results, 'exit').ns, cpu: stepOf(results, 'exit').cpu }),
};

const scenario = (
  name: string,
  handler: Handler,
  title: string,
  rest: Pick<Scenario, 'how' | 'share'>,
  targets: { readonly client?: number; readonly python?: number },
  imports: boolean,
): Scenario => ({
  name,
  group: 'cold',
  handler: handler.title,
  overview: ['wall', 'first'],
  title,
  ...rest,
  prepare: async (bench) => {
    const { ready: entrants, left } = await readyFor(bench, handler);
    const first = bench.first;
    const script = 'import sys; sys.path.insert(0, sys.argv[1]); import app; import os; os._exit(0)';
    const code = await functionOf(first, handler);
    const plain = imports ? 'the same import in plain python' : 'python -I -S -c pass';
    const words = imports ? ['-I', '-S', '-c', script, code.folder] : ['-I', '-S', '-c', 'pass'];
    const python = first.interpreter(...words);
    const subjects: Subject[] = [
      ...entrants.map(({ runtime, start }) => ({ name: runtime.name, command: start(), ...ready })),
      { name: plain, command: { ...python, files: [...(python.files ?? []), code.folder] }, ...exit },
      ...(imports ? [] : [{ name: 'true', command: { ...python, argv: ['/bin/true'] as const, files: [] }, ...exit }]),
    ];
    const names = namesOf(subjects);
    const toPython = (figure: string, target?: number): Goal => ({
      what: `${figure === 'wall' ? 'time' : 'processor'} / ${plain}`,
      of: { subject: first.name, figure },
      to: { subject: plain, figure },
      ...(target === undefined ? {} : { target: { bound: 'at most', value: target } as const }),
    });
    const target = targets.client === undefined ? {} : { target: { bound: 'at most', value: targets.client } as const };
    return {
      event: await bench.event(handler.name, handler.event()),
      subjects,
      figures,
      left,
      goals: [
        ...(targets.python === undefined ? [] : [toPython('wall', targets.python)]),
        ...ratios(bench, names, 'wall', 'time', target),
        ...(imports ? [] : ratios(bench, names, 'wall', 'time', { lessFloor: 'true' })),
        ...ratios(bench, names, 'first', 'first response'),
        toPython('cpu'),
        ...ratios(bench, names, 'cpu', 'processor'),
      ],
    };
  },
});

const asAbove =
  'As for the trivial handler. The same import in plain Python says what is the function itself: no runtime can make that part shorter.';

export const init = scenario(
  'init',
  echo,
  'Cold start, trivial handler',
  {
    how: 'From before the fork to the first `next` (`time`, `processor`), and to the end of the first response; of `python` and `true`, to their end. `true` is what starting any process costs here.',
    share: 1,
  },
  { client: 1 / 8, python: 1 },
  false,
);
export const initBoto3 = scenario(
  'init-boto3',
  boto3,
  'Cold start, handler with two boto3 clients',
  { how: asAbove, share: 3 },
  { client: 1 },
  true,
);
export const initFastapi = scenario(
  'init-fastapi',
  fastapi,
  'Cold start, FastAPI through Mangum',
  { how: asAbove, share: 3 },
  {},
  true,
);
