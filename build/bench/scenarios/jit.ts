// What the JIT gives and takes: the same layer with PYTHON_JIT=1 and with PYTHON_JIT=0, handlers that only compute.
import { type Goal, type Scenario, type Subject, stepOf } from '../scenario.ts';
import { median } from '../statistics.ts';
import type { Workbench } from '../workbench.ts';
import { primesBelow, smallEvent } from './handlers.ts';

const warmUp = 60;
const invocations = 40;

/** Each of a millisecond or two, of another kind: whole numbers, floating point, objects and their methods, text. */
const handlers = {
  primes: primesBelow(2000),
  floats: `def handler(event, context):
    inside = 0
    for row in range(40):
        for column in range(40):
            real = x = row / 16 - 2.0
            imaginary = y = column / 20 - 1.0
            for _ in range(30):
                x, y = x * x - y * y + real, 2.0 * x * y + imaginary
                if x * x + y * y > 4.0:
                    break
            else:
                inside += 1
    return inside
`,
  objects: `class Account:
    def __init__(self, number):
        self.number = number
        self.balance = 0

    def add(self, amount):
        self.balance += amount
        return self.balance


def handler(event, context):
    accounts = [Account(number) for number in range(100)]
    for day in range(120):
        for account in accounts:
            if account.add((account.number * day) % 7) > 300:
                account.balance = 0
    return sum(account.balance for account in accounts)
`,
  text: `LINES = ['2026-11-21 GET /items/%d?page=%d 200 %d' % (n, n % 7, n * 37 % 1000) for n in range(800)]


def handler(event, context):
    seconds = {}
    for line in LINES:
        day, method, target, status, took = line.split()
        path, _, query = target.partition('?')
        key = (method, path[:7], query, status)
        seconds[key] = seconds.get(key, 0) + int(took)
    return sorted(seconds.values())[-1]
`,
} as const;

const names = Object.keys(handlers) as (keyof typeof handlers)[];
const off = (name: string): string => `${name}, PYTHON_JIT=0`;
const on = (name: string): string => `${name}, PYTHON_JIT=1`;

export const jit: Scenario = {
  name: 'jit',
  group: 'special',
  title: 'The JIT, on and off',
  how: `The same layer, started with PYTHON_JIT=0 and with PYTHON_JIT=1. \`init\` and \`first\` (the first invocation) are processor time, and so is \`processor\`, of one invocation once it is warm: the mean of ${invocations} after ${warmUp} uncounted ones. \`response\` is the median time of the same ones. Memory is after the last.`,
  share: 2,
  prepare: async (bench) => {
    if (bench.first.plan.flavor !== 'jit') return undefined;
    const subjects = await Promise.all(names.map((name) => both(bench, name)));
    return {
      event: await bench.event('small', smallEvent),
      subjects: subjects.flat(),
      figures: [
        { key: 'init', title: 'init', unit: 'ms' },
        { key: 'first', title: 'first', unit: 'ms' },
        { key: 'processor', title: 'processor', unit: 'ms' },
        { key: 'response', title: 'response', unit: 'ms' },
        { key: 'resident', title: 'resident', unit: 'MB' },
        { key: 'anonymous', title: 'anonymous', unit: 'MB' },
      ],
      goals: [
        ...names.map((name) => ratio(`${name}: processor, on / off`, name, 'processor')),
        ...names.map((name) => ratio(`${name}: first, on / off`, name, 'first')),
        ratio('init, on / off', names[0] as string, 'init'),
        ratio('anonymous, on / off', names[0] as string, 'anonymous'),
      ],
    };
  },
};

async function both(bench: Workbench, name: keyof typeof handlers): Promise<Subject[]> {
  const code = await bench.first.fn(name, handlers[name]);
  const subject = (title: string, value: string): Subject => ({
    name: title,
    command: bench.first.start(code, { PYTHON_JIT: value }),
    steps: ['ready', 1, 'trips', 1, 'trips', warmUp, 'trips', invocations, 'memory'],
    read: (results) => {
      const warm = stepOf(results, 'trips', 2);
      const { resident, anonymous } = stepOf(results, 'memory');
      return {
        init: stepOf(results, 'ready').cpu,
        first: stepOf(results, 'trips').cpu,
        processor: warm.cpu / invocations,
        response: median(warm.response),
        resident,
        anonymous,
      };
    },
  });
  return [subject(off(name), '0'), subject(on(name), '1')];
}

function ratio(what: string, name: string, figure: string): Goal {
  return { what, of: { subject: on(name), figure }, to: { subject: off(name), figure } };
}
