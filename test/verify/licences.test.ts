import { expect, test } from 'vitest';
import { stableJson } from '../../build/recipe/canonical.ts';
import type { Component } from '../../build/sbom/model.ts';
import { fileOf, makeTree, mergeTrees } from '../../build/tree/tree.ts';
import { describeLicences, licencesOf } from '../../build/verify/licences.ts';
import { treeSubject } from '../../build/verify/subject.ts';
import { anyProgram, layerAround } from './subjects.ts';

const component = (name: string, more: Partial<Component> = {}): Component => ({
  ref: name,
  role: 'linked',
  name,
  version: '1.0',
  licence: 'MIT',
  purl: `pkg:generic/${name}@1.0`,
  texts: [`share/licenses/${name}.txt`],
  ...more,
});

/** A layer that says it is made of these. */
async function layerOf(components: unknown, files: readonly string[]) {
  const plain = layerAround(anyProgram(), {});
  const entry = plain.entries.get('lang/build.json');
  const record = JSON.parse(Buffer.from(entry?.kind === 'file' ? await entry.read() : '').toString());
  return mergeTrees(
    plain,
    makeTree([
      ['lang/build.json', fileOf(stableJson({ ...record, components }))],
      ...files.map((path) => [path, fileOf('Name: extra\nVersion: 2\n')] as const),
    ]),
  );
}

test('every component with its licence and where the text is; a text that is not there is said to be missing', async () => {
  const unstated = component('old', { role: 'wheel', licenceWords: 'BSD-like', texts: [] });
  const { licence: _licence, version: _version, ...unknown } = unstated;
  const tree = await layerOf(
    [component('zlib'), component('gone'), unknown],
    ['lang/share/licenses/zlib.txt', 'lang/lib/python3.13/site-packages/extra-2.dist-info/METADATA'],
  );
  const licences = await licencesOf(await treeSubject(tree, 'layer.zip'));
  expect(licences.components?.map(({ name, texts, missing }) => [name, texts, missing])).toEqual([
    ['zlib', ['lang/share/licenses/zlib.txt'], []],
    ['gone', [], ['lang/share/licenses/gone.txt']],
    ['old', [], []],
  ]);
  expect(licences.unlisted).toEqual(['extra 2']);
  expect(describeLicences(licences)).toBe(
    [
      'layer.zip: 3 components',
      '  zlib  1.0              MIT         lang/share/licenses/zlib.txt',
      '  gone  1.0              MIT         lang/share/licenses/gone.txt (missing)',
      '  old   version unknown  "BSD-like"  no text in the artifact',
      '  extra 2: in the artifact, but not in a list of components',
    ].join('\n'),
  );
});

test("somebody else's layer, or an older one, has no list", async () => {
  for (const plan of [undefined, {}]) {
    const licences = await licencesOf(await treeSubject(layerAround(anyProgram(), plan), 'theirs.zip'));
    expect(licences).toEqual({ artifact: 'theirs.zip', components: undefined, unlisted: [] });
    expect(describeLicences(licences)).toContain('It has no list of components');
  }
});

test.each([[[{}]], [[null]], ['all of it']])('a list that is none (%j) makes the record none of ours', async (list) => {
  expect((await treeSubject(await layerOf(list, []), 'x.zip')).record).toBeUndefined();
});
