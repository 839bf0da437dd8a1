// What an idle runtime keeps: after init, and after a thousand invocations.
import { type Scenario, type Subject, stepOf } from '../scenario.ts';
import { echo, smallEvent } from './samples.ts';

const invocations = 1000;

export const memory: Scenario = {
  name: 'memory',
  title: 'Idle memory, trivial handler',
  how: `Waiting for \`next\`, after init and after ${invocations} invocations. Resident size counts the pages of files too, as many around each that is used as the kernel finds convenient: with the same file it has been seen to differ by nearly 3 MB. \`anonymous\` is the part that is in no file. Plain Python sleeps: what the interpreter takes by itself.`,
  share: 5,
  prepare: async (bench) => {
    const code = await echo(bench);
    const { layer, client } = bench.names;
    const subject = (name: string, command: Subject['command']): Subject => ({
      name,
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
    return {
      event: await bench.event('small', smallEvent),
      subjects: [
        subject(layer, bench.layer(code)),
        subject(client, bench.client(code)),
        {
          name: 'plain python',
          command: bench.python('-I', '-S', '-c', 'import time; time.sleep(60)'),
          steps: ['pause', 500, 'memory'],
          read: (results) => {
            const { resident, anonymous, proportional } = stepOf(results, 'memory');
            return { resident, anonymous, proportional };
          },
        },
      ],
      figures: [
        { key: 'resident', title: 'resident', unit: 'MB' },
        { key: 'anonymous', title: 'anonymous', unit: 'MB' },
        { key: 'proportional', title: 'proportional', unit: 'MB' },
        { key: 'residentAfter', title: `resident after ${invocations}`, unit: 'MB' },
        { key: 'anonymousAfter', title: `anonymous after ${invocations}`, unit: 'MB' },
      ],
      goals: [
        {
          what: 'resident, MB',
          of: { subject: layer, figure: 'resident' },
          target: { bound: 'at most', value: 9 },
        },
        {
          what: 'resident / plain python',
          of: { subject: layer, figure: 'resident' },
          to: { subject: 'plain python', figure: 'resident' },
        },
        {
          what: `anonymous / ${client}`,
          of: { subject: layer, figure: 'anonymous' },
          to: { subject: client, figure: 'anonymous' },
        },
      ],
    };
  },
};
