// An event near the 6 MB limit, returned as it came: decoding, encoding, and the memory both need.
import { type Scenario, type Subject, stepOf } from '../scenario.ts';
import { median } from '../statistics.ts';
import { echo } from './samples.ts';

const bytes = 5_900_000;
const trips = 5;

/** Rows as an API or a queue would carry them: text, whole and broken numbers, short lists, nested objects. */
function records(): string {
  const rows: string[] = [];
  for (let id = 0, length = 14; ; id += 1) {
    const row = JSON.stringify({
      id,
      name: `customer ${id}`,
      email: `customer${id}@example.com`,
      balance: Math.round(id * 137) / 100,
      active: id % 3 === 0,
      tags: ['a', 'b', `tag${id % 17}`],
      address: { street: `${id} Long Street`, city: 'Zürich', zip: null },
    });
    length += Buffer.byteLength(row) + 1;
    if (length > bytes) return `{"records":[${rows.join(',')}]}`;
    rows.push(row);
  }
}

/** A file in base64, as API Gateway delivers uploads. */
function text(): string {
  const file = Buffer.alloc(Math.floor(((bytes - 64) * 3) / 4));
  for (let at = 0, state = 1; at < file.length; at += 1) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    file[at] = state >>> 24;
  }
  return JSON.stringify({ isBase64Encoded: true, body: file.toString('base64') });
}

const scenario = (name: string, title: string, what: string, event: () => string): Scenario => ({
  name,
  title,
  how: `${what} From writing the event to having the whole response, the median of ${trips} per process; the peak is the largest resident size the process has had. Plain Python reads, decodes and keeps the same document once: what a handler's event takes by itself.`,
  share: 5,
  prepare: async (bench) => {
    const code = await echo(bench);
    const path = await bench.event(name, event());
    const { layer, client } = bench.names;
    const floor = 'C program';
    const plain = 'json.load in plain python';
    const subject = (who: string, command: Subject['command']): Subject => ({
      name: who,
      command,
      steps: ['ready', 1, 'trips', 1, 'trips', trips, 'memory'],
      read: (results) => {
        const { response, cpu } = stepOf(results, 'trips', 1);
        return { response: median(response), cpu: cpu / trips, peak: stepOf(results, 'memory').peak };
      },
    });
    const against = (figure: string) => ({
      of: { subject: layer, figure },
      to: { subject: client, figure },
    });
    return {
      event: path,
      subjects: [
        subject(layer, bench.layer(code)),
        subject(client, bench.client(code)),
        subject(floor, bench.answer()),
        {
          name: plain,
          command: bench.python(
            '-I',
            '-S',
            '-c',
            'import sys, json; event = json.load(open(sys.argv[1], "rb")); import os; os._exit(0)',
            path,
          ),
          steps: ['exit'],
          read: (results) => ({ peak: stepOf(results, 'exit').peak }),
        },
      ],
      figures: [
        { key: 'response', title: 'response', unit: 'ms' },
        { key: 'cpu', title: 'processor', unit: 'ms' },
        { key: 'peak', title: 'peak', unit: 'MB' },
      ],
      goals: [
        { what: `response / ${client}`, ...against('response'), target: { bound: 'at most', value: 1 / 5 } },
        { what: `response / ${client}`, ...against('response'), lessFloor: floor },
        { what: `processor / ${client}`, ...against('cpu') },
        { what: `peak / ${client}`, ...against('peak'), target: { bound: 'at most', value: 1 / 3 } },
      ],
    };
  },
});

export const echoRecords = scenario(
  'echo-records',
  'Echo of 5.9 MB, records',
  'Thirty thousand small objects.',
  records,
);
export const echoText = scenario('echo-text', 'Echo of 5.9 MB, one text', 'One string of base64.', text);
