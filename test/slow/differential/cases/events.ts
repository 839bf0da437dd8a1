// What reaches the handler: JSON of every kind, bodies that are not JSON, how they arrive.
import { app, type Case } from '../case.ts';
import { event } from '../server.ts';

/** Says everything about a value that JSON would hide. */
const seen = app('return describe(event)', 'def describe(x):\n    return [type(x).__name__, repr(x)]\n');

const documents: Readonly<Record<string, string>> = {
  'an empty object': '{}',
  'an empty array': '[]',
  null: 'null',
  true: 'true',
  'a string': '"text"',
  'an empty string': '""',
  zero: '0',
  'minus zero': '-0',
  'minus zero as a float': '-0.0',
  'a large integer': '123456789012345678901234567890',
  'an integer of 4300 digits': '1'.repeat(4300),
  'an integer of 4301 digits': '1'.repeat(4301),
  'a float': '3.141592653589793238',
  'a float in exponent form': '1E400',
  'a small float': '5e-324',
  'white space around and within': ' \t\r\n{ "a" :\n[ 1 , 2 ] } \n',
  'non-ASCII': '{"é": "日本語 😀"}',
  'escaped non-ASCII': '"\\u00e9\\ud83d\\ude00"',
  'a lone surrogate': '"\\ud83d"',
  'reversed surrogates': '"\\ude00\\ud83d"',
  'every escape': '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000"',
  'a duplicate key': '{"a": 1, "a": 2, "b": 3}',
  'an empty key': '{"": 1}',
  'nesting of 100': `${'['.repeat(100)}${']'.repeat(100)}`,
};

const malformed: Readonly<Record<string, string | Buffer>> = {
  'an empty body': '',
  'white space only': '  ',
  'an unfinished object': '{"a": ',
  'an unfinished string': '"abc',
  'single quotes': "{'a': 1}",
  'a trailing comma': '[1, 2, ]',
  'extra data': '{} {}',
  'a bare word': 'hello',
  'a leading zero': '01',
  'a hexadecimal number': '0x10',
  'a control character in a string': '"a\u0001b"',
  'an unknown escape': '"\\x41"',
  'a missing colon': '{"a" 1}',
  'a key that is not a string': '{1: 2}',
  'a comment': '[1] // one',
  'bytes that are not UTF-8': Buffer.from([0x22, 0xff, 0xfe, 0x22]),
  'a byte order mark': '\ufeff{}',
  'UTF-16': Buffer.from('{"a": 1}', 'utf16le'),
  NaN: 'NaN',
  infinities: '[Infinity, -Infinity]',
};

const types: Readonly<Record<string, string | null>> = {
  'text/plain': 'text/plain',
  'application/octet-stream': 'application/octet-stream',
  'JSON with a charset': 'application/json; charset=utf-8',
  'JSON in capitals': 'Application/JSON',
  'JSON of a vendor': 'application/vnd.api+json',
};

export const events: readonly Case[] = [
  ...Object.entries(documents).map(([name, body]): Case => ({ name, files: seen, nexts: [event(body)] })),
  ...Object.entries(malformed).map(([name, body]): Case => ({ name, files: seen, nexts: [event(body)] })),
  ...Object.entries(types).map(
    ([name, type]): Case => ({
      name: `content type: ${name}`,
      files: seen,
      nexts: [event('{"é": 1}', { 'Content-Type': type })],
    }),
  ),
  { name: 'content type: none', files: seen, nexts: [event('{}', { 'Content-Type': null })] },
  { name: 'content type: empty', files: seen, nexts: [event('{}', { 'Content-Type': '' })] },
  {
    name: 'bytes that are not text',
    files: seen,
    nexts: [event(Buffer.from([0, 255, 13, 10]), { 'Content-Type': 'image/png' })],
  },
  { name: 'an empty body that is not JSON', files: seen, nexts: [event('', { 'Content-Type': 'text/plain' })] },
  { name: 'a chunked event', files: seen, nexts: [event({ a: ['é'.repeat(50)] }, {}, { chunk: 7 })] },
  { name: 'an empty chunked event', files: seen, nexts: [event('', {}, { chunk: 7 })] },
  {
    name: 'a large event, sized and chunked',
    files: app('return [len(event), event[-1]]'),
    nexts: [
      event(JSON.stringify('x'.repeat(5_000_000))),
      event(JSON.stringify('y'.repeat(5_000_000)), {}, { chunk: 65_536 }),
    ],
  },
  {
    name: 'an event of 200,000 levels',
    files: seen,
    nexts: [event(`${'['.repeat(200_000)}${']'.repeat(200_000)}`)],
  },
  {
    name: 'a large object',
    files: app('return event'),
    nexts: [event(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key ${i}`, [i, i / 7, `é${i}`, null]])))],
  },
];
