// Large events and responses: their longest string takes over the memory the event came in, and is sent from there
// (bootstrap-src/json_decode.c, json_encode.c). Nothing of that may be seen.
import { describe, expect, it } from 'vitest';
import { builtRuntimes } from './support/built.ts';
import { json, run } from './support/run.ts';
import { event } from './support/scripted-api.ts';

const runtimes = await builtRuntimes();

const text = (length: number, seed = 7): string => {
  let state = seed;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return String.fromCharCode(97 + ((state >>> 16) % 26));
  }).join('');
};
const long = text(200_000);

const echo = { 'app.py': 'def handler(event, context):\n    return event\n' };

describe.skipIf(runtimes.length === 0).each(runtimes)('on CPython $version', (built) => {
  it('come back as they were', async () => {
    const documents: unknown[] = [
      long,
      { body: long },
      { before: [1, 'é', null], body: { deep: [long] }, after: { b: [true, 2.5], c: text(1000) }, last: 'x' },
      [text(100_000, 1), text(100_001, 2), text(99_999, 3)], // none is most of it
      [text(70_000, 1), text(300_000, 2)],
      { [long]: long.slice(0, 65_536) }, // a key
      { body: `${long}"\\\n` },
      { body: `${long}é` },
      { body: `${long}\u007f` }, // ASCII that json.dumps escapes before 3.12
      Array.from({ length: 80 }, (_, index) => text(66_000, index)), // more than one system call sends
    ];
    const { posts, stderr } = await run(built, {
      files: echo,
      nexts: documents.map((document) => event(JSON.stringify(document))),
    });
    expect(stderr).toBe('');
    expect(posts.map((post) => post.path.split('/').pop())).toEqual(documents.map(() => 'response'));
    for (const [index, document] of documents.entries()) expect(json(posts[index])).toEqual(document);
  });

  it('have strings like any other, which outlive the invocation', async () => {
    const { posts, stderr } = await run(built, {
      files: {
        'app.py': [
          'import sys',
          'kept = []',
          'def handler(event, context):',
          '    kept.append(event["body"])',
          '    one = kept[-1]',
          '    table = {one: 1}',
          '    facts = [len(one), one.isascii(), one == str(one.encode(), "utf-8"), table["".join(list(one))], type(one).__name__]',
          '    return {"facts": facts, "same": len(set(kept)), "kept": kept, "found": one.find("zzzzzzzz"), "end": one[-3:]}',
          '',
        ].join('\n'),
      },
      nexts: [event({ body: long, n: 1 }), event({ n: 2, body: text(150_000, 9) }), event({ n: 3, body: long })],
    });
    expect(stderr).toBe('');
    const second = text(150_000, 9);
    const facts = (body: string) => [body.length, true, true, 1, 'str'];
    expect(json(posts[2])).toEqual({
      facts: facts(long),
      same: 2,
      kept: [long, second, long],
      found: -1,
      end: long.slice(-3),
    });
    expect(json(posts[1])).toMatchObject({ facts: facts(second), same: 2 });
  });

  it('are refused in the words of json when something is wrong behind their longest string', async () => {
    const broken = [
      `{"a": "${long}" nonsense}`,
      `{"a": "${long}"}}`,
      `["b", "${long}", {"c": 1,}]`,
      `"${long}`,
      `{"a": "${long}", "b": "\\x"}`,
    ];
    const { posts } = await run(built, {
      files: {
        'app.py': [
          'import json',
          'def handler(event, context):',
          '    try:',
          '        json.loads(event["document"])',
          '    except ValueError as error:',
          '        return "Unable to unmarshal input: %s" % error',
          '',
        ].join('\n'),
      },
      nexts: broken.flatMap((document) => [event(document), event({ document })]),
    });
    for (const [index] of broken.entries()) {
      const [refused, judge] = [posts[2 * index], posts[2 * index + 1]];
      expect(refused!.path).toMatch(/\/error$/);
      expect(json(refused)).toMatchObject({ errorType: 'Runtime.UnmarshalError', errorMessage: json(judge) });
    }
  });

  it('leave no holes that the next one does not fit into', async () => {
    const body = text(3_000_000);
    const { posts } = await run(built, {
      files: {
        'app.py': [
          'def handler(event, context):',
          '    for line in open("/proc/self/status"):',
          '        if line.startswith("VmHWM:"):',
          '            event["peak"] = int(line.split()[1]) // 1024',
          '    return event',
          '',
        ].join('\n'),
      },
      nexts: Array.from({ length: 12 }, (_, index) => event({ first: true, body: body.slice(index * 5) })),
    });
    const peaks = posts.map((post) => (json(post) as { peak: number }).peak);
    expect(peaks).toHaveLength(12);
    expect((peaks[11] as number) - (peaks[1] as number)).toBeLessThan(6); // MB: two of them
  });

  it('that are not JSON reach the handler as bytes', async () => {
    const bytes = Buffer.alloc(100_000, 0xfe);
    const { posts } = await run(built, {
      files: {
        'app.py': 'def handler(event, context):\n    return [type(event).__name__, len(event), event[0], event[-1]]\n',
      },
      nexts: [event(bytes, { 'Content-Type': 'application/octet-stream' })],
    });
    expect(json(posts[0])).toEqual(['bytes', 100_000, 0xfe, 0xfe]);
  });
});
