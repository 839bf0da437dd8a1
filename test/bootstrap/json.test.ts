// The JSON decoder against the standard library's: see bootstrap-src/test/test_json.py. The same with 100,000 documents is
// in test/slow.
import { execa } from 'execa';
import { expect, it } from 'vitest';
import { builtRuntimes, builtSanitized, sources } from './support/built.ts';

const runtimes = await builtRuntimes();
const sanitized = await builtSanitized();
const script = `${sources}/test/test_json.py`;

it.each(runtimes)('on CPython $version it agrees with json.loads', async ({ python }) => {
  const result = await execa(python, [script, '3000'], { reject: false, all: true });
  expect(result.all).toMatch(/^3000 documents, as many broken ones, \d+ by hand: no difference$/);
});

it.skipIf(sanitized === undefined)('it is clean under AddressSanitizer and UBSan', async () => {
  const result = await execa(sanitized!.python, [script, '1000', '2'], {
    reject: false,
    all: true,
    env: { PYTHONMALLOC: 'malloc', ASAN_OPTIONS: 'detect_leaks=0' },
  });
  expect(result.all).toMatch(/no difference$/);
});
