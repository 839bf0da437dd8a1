// Events as people write them, and where exactly they stop being JSON.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { readEvents } from '../../build/lambda/event.ts';
import { findJsonError } from '../../build/lambda/json-error.ts';
import { remove, scratch } from './support/function.ts';

const folder = scratch('event');
afterAll(() => remove(folder));

const noStdin = (): Promise<Buffer> => Promise.reject(new Error('standard input was read'));
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return `@${join(folder, name)}`;
};
const payloads = async (specs: string[], stdin = noStdin): Promise<string[]> =>
  (await readEvents(specs, stdin)).map(({ payload }) => payload.toString());

test('text, file, standard input and lines, in order and byte by byte', async () => {
  const stdin = (): Promise<Buffer> => Promise.resolve(Buffer.from(' [1 ]\n'));
  expect(await payloads(['{"a":  1.0}', file('one.json', '{\n"ü": 1}\n'), '-', '7'], stdin)).toEqual([
    '{"a":  1.0}',
    '{\n"ü": 1}\n',
    ' [1 ]\n',
    '7',
  ]);
  expect(await payloads([file('many.jsonl', '{"a":1}\r\n\n  \n"two"\n')])).toEqual(['{"a":1}', '"two"']);
  expect(await payloads([])).toEqual(['{}']);
});

describe('what is not JSON is named with its place', () => {
  test.each([
    ['', 'line 1, column 1: it is empty'],
    ['{', 'line 1, column 2: it ends too early'],
    ["{'a': 1}", 'line 1, column 2: expected a key in double quotes but found "\'"'],
    ['{"a" 1}', 'line 1, column 6: expected ":" but found "1"'],
    ['{"a": 1,}', 'line 1, column 9: expected a key in double quotes but found "}"'],
    ['[1, 2', 'line 1, column 6: it ends too early'],
    ['[1 2]', 'line 1, column 4: expected "," or "]" but found "2"'],
    ['{"a": 1]', 'line 1, column 8: expected "," or "}" but found "]"'],
    ['[1,]', 'line 1, column 4: expected a value but found "]"'],
    ['{"a":\n  tru}', 'line 2, column 3: expected a value but found "t"'],
    ['{} {}', 'line 1, column 4: there is "{" after the end of the value'],
    ['01', 'line 1, column 2: there is "1" after the end of the value'],
    ['"a\nb"', 'line 1, column 3: the end of the line inside a string must be escaped'],
    ['"\\x"', 'line 1, column 2: there is no such escape'],
    ['"abc', 'line 1, column 5: a string has no end'],
    ['hello', 'line 1, column 1: expected a value but found "h"'],
  ])('%j', async (text, place) => {
    await expect(readEvents([text], noStdin)).rejects.toMatchObject({
      code: 'EVENT_NOT_JSON',
      message: `The event is not JSON: --event, ${place}.`,
    });
  });

  test('in a file of lines, the line of the file is named', async () => {
    await expect(readEvents([file('bad.jsonl', '{}\n\n{]\n')], noStdin)).rejects.toThrow(
      'bad.jsonl line 3, line 1, column 2',
    );
  });

  test('agrees with JSON.parse on every text', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      'u12aB',
      'n',
      '1',
      '-',
      '0',
      '.5',
      'e+',
      ' ',
      '\n',
      'true',
      'null',
      '"a"',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(pieces).map((list) => list.join('')),
          fc.json(),
        ),
        (text) => {
          const wrong = findJsonError(text);
          let parses = true;
          try {
            JSON.parse(text);
          } catch {
            parses = false;
          }
          expect(wrong === undefined).toBe(parses);
          if (wrong === undefined) return;
          expect(wrong.offset).toBeLessThanOrEqual(text.length);
          // What comes before the place was not the mistake: some text can follow it.
          expect(wrong.problem).not.toBe('');
        },
      ),
      { numRuns: 500 },
    );
  });
});

test('a missing file and an event over the limit', async () => {
  await expect(readEvents([`@${join(folder, 'absent.json')}`], noStdin)).rejects.toMatchObject({ code: 'USAGE' });
  await expect(readEvents([file('big.json', `"${'x'.repeat(6_291_555)}"`)], noStdin)).rejects.toThrow('6291557 bytes');
  expect(await payloads([file('fits.json', `"${'x'.repeat(6_291_554)}"`)])).toHaveLength(1);
});
