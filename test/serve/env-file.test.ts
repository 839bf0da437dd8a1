import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parseEnvFile, readEnvFile } from '../../build/serve/env-file.ts';
import { remove, scratch } from '../lambda/support/function.ts';

const folder = scratch('env-file');
afterAll(() => remove(folder));

test('reads what docker, Compose and dotenv agree on', async () => {
  const file = join(folder, '.env');
  writeFileSync(
    file,
    [
      '\uFEFF# a comment',
      'PLAIN=value with spaces # and a comment',
      'export EXPORTED = yes',
      'EMPTY=',
      'HASH=a#b',
      "SINGLE='$literal \\n # no comment'",
      'DOUBLE="two\\nlines \\"quoted\\"" # comment',
      'EQUALS=a=b=c',
      '',
    ].join('\r\n'),
  );
  expect(await readEnvFile(file)).toEqual({
    PLAIN: 'value with spaces',
    EXPORTED: 'yes',
    EMPTY: '',
    HASH: 'a#b',
    SINGLE: '$literal \\n # no comment',
    DOUBLE: 'two\nlines "quoted"',
    EQUALS: 'a=b=c',
  });
});

test.each([
  ['A=1\nno variable', /line 2: there is no NAME=value/],
  ['1A=x', /line 1/],
  ['A="open', /line 1: the value's " has no end/],
  ["A='x' y", /something follows it/],
])('refuses %j with its line, and without its value', (text, message) => {
  expect(() => parseEnvFile(text, 'f')).toThrow(message);
  expect(() => parseEnvFile(text, 'f')).toThrow(expect.objectContaining({ code: 'ENV_FILE_INVALID' }));
});

test('a file that is not there', async () => {
  await expect(readEnvFile(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENV_FILE_INVALID' });
});
