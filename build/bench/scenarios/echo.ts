// An event near the 6 MB limit, returned as it came: decoding, encoding, and the memory both need.
import { type Scenario, type Subject, stepOf } from '../scenario.ts';
import { median } from '../statistics.ts';
import { namesOf, ratios, readyFor } from './entrants.ts';
import { type Handler, echoRecords as records, echoText as text } from './handlers.ts';

const trips = 5;

const scenario = (name: string, title: string, what: string, handler: Handler): Scenario => ({
  name,
  group: 'warm',
  handler: handler.title,
  overview: ['response', 'cpu', 'peak'],
  title,
  how: `${what} From writing the event to having the whole response, the median of ${trips} per process; the peak is the largest resident size the process has had. Plain Python reads, decodes and keeps the same document once: what a handler's event takes by itself.`,
  share: 5,
  prepare: async (bench) => {
    const { ready, left } = await readyFor(bench, handler);
    const path = await bench.event(name, handler.event());
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
    const subjects: Subject[] = [
      ...ready.map(({ runtime, start }) => subject(runtime.name, start())),
      subject(floor, bench.answer()),
      {
        name: plain,
        command: bench.first.interpreter(
          '-I',
          '-S',
          '-c',
          'import sys, json; event = json.load(open(sys.argv[1], "rb")); import os; os._exit(0)',
          path,
        ),
        steps: ['exit'],
        read: (results) => ({ peak: stepOf(results, 'exit').peak }),
      },
    ];
    const names = namesOf(subjects);
    return {
      event: path,
      subjects,
      left,
      figures: [
        { key: 'response', title: 'response', unit: 'ms' },
        { key: 'cpu', title: 'processor', unit: 'ms' },
        { key: 'peak', title: 'peak', unit: 'MB' },
      ],
      goals: [
        ...ratios(bench, names, 'response', 'response', { target: { bound: 'at most', value: 1 / 5 } }),
        ...ratios(bench, names, 'response', 'response', { lessFloor: floor }),
        ...ratios(bench, names, 'cpu', 'processor'),
        ...ratios(bench, names, 'peak', 'peak', { target: { bound: 'at most', value: 1 / 3 } }),
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
