// System calls and instructions of a start and of an invocation: figures that repeat on a busy machine.
import { readFile, rm } from 'node:fs/promises';
import { systemCalls } from '../counters.ts';
import { type Scenario, type Subject, stepOf } from '../scenario.ts';
import { median } from '../statistics.ts';
import { namesOf, ratios, readyFor } from './entrants.ts';
import { boto3, echo, type Handler } from './handlers.ts';

const few = 20;
const many = 120;

const scenario = (name: string, handler: Handler, title: string, share: number, invocations: boolean): Scenario => ({
  name,
  group: 'counts',
  handler: handler.title,
  overview: ['calls', 'instructions'],
  title,
  how: `From exec to the first \`next\`, and for one invocation. Calls are strace's, of all threads and processes, but for \`sched_yield\`, which only says how long one waited for another. Instructions are user space's: ending included for a start, and for an invocation the difference between ${many} and ${few} of them.`,
  share,
  warmUp: false,
  prepare: async (bench) => {
    const { calls, instructions, absent } = bench.counters;
    if (calls === undefined && instructions === undefined) return { left: absent };
    const { ready, left } = await readyFor(bench, handler);
    // In an image's file system there is neither strace nor valgrind.
    const here = ready.filter(({ runtime }) => runtime.kind !== 'image');
    const images = ready.filter(({ runtime }) => runtime.kind === 'image');
    const subjects: Subject[] = [];
    for (const { runtime, start } of here) {
      // The same addresses and hashes each time: what is counted is to repeat.
      const command = start({ PYTHONHASHSEED: '0' });
      const log = bench.scratch(`count-${subjects.length}`);
      if (calls !== undefined) {
        subjects.push({
          name: runtime.name,
          command: calls.wrap(command, log),
          steps: ['ready', 1, 'trips', 12, 'end'],
          read: async () => {
            const { start: first, each } = systemCalls(await readFile(log, 'utf8'));
            await rm(log, { force: true });
            return { calls: first, callsEach: median(each.slice(2)) };
          },
        });
      }
      if (instructions === undefined) continue;
      for (const [key, trips] of [
        ['instructions', 0],
        ...(invocations
          ? ([
              ['few', few],
              ['many', many],
            ] as const)
          : []),
      ] as const) {
        subjects.push({
          name: runtime.name,
          command: instructions.wrap(command, log),
          steps: ['ready', 1, ...(trips === 0 ? [] : ['trips', trips]), 'end'],
          read: async (results) => {
            stepOf(results, 'end');
            const count = await instructions.read(log);
            await rm(log, { force: true });
            return { [key]: count };
          },
        });
      }
    }
    const names = namesOf(subjects);
    return {
      event: await bench.event(handler.name, handler.event()),
      subjects,
      left: [
        ...left,
        ...absent,
        ...images.map(({ runtime }) => `${runtime.name}: nothing is counted in an image's own file system.`),
      ],
      derive: ({ few: less = [], many: more = [] }) =>
        instructions === undefined || !invocations
          ? {}
          : { instructionsEach: more.map((value, index) => (value - (less[index] ?? Number.NaN)) / (many - few)) },
      figures: [
        ...(calls === undefined
          ? []
          : ([
              { key: 'calls', title: 'calls, start', unit: '' },
              { key: 'callsEach', title: 'calls, invocation', unit: '' },
            ] as const)),
        ...(instructions === undefined
          ? []
          : ([{ key: 'instructions', title: `instructions, start (${instructions.by})`, unit: 'million' }] as const)),
        ...(instructions === undefined || !invocations
          ? []
          : ([{ key: 'instructionsEach', title: 'instructions, invocation', unit: 'million' }] as const)),
      ],
      goals: [
        ...ratios(bench, names, 'calls', 'calls of a start'),
        ...ratios(bench, names, 'callsEach', 'calls of an invocation'),
        ...ratios(bench, names, 'instructions', 'instructions of a start'),
        ...ratios(bench, names, 'instructionsEach', 'instructions of an invocation'),
      ].filter(({ of }) =>
        of.figure.startsWith('calls')
          ? calls !== undefined
          : instructions !== undefined && (invocations || of.figure === 'instructions'),
      ),
    };
  },
});

export const counts: readonly Scenario[] = [
  scenario('counts-trivial', echo, 'Counted: trivial handler', 15, true),
  // A minute and more below callgrind: one start of each, and no invocations.
  scenario('counts-boto3', boto3, 'Counted: two boto3 clients', 30, false),
];
