// A response of 200 MB, yielded in pieces, against a C program that writes the same to the same socket.
import { type Scenario, type Subject, stepOf } from '../scenario.ts';
import { smallEvent } from './handlers.ts';

const piece = 65_536;
const pieces = 3200;

const source = `chunk = bytes(${piece})


def handler(event, context):
    for _ in range(${pieces}):
        yield chunk
`;

export const streaming: Scenario = {
  name: 'streaming',
  group: 'special',
  title: 'Streaming 200 MB in 64 KB pieces',
  how: "From the first byte to the last, read and thrown away by the harness. `grown` is how much the peak exceeds that of the start. AWS's client cannot stream.",
  share: 3,
  prepare: async (bench) => {
    const layer = bench.first.name;
    const floor = 'C program';
    const subject = (name: string, command: Subject['command']): Subject => ({
      name,
      command,
      steps: ['ready', 1, 'memory', 'stream', piece * pieces, 'memory'],
      read: (results) => {
        const { ns, bytes } = stepOf(results, 'stream');
        const before = stepOf(results, 'memory', 0);
        const after = stepOf(results, 'memory', 1);
        return { rate: (bytes / ns) * 1e3, peak: after.peak, grown: after.peak - before.peak };
      },
    });
    return {
      event: await bench.event('small', smallEvent),
      subjects: [
        subject(layer, bench.first.start(await bench.first.fn('stream', source))),
        subject(floor, bench.answer(String(piece * pieces))),
      ],
      figures: [
        { key: 'rate', title: 'rate', unit: 'MB/s', more: true },
        { key: 'peak', title: 'peak', unit: 'MB' },
        { key: 'grown', title: 'grown', unit: 'MB' },
      ],
      goals: [
        {
          what: `rate / ${floor}`,
          of: { subject: layer, figure: 'rate' },
          to: { subject: floor, figure: 'rate' },
          target: { bound: 'at least', value: 0.5 },
        },
        {
          what: 'grown, MB',
          of: { subject: layer, figure: 'grown' },
          target: { bound: 'at most', value: 1 },
        },
      ],
    };
  },
};
