import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exitStatus } from '../../build/lib/errors.ts';

test('every code has an exit status of its own', () => {
  const statuses = Object.values(exitStatus);
  expect(new Set(statuses).size).toBe(statuses.length);
  expect(statuses.every((status) => status > 0 && status < 256)).toBe(true);
});

test('docs/errors.md lists exactly the codes there are', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/errors.md'), 'utf8');
  const rows = [...text.matchAll(/^\| (\d+) \| `(\w+)` \| \S/gm)].map(([, status, code]) => [code, Number(status)]);
  expect(Object.fromEntries(rows)).toEqual(exitStatus);
});
