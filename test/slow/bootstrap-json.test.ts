// 100,000 random documents and as many broken ones through the JSON decoder and json.loads, and JSONTestSuite's documents
// (github.com/nst/JSONTestSuite), on every CPython that is here.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, describe, expect, it } from 'vitest';
import { builtRuntimes, sources } from '../bootstrap/support/built.ts';
import { jsonTestSuite } from './judges/json-test-suite.ts';

const runtimes = await builtRuntimes();
const script = `${sources}/test/test_json.py`;

it.each(runtimes)('on CPython $version the decoder agrees with json.loads', async ({ python }) => {
  const seed = String(Date.now() % 1_000_000); // another 100,000 each time; the failure names the document
  const result = await execa(python, [script, '100000', seed], { reject: false, all: true });
  expect(result.all).toMatch(/^100000 documents, as many broken ones, \d+ by hand: no difference$/);
});

describe('JSONTestSuite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'json-test-suite-'));
  afterAll(() => rm(folder, { recursive: true }));
  const suite = await jsonTestSuite(folder);
  if ('missing' in suite) return it('its categories', ({ skip }) => skip(suite.missing));
  const documents = join(folder, 'documents');
  await mkdir(documents);
  for (const [name, content] of suite.documents) await writeFile(join(documents, name), content);

  it.each(runtimes)('on CPython $version its categories hold', async ({ python }) => {
    const result = await execa(python, [script, '--suite', documents], { reject: false, all: true });
    expect(result.all).toBe('95 accepted, 188 refused, 35 as json does it');
  });
});
