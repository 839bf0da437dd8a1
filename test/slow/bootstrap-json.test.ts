// 100,000 random documents and as many broken ones through the JSON decoder and json.loads, on every CPython that is here.
import { execa } from 'execa';
import { expect, it } from 'vitest';
import { builtRuntimes, sources } from '../bootstrap/support/built.ts';

it.each(await builtRuntimes())('on CPython $version the decoder agrees with json.loads', async ({ python }) => {
  const seed = String(Date.now() % 1_000_000); // another 100,000 each time; the failure names the document
  const result = await execa(python, [`${sources}/test/test_json.py`, '100000', seed], { reject: false, all: true });
  expect(result.all).toMatch(/^100000 documents, as many broken ones, \d+ by hand: no difference$/);
});
