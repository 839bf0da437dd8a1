import { expect, test } from 'vitest';
import { prune } from '../../build/tree/prune.ts';
import { fileOf, linkTo, makeTree } from '../../build/tree/tree.ts';

const tree = makeTree([
  ['bin/python3.13', fileOf('program', 0o755)],
  ['bin/idle3.13', fileOf('idle', 0o755)],
  ['lib/python3.13/os.py', fileOf('os')],
  ['lib/python3.13/test/test_os.py', fileOf('test')],
  ['lib/python3.13/test/.hidden', fileOf('1')],
  ['lib/python3.13/json/tests/x.py', fileOf('12')],
  ['lib/python3.13/config-3.13/link.a', linkTo('../x.a')],
]);

const rules = [
  { id: 'tests', patterns: ['lib/python3*/test/**', 'lib/python3*/**/tests/**'], reason: 'nobody runs them' },
  { id: 'programs', patterns: ['bin/!(python3.13)'], reason: 'scripts' },
  { id: 'everything-below-test', patterns: ['lib/python3*/test/**'], reason: 'comes too late' },
  { id: 'static', patterns: ['**/*.a'], reason: 'needed to link only' },
];

test('the ledger says what went, by rule, first match first', () => {
  const { tree: kept, ledger } = prune(tree, rules);
  expect([...kept.entries.keys()]).toEqual(['bin/python3.13', 'lib/python3.13/os.py']);
  expect(ledger.rows).toEqual([
    { rule: 'tests', reason: 'nobody runs them', files: 3, bytes: 7 },
    { rule: 'programs', reason: 'scripts', files: 1, bytes: 4 },
    { rule: 'everything-below-test', reason: 'comes too late', files: 0, bytes: 0 },
    { rule: 'static', reason: 'needed to link only', files: 1, bytes: 6 },
  ]);
  expect(ledger.dropped).toContainEqual({ path: 'lib/python3.13/test/.hidden', bytes: 1, rule: 'tests' });
  expect([ledger.files, ledger.bytes]).toEqual([5, 17]);
});

test('the tree that was pruned is as it was, and no rules change nothing', () => {
  const before = [...tree.entries.keys()];
  prune(tree, rules);
  expect([...tree.entries.keys()]).toEqual(before);
  expect([...prune(tree, []).tree.entries]).toEqual([...tree.entries]);
});
