// One invocation after the other in a warm process, by handler.
import { type Goal, type Scenario, stepOf, type Unit } from '../scenario.ts';
import { median } from '../statistics.ts';
import { namesOf, ratios, readyFor } from './entrants.ts';
import { boto3, compute, echo, echo1k, echo1m, fastapi, type Handler } from './handlers.ts';

interface Warm {
  readonly name: string;
  readonly handler: Handler;
  readonly title: string;
  readonly unit: Unit;
  readonly share: number;
  /** Invocations that are counted, after a quarter as many that are not. */
  readonly trips: number;
  readonly target?: Goal['target'];
}

const floor = 'C program';

const scenario = ({ name, handler, title, unit, share, trips, target }: Warm): Scenario => ({
  name,
  group: 'warm',
  handler: handler.title,
  overview: ['response', 'cpu'],
  title,
  how:
    name === 'round-trip'
      ? `From writing the event to having the whole response (\`response\`), and to being asked for the next (\`again\`): the medians of ${trips} after ${trips / 4} uncounted, per process. \`processor\` is what the runtime used for one, \`first\` the very first response. The C program answers with the event at once: it is the loopback, the kernel and the harness. Harness and runtime share one core, so that waking an idle one is in no figure.`
      : `As for the round trip: medians of ${trips} after ${trips / 4} uncounted.`,
  share,
  prepare: async (bench) => {
    const { ready, left } = await readyFor(bench, handler);
    // Waking an idle virtual core has been seen to take 60 µs, several times what is compared.
    const steps = ['pin', 'ready', 1, 'trips', 1, 'trips', trips / 4, 'trips', trips];
    const subjects = [
      ...ready.map(({ runtime, start }) => ({ name: runtime.name, command: start() })),
      { name: floor, command: bench.answer() },
    ].map((subject) => ({
      ...subject,
      steps,
      read: (results: Parameters<typeof stepOf>[0]) => {
        const { response, again, cpu } = stepOf(results, 'trips', 2);
        const [first = Number.NaN] = stepOf(results, 'trips', 0).response;
        return { response: median(response), again: median(again), cpu: cpu / trips, first };
      },
    }));
    const names = namesOf(subjects);
    return {
      event: await bench.event(name, handler.event()),
      subjects,
      left,
      figures: [
        { key: 'response', title: 'response', unit },
        { key: 'again', title: 'again', unit },
        { key: 'cpu', title: 'processor', unit },
        { key: 'first', title: 'first', unit },
      ],
      goals: [
        ...ratios(bench, names, 'response', 'response', target === undefined ? {} : { target }),
        ...ratios(bench, names, 'response', 'response', { lessFloor: floor }),
        ...ratios(bench, names, 'again', 'again'),
        ...ratios(bench, names, 'cpu', 'processor'),
      ],
    };
  },
});

export const roundTrip = scenario({
  name: 'round-trip',
  handler: echo,
  title: 'Round trip, 50-byte event',
  unit: 'µs',
  share: 2,
  trips: 400,
  target: { bound: 'at most', value: 1 / 8 },
});
export const warm: readonly Scenario[] = [
  scenario({ name: 'echo-1k', handler: echo1k, title: 'Echo of 1 KB', unit: 'µs', share: 3, trips: 400 }),
  scenario({ name: 'echo-1m', handler: echo1m, title: 'Echo of 1 MB', unit: 'ms', share: 6, trips: 8 }),
  scenario({
    name: 'boto3',
    handler: boto3,
    title: 'Signing an address with boto3',
    unit: 'µs',
    share: 6,
    trips: 200,
  }),
  scenario({
    name: 'fastapi',
    handler: fastapi,
    title: 'A request to FastAPI through Mangum',
    unit: 'µs',
    share: 6,
    trips: 200,
  }),
  scenario({ name: 'compute', handler: compute, title: 'CPU-bound handler', unit: 'ms', share: 6, trips: 40 }),
];
