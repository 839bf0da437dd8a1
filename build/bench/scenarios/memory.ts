// What an idle runtime keeps: after init, and after many invocations.
import { type Goal, type Scenario, type Subject, stepOf } from '../scenario.ts';
import { namesOf, ratios, readyFor } from './entrants.ts';
import { boto3, echo, fastapi, type Handler } from './handlers.ts';

const scenario = (
  name: string,
  handler: Handler,
  title: string,
  invocations: number,
  most: number | undefined,
): Scenario => ({
  name,
  group: 'memory',
  handler: handler.title,
  overview: ['resident', 'proportional'],
  title,
  how: `Waiting for \`next\`, after init and after ${invocations} invocations. Resident size counts the pages of files too, as many around each that is used as the kernel finds convenient: with the same file it has been seen to differ by nearly 3 MB. \`anonymous\` is the part that is in no file. Plain Python sleeps: what the interpreter takes by itself.`,
  share: 5,
  prepare: async (bench) => {
    const { ready, left } = await readyFor(bench, handler);
    const subject = (who: string, command: Subject['command']): Subject => ({
      name: who,
      command,
      steps: ['ready', 1, 'memory', 'trips', invocations, 'memory'],
      read: (results) => {
        const before = stepOf(results, 'memory', 0);
        const after = stepOf(results, 'memory', 1);
        return {
          resident: before.resident,
          anonymous: before.anonymous,
          proportional: before.proportional,
          residentAfter: after.resident,
          anonymousAfter: after.anonymous,
        };
      },
    });
    const plain = 'plain python';
    const ours = bench.first.name;
    const subjects: Subject[] = [
      ...ready.map(({ runtime, start }) => subject(runtime.name, start())),
      {
        name: plain,
        command: bench.first.interpreter('-I', '-S', '-c', 'import time; time.sleep(60)'),
        steps: ['pause', 500, 'memory'],
        read: (results) => {
          const { resident, anonymous, proportional } = stepOf(results, 'memory');
          return { resident, anonymous, proportional };
        },
      },
    ];
    const idle: Goal = { what: 'resident, MB', of: { subject: ours, figure: 'resident' } };
    return {
      event: await bench.event(handler.name, handler.event()),
      subjects,
      left,
      figures: [
        { key: 'resident', title: 'resident', unit: 'MB' },
        { key: 'anonymous', title: 'anonymous', unit: 'MB' },
        { key: 'proportional', title: 'proportional', unit: 'MB' },
        { key: 'residentAfter', title: `resident after ${invocations}`, unit: 'MB' },
        { key: 'anonymousAfter', title: `anonymous after ${invocations}`, unit: 'MB' },
      ],
      goals: [
        most === undefined ? idle : { ...idle, target: { bound: 'at most', value: most } },
        {
          what: 'resident / plain python',
          of: { subject: ours, figure: 'resident' },
          to: { subject: plain, figure: 'resident' },
        },
        ...ratios(bench, namesOf(subjects), 'resident', 'resident'),
        ...ratios(bench, namesOf(subjects), 'anonymous', 'anonymous'),
      ],
    };
  },
});

export const memory = scenario('memory', echo, 'Idle memory, trivial handler', 1000, 9);
export const memoryBoto3 = scenario(
  'memory-boto3',
  boto3,
  'Idle memory, handler with two boto3 clients',
  200,
  undefined,
);
export const memoryFastapi = scenario('memory-fastapi', fastapi, 'Idle memory, FastAPI through Mangum', 200, undefined);
