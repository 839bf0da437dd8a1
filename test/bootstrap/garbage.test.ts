// The garbage collector works less while the handler is imported; a function must find it as it always is, and its own
// wishes about it must be kept.
import { describe, expect, it } from 'vitest';
import { builtRuntimes } from './support/built.ts';
import { json, run } from './support/run.ts';
import { event } from './support/scripted-api.ts';

const runtimes = await builtRuntimes();

const look = [
  'import gc, weakref',
  'frozen = gc.get_freeze_count()', // 3.12 has some from its own start
  'def state():',
  '    return [gc.isenabled(), list(gc.get_threshold()), gc.get_freeze_count() > frozen]',
  'def handler(event, context):',
  '    return state()',
  '',
].join('\n');

describe.skipIf(runtimes.length === 0).each(runtimes)('on CPython $version', (built) => {
  const answers = async (code: string, count = 1): Promise<unknown[]> => {
    const { posts, stderr } = await run(built, {
      files: { 'app.py': look + code },
      nexts: Array.from({ length: count }, () => event({})),
    });
    expect(stderr).toBe('');
    return posts.map(json);
  };

  it('is what it is in plain Python once there are invocations', async () => {
    const code =
      'usual = __import__("subprocess").check_output([__import__("sys").executable, "-c", "import gc; print(list(gc.get_threshold()))"])\n';
    const more = 'def handler(event, context):\n    return state() == [True, __import__("json").loads(usual), False]\n';
    expect(await answers(code + more)).toEqual([true]);
  });

  it.each([
    ['gc.disable()', [false, expect.anything(), false]],
    ['gc.set_threshold(50_000, 20, 30)', [true, [50_000, 20, 30], false]],
    ['gc.set_threshold(0)', [true, [0, expect.anything(), expect.anything()], false]],
    ['gc.freeze()', [true, expect.anything(), true]],
    ['gc.disable(); gc.enable()', [true, expect.anything(), false]],
  ])('keeps what a function says: %s', async (code, expected) => {
    expect(await answers(`${code}\n`, 2)).toEqual([expected, expected]);
  });

  it('does not look at what init made in the first invocations, and still finds its garbage when asked', async () => {
    const code = [
      'class Node: pass',
      'kept = [Node() for _ in range(20_000)]',
      'lost = Node(); lost.itself = lost; gone = weakref.ref(lost); del lost',
      'def handler(event, context):',
      '    [[] for _ in range(3_000)]',
      // Free-threaded collectors have no generations.
      '    young = 0 if "t" in __import__("sys").abiflags else sum(map(len, map(gc.get_objects, (0, 1))))',
      '    gc.collect()',
      '    return [young < 20_000, gone() is None]',
      '',
    ].join('\n');
    expect(await answers(code)).toEqual([[true, true]]);
  });
});
