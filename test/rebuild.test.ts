// What two layers of one plan differ in, and how it is said. A whole rebuild is in test/slow/rebuild.test.ts.
import { expect, test } from 'vitest';
import { describeRebuild, rebuildError, treeDifferences } from '../build/rebuild.ts';
import { type Entry, fileOf, makeTree } from '../build/tree/tree.ts';

const tree = (entries: Record<string, Entry>) => makeTree(Object.entries(entries));
const link = (target: string): Entry => ({ kind: 'link', target });

test('two trees of the same files have no differences, read from wherever', async () => {
  const files = () => tree({ 'a/b': fileOf('text'), c: link('a/b'), run: fileOf('x', 0o755) });
  expect(await treeDifferences(files(), files())).toEqual([]);
});

test('every kind of difference names its file', async () => {
  const one = tree({
    content: fileOf('abcdef'),
    gone: fileOf(''),
    kind: fileOf('target'),
    link: link('here'),
    longer: fileOf('abc'),
    mode: fileOf('x', 0o755),
    same: fileOf('x'),
  });
  const again = tree({
    added: fileOf(''),
    content: fileOf('abcXef'),
    kind: link('target'),
    link: link('there'),
    longer: fileOf('abcd'),
    mode: fileOf('x', 0o644),
    same: fileOf('x'),
  });
  expect(await treeDifferences(one, again)).toEqual([
    'added: only in the new one',
    'content: 6 bytes, 6 in the new one, the first difference at 3',
    'gone: not in the new one',
    'kind: a file, and a link in the new one',
    'link: links to here, and to there in the new one',
    'longer: 3 bytes, 4 in the new one, the first difference at 3',
    'mode: mode 755, and 644 in the new one',
  ]);
});

test('the result for a person, and the error it is', () => {
  const files = [
    { file: 'layer.zip', sha256: 'aa', again: 'bb' },
    { file: 'sbom.cdx.json', sha256: 'cc', again: 'cc' },
  ];
  const differs = { plan: 'p', files, differences: ['lang/x: not in the new one'], same: false };
  expect(describeRebuild(differs)).toBe(
    '✗ layer.zip  aa, and made again bb\n✓ sbom.cdx.json  cc\n  lang/x: not in the new one\n\n✗ plan p gives other bytes',
  );
  expect(rebuildError(differs)).toMatchObject({
    code: 'REBUILD_DIFFERS',
    message: 'Made again from its plan, layer.zip has other bytes.',
    detail: 'lang/x: not in the new one',
  });
  expect(describeRebuild({ ...differs, otherImage: 'q' })).toContain('· image  is of plan q, and was not made again');
  const same = { plan: 'p', files: files.slice(1), differences: [], same: true };
  expect(describeRebuild(same)).toContain('✓ plan p gives these bytes');
  expect(rebuildError(same)).toBeUndefined();
});
