// Every reference that an invocation takes is given back: sys.gettotalrefcount() of a debug build stays where it was over
// 10,000 invocations of each kind of handler. And 32 pollers at once under ThreadSanitizer: no report has a frame of ours.
import { readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { drive } from './reliability/drive.ts';
import { home, type Instrumented, instrumented, missing, suppressions } from './reliability/instrumented.ts';

const available: Instrumented[] = [];
for (const one of instrumented) {
  const why = await missing(one);
  if (why === undefined) available.push(one);
  else test.skip(`CPython ${one.name}: ${why}`, () => {});
}

const WARM = 2000;
const COUNTED = 10_000;
/** Of caches that are still being filled; one reference for each invocation would be 10,000. */
const SETTLING = 200;

const counting = `
import gc, sys
seen = 0
def counted():
    global seen
    seen += 1
    if seen in (${WARM}, ${WARM + COUNTED}):
        gc.collect()
        print("references", sys.gettotalrefcount(), file=sys.stderr)  # not among the log records
`;

const kinds: Record<string, readonly [as: 'responses' | 'errors' | 'streams' | 'late', ...lines: string[]]> = {
  plain: [
    'responses',
    'def handler(event, context):',
    '    counted()',
    '    return {"got": [event, 1.5, "é", None, 2**70]}',
  ],
  'an error': ['errors', 'def handler(event, context):', '    counted()', '    raise ValueError(event)'],
  'a result that is not JSON': ['errors', 'def handler(event, context):', '    counted()', '    return [object()]'],
  bytes: ['responses', 'def handler(event, context):', '    counted()', '    return b"x" * 1000'],
  'a generator': ['streams', 'def handler(event, context):', '    counted()', '    yield "text"', '    yield b"bytes"'],
  'a generator that fails': [
    'late',
    'def handler(event, context):',
    '    counted()',
    '    yield "é"',
    '    raise ValueError(event)',
  ],
  'async def': [
    'responses',
    'import asyncio',
    'async def handler(event, context):',
    '    counted()',
    '    await asyncio.sleep(0)',
    '    return event',
  ],
  'context and log': [
    'responses',
    'import logging',
    'def handler(event, context):',
    '    counted()',
    '    context.log("logged")',
    '    logging.getLogger().warning("logged %s", event)',
    '    return [repr(context), context.get_remaining_time_in_millis(), vars(context).keys() and context.aws_request_id]',
  ],
};

describe.each(available)('on CPython $name', (one) => {
  let folder: string;
  beforeAll(async () => {
    folder = await home(one);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each(Object.entries(kinds))('references: %s', async (_, [as, ...lines]) => {
    const outcome = await drive({
      bootstrap: join(folder, 'bootstrap'),
      code: `${counting}${lines.join('\n')}\n`,
      invocations: WARM + COUNTED,
      events: ['{"name":"x","values":[1,2.5,null,"é"]}', '"text"'],
      env: { TSAN_OPTIONS: 'report_bugs=0' },
    });
    expect(outcome[as], outcome.stderr).toBe(WARM + COUNTED);
    const [before, after] = [...outcome.stderr.matchAll(/^references (\d+)$/gm)].map(([, count]) => Number(count));
    expect(before).toBeGreaterThan(1000);
    expect(Math.abs(after! - before!), `${before} references, then ${after}`).toBeLessThan(SETTLING);
  });
});

const shared = `
import asyncio, decimal, logging, os, random, sys
from make_runtime import streaming
logging.getLogger().setLevel("INFO")
log = logging.getLogger("app")
everybodys = {"list": [], "nested": {"a": [1, 2, 3]}}

def handler(event, context):
    what, number = event["what"], random.randrange(50)
    log.info("%s %s", what, context.aws_request_id)
    context.log("logged %d" % number)
    if what == "fail": raise ValueError(what)
    if what == "exit": sys.exit(3)
    if what == "bytes": return b"x" * 100
    if what == "unmarshal": return object()
    if what in ("stream", "late"): return pieces(context, what)
    if what == "open":
        with streaming.open(200, {"a": "b"}, ["c=d"]) as stream:
            for i in range(5): stream.write("é%d" % i)
        return
    if what == "shared":
        # What one changes while another is being answered with it.
        try:
            everybodys[str(number)] = [number, decimal.Decimal("1.5"), {"x": number}]
            everybodys["list"].append(number)
            everybodys["nested"][number] = what
            if number % 5 == 0: everybodys["nested"].clear(), everybodys["list"].clear()
            os.environ["X%d" % (number % 3)] = str(number)
            os.environ.get("_X_AMZN_TRACE_ID")
        except (KeyError, RuntimeError): pass
        return everybodys
    print(what)
    return event

def pieces(context, what):
    for i in range(5): yield "%s %d" % (context.aws_request_id, i)
    if what == "late": raise ValueError("late")
`;
const coroutine = `
async def together(event, context):
    await asyncio.sleep(0)
    if event["what"] == "bytes": return b"x" * 500_000
    if event["what"] in ("stream", "late", "open"): return event
    return handler(event, context)
`;
const events = ['echo', 'fail', 'stream', 'late', 'bytes', 'unmarshal', 'exit', 'open', 'shared', 'shared'].map(
  (what) => JSON.stringify({ what, list: [1, 2.5, 'é', { a: null }] }),
);

/** A race that is ours: in a function that every poller calls. */
const PLANTED = `
#include <unistd.h>
static volatile int planted;
static inline int planted_gettid(void) { planted++; return gettid(); }
#define gettid planted_gettid
`;

describe.each(available.filter(({ threadSanitizer }) => threadSanitizer))('ThreadSanitizer, CPython $name', (one) => {
  /** The summaries of the reports that a frame of ours is in, and how many there are of others. */
  async function reports(folder: string, invocations: number, code: string, handler: string) {
    const log = join(folder, 'report');
    const options = [`suppressions=${await suppressions(one)}`, `log_path=${log}`, 'history_size=4'];
    const outcome = await drive({
      bootstrap: join(folder, 'bootstrap'),
      code,
      invocations,
      events,
      env: { AWS_LAMBDA_MAX_CONCURRENCY: '32', TSAN_OPTIONS: options.join(':'), _HANDLER: handler },
    });
    const names = (await readdir(dirname(log))).filter((name) => name.startsWith('report.'));
    const all = (await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))).join('\n');
    const each = all.split('==================').filter((text) => text.includes('WARNING: ThreadSanitizer'));
    const ours = each.filter((text) =>
      /(?:module|runtime_api|json_decode|json_encode|bootstrap|frozen)\.[ch]:\d/.test(text),
    );
    return { outcome, ours, others: each.length - ours.length, seen: all };
  }

  test.each([
    ['threads', shared, 'app.handler', 10_000],
    ['an event loop', shared + coroutine, 'app.together', 3_000],
  ] as const)('32 pollers, %s', async (_, code, handler, invocations) => {
    const folder = await home(one);
    try {
      const { outcome, ours } = await reports(folder, invocations, code, handler);
      expect(outcome.responses + outcome.errors).toBe(invocations);
      expect(outcome.errors).toBeGreaterThan(invocations / 10);
      expect(ours).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('a race that is planted in ours is reported', async () => {
    const folder = await home(one, PLANTED);
    try {
      const { ours, seen } = await reports(folder, 500, shared, 'app.handler');
      expect(seen).toContain('planted_gettid');
      expect(ours).not.toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
