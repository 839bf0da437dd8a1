// One small invocation after the other in a warm process.
import { type Scenario, type Subject, stepOf } from '../scenario.ts';
import { median } from '../statistics.ts';
import { echo, smallEvent } from './samples.ts';

const warm = 100;
const trips = 400;

export const roundTrip: Scenario = {
  name: 'round-trip',
  title: 'Round trip, 50-byte event',
  how: `From writing the event to having the whole response (\`response\`), and to being asked for the next (\`again\`): the medians of ${trips} after ${warm} uncounted, per process. \`processor\` is what the runtime used for one. The C program answers at once: it is the loopback, the kernel and the harness. Harness and runtime share one core, so that waking an idle one is in no figure.`,
  share: 2,
  prepare: async (bench) => {
    const code = await echo(bench);
    const { layer, client } = bench.names;
    const floor = 'C program';
    const subject = (name: string, command: Subject['command']): Subject => ({
      name,
      command,
      // Waking an idle virtual core has been seen to take 60 µs, several times what is compared.
      steps: ['pin', 'ready', 1, 'trips', warm, 'trips', trips],
      read: (results) => {
        const { response, again, cpu } = stepOf(results, 'trips', 1);
        return { response: median(response), again: median(again), cpu: cpu / trips };
      },
    });
    const against = (figure: string) => ({
      of: { subject: layer, figure },
      to: { subject: client, figure },
    });
    return {
      event: await bench.event('small', smallEvent),
      subjects: [
        subject(layer, bench.layer(code)),
        subject(client, bench.client(code)),
        subject(floor, bench.answer()),
      ],
      figures: [
        { key: 'response', title: 'response', unit: 'µs' },
        { key: 'again', title: 'again', unit: 'µs' },
        { key: 'cpu', title: 'processor', unit: 'µs' },
      ],
      goals: [
        { what: `response / ${client}`, ...against('response'), target: { bound: 'at most', value: 1 / 8 } },
        { what: `response / ${client}`, ...against('response'), lessFloor: floor },
        { what: `again / ${client}`, ...against('again') },
        { what: `processor / ${client}`, ...against('cpu') },
      ],
    };
  },
};
