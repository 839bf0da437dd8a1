// Parity with AWS's own client: every case is run under `awslambdaric` and under our bootstrap, on the same CPython,
// against the same script, and every request, the output and the end of the process must agree, except for what
// docs/differences.md lists. MAKE_RUNTIME_TEST_LAYER=<layer.zip> runs all of it against a compiled layer, too.
import { beforeAll, describe, expect, it } from 'vitest';
import { app } from './differential/case.ts';
import { cases } from './differential/cases/index.ts';
import { aspects, compare, type Difference } from './differential/compare.ts';
import { type Observed, observe } from './differential/observe.ts';
import { explain, type Rule, rules } from './differential/rules.ts';
import { event } from './differential/server.ts';
import { type Pair, pairs } from './differential/subjects.ts';
import { listedRows } from './differential/table.ts';

const found = await pairs();
const all: readonly Pair[] = typeof found === 'string' ? [] : found;

it.skipIf(all.length > 0)('something can be compared', ({ skip }) => {
  skip(found as string);
});

const chosen = ({ runtime }: Pair) => cases.filter(({ on }) => on?.(runtime) ?? true);

/** Rules that explained something, on whichever runtime. */
const needed = new Set<Rule>();

describe.each(all)('on CPython $name, against awslambdaric $clientVersion', (pair) => {
  const both = new Map<string, Promise<readonly [there: Observed, here: Observed]>>();

  beforeAll(() => {
    // Two at a time, in the order of the tests, which wait for them.
    const free: Array<Promise<unknown>> = [Promise.resolve(), Promise.resolve()];
    for (const one of chosen(pair)) {
      const run = free
        .shift()!
        .then(async () => [await observe(one, pair.there), await observe(one, pair.here)] as const);
      both.set(one.name, run);
      free.push(run.catch(() => {}));
    }
  });

  it.each(chosen(pair))('$name', async ({ name, silent }) => {
    const [there, here] = await both.get(name)!;
    // Two that fail to start would agree as well.
    expect(there.exchanges.length === 0, `${there.status} ${there.stderr.bytes}`).toBe(silent ?? false);
    const { left, used } = explain(name, pair.runtime, compare(there, here));
    for (const rule of used) needed.add(rule);
    expect(left).toEqual([]);
  });

  it('sees a difference in everything it compares', async () => {
    const base = { name: 'one', nexts: [event({}), event({})] };
    const print = 'import os, sys\nprint("a")\nsys.stderr.write("a")\nos.write(3, bytes(16))\n';
    const [one, other] = await Promise.all([
      observe({ ...base, telemetry: true, files: app(`${print}raise ValueError("a")`) }, pair.here),
      observe(
        {
          ...base,
          telemetry: true,
          files: app(`${print.replaceAll('"a"', '"b"')}os.write(3, bytes(16))\nif event: pass\nraise TypeError("b")`),
          nexts: [event({}), event({}, { 'Lambda-Runtime-Invocation-Id': 'i' }), event({}), event({})],
          end: 'SIGTERM',
        },
        pair.here,
      ),
    ]);
    const seen = compare(one, other);
    expect(seen.map(({ aspect }: Difference) => aspect)).toEqual([
      ...['requests', 'status', 'stdout', 'stderr', 'telemetry'],
      ...['#2 cause', '#2 body', '#4 headers', '#4 cause', '#4 body'],
    ]);
    expect(explain('one', pair.runtime, seen).left).toEqual(seen);
    expect(aspects(one).get('#2 body')).toMatch(/^\{"errorMessage": "a", "errorType": "ValueError", "requestId": /);
  });
});

// Below what needs all of the above: a filter for one case (`-t`) leaves these out or fails them.
describe.skipIf(all.length === 0)('docs/differences.md', () => {
  it('lists every difference that a rule knows, and nothing else', async () => {
    const rows = await listedRows();
    expect(rows).toEqual([...new Set(rows)]);
    expect(rows.sort()).toEqual([...new Set(rules.map(({ row }) => row))].sort());
  });

  it('lists no difference that is gone: every rule explained something', () => {
    const idle = rules.filter((rule) => all.some(({ runtime }) => rule.on?.(runtime) ?? true) && !needed.has(rule));
    expect(idle.map(({ row, cases }) => `${row} ${cases ?? ''}`)).toEqual([]);
  });

  it('rests on at least 150 cases', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    expect(cases.length).toBeGreaterThanOrEqual(150);
  });
});
