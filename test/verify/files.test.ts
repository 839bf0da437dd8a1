// The checks that look at files only, each on a layer that has one thing wrong.
import { expect, test } from 'vitest';
import { zipBytes } from '../../build/package/zip.ts';
import { type Entry, fileOf, linkTo, makeTree, mergeTrees } from '../../build/tree/tree.ts';
import { verify } from '../../build/verify/checks.ts';
import { layoutChecks, zipChecks } from '../../build/verify/layout-checks.ts';
import { pycChecks } from '../../build/verify/pyc-checks.ts';
import { openSubject, treeSubject } from '../../build/verify/subject.ts';
import { anyProgram, ctx, hostArch, layerAround, pyc, said } from './subjects.ts';

const program = anyProgram();
const layout = async (entries: [string, Entry][]) => layoutChecks(await treeSubject(makeTree(entries), 'layer.zip'));
const script = (text: string) => fileOf(text, 0o755);

test.each<[string, [string, Entry][], string]>([
  ['a script', [['bootstrap', script('#!/bin/sh\nexec x\n')]], 'pass: bootstrap is a script for /bin/sh.'],
  ['a program', [['bootstrap', fileOf(program, 0o755)]], 'pass: bootstrap is an executable program.'],
  [
    'a link',
    [
      ['bootstrap', linkTo('lang/x')],
      ['lang/x', fileOf(program, 0o755)],
    ],
    'pass: bootstrap (a link to lang/x) is an executable program.',
  ],
  ['a link to nowhere', [['bootstrap', linkTo('lang/y')]], 'fail: bootstrap is a link to lang/y, where nothing is.'],
  [
    'no execute bit',
    [['bootstrap', fileOf('#!/bin/sh\n')]],
    'fail: bootstrap is not executable, so Lambda answers Runtime.InvalidEntrypoint.',
  ],
  [
    'no #! line',
    [['bootstrap', script('exec x\n')]],
    'fail: bootstrap is neither a program nor a script with a #! line.',
  ],
  [
    'CR LF',
    [['bootstrap', script('#!/bin/sh\r\n')]],
    'fail: bootstrap has Windows line endings, so its #! line names no program.',
  ],
  [
    'a lost interpreter',
    [['bootstrap', script('#!/opt/bin/python3\n')]],
    'fail: bootstrap is a script for /opt/bin/python3, which is not in the layer.',
  ],
  [
    'a folder around it',
    [
      ['layer/bootstrap', script('#!/bin/sh\n')],
      ['layer/bin/python3', fileOf(program, 0o755)],
    ],
    'fail: There is no file named bootstrap at the root (there is one at layer/bootstrap), so Lambda answers Runtime.InvalidEntrypoint.',
  ],
])('bootstrap: %s', async (_, entries, expected) => {
  expect(said(await layout(entries), 'layout.bootstrap')).toEqual([expected]);
});

test('links and places that nothing looks for are warnings', async () => {
  const findings = await layout([
    ['bootstrap', script('#!/bin/sh\n')],
    ['lib/folder/x', fileOf('')],
    ['lib/to-folder', linkTo('folder')],
    ['lib/system', linkTo('/usr/share/zoneinfo')],
    ['lib/lost', linkTo('../nowhere')],
    ['nodejs/x', fileOf('')],
  ]);
  expect(said(findings, 'layout.links')).toEqual(['warn: Links lead nowhere: lib/lost -> ../nowhere.']);
  expect(said(findings, 'layout.places')).toEqual([
    'warn: At the root of /opt are names that nothing looks for: nodejs.',
  ]);
});

test('a layer over the limit fails, and names its biggest folders', async () => {
  const big = (size: number) => ({ ...fileOf(''), size });
  const subject = await treeSubject(makeTree([['bootstrap', script('#!/bin/sh\n')]]), 'layer.zip');
  const tree = mergeTrees(subject.tree, makeTree([['lang/lib/x.bin', big(262_144_000)]]));
  expect(said(await layoutChecks({ ...subject, tree }), 'layout.size')).toEqual([
    "fail: It unpacks to 262,144,010 bytes, over Lambda's 262,144,000; the biggest folders: lang/lib (262.1 MB), . (0.0 MB).",
  ]);
});

test('what is neither a runtime nor a Python is not a layer', async () => {
  const tree = makeTree([['python/requests/__init__.py', fileOf('')]]);
  await expect(treeSubject(tree, 'x.zip')).rejects.toMatchObject({ code: 'ARTIFACT_NOT_A_LAYER' });
  await expect(openSubject(Buffer.from('no zip at all'))).rejects.toMatchObject({ code: 'ARTIFACT_NOT_A_LAYER' });
  await expect(openSubject('/nonexistent/layer.zip')).rejects.toMatchObject({ code: 'ARTIFACT_NOT_FOUND' });
});

test('a zip of ours is packed again and comes out the same; a changed one does not', async () => {
  const sound = await zipBytes(layerAround(program, {}));
  const findings = await zipChecks(await openSubject(sound));
  expect(said(findings, 'zip.determinism')[0]).toMatch(/^pass: Packed again it has the same sha256/);
  expect(said(findings, 'zip.dates')).toEqual(['pass: Every date is 1980-01-01 00:00:00.']);
  expect(said(findings, 'zip.modes')).toEqual(['pass: Every member has a mode that lets functions read it.']);

  const row = sound.readUInt32LE(sound.length - 6);
  const patched = (write: (bytes: Buffer) => void) => {
    const copy = Buffer.from(sound);
    write(copy);
    return openSubject(copy);
  };
  const dated = await zipChecks(await patched((bytes) => bytes.writeUInt16LE(0x5a21, row + 14)));
  expect(said(dated, 'zip.determinism')[0]).toMatch(
    /^fail: Packed again it has the sha256 [0-9a-f]{64}, not [0-9a-f]{64}/,
  );
  expect(said(dated, 'zip.dates')[0]).toMatch(/^note: Dates vary \(1980-01-01 00:00:00 to 2025-01-01/);

  const file = sound.indexOf('lang/bin/python3.13', row) - 46;
  const secret = await zipChecks(await patched((bytes) => bytes.writeUInt32LE((0o100700 << 16) >>> 0, file + 38)));
  expect(said(secret, 'zip.modes')).toEqual(['fail: Functions cannot read lang/bin/python3.13 (0700).']);

  const dos = await zipChecks(await patched((bytes) => bytes.writeUInt16LE(20, file + 4)));
  expect(said(dos, 'zip.modes')[0]).toMatch(/^fail: 1 member of the zip without a Unix mode.*lang\/bin\/python3.13/);
});

test('a foreign zip is not packed again', async () => {
  const subject = await openSubject(await zipBytes(layerAround(program, undefined)));
  expect(said(await zipChecks(subject), 'zip.determinism')).toEqual([
    'note: Not packed again: it was not made by make-runtime.',
  ]);
});

test('.pyc files: present, never checked against the source, and of the right interpreter', async () => {
  const lib = 'lang/lib/python3.13';
  const bad: [string, Entry][] = [
    [`${lib}/json/__init__.py`, fileOf('')],
    [`${lib}/re.py`, fileOf('')],
    [`${lib}/__pycache__/re.cpython-313.pyc`, pyc(3571, 0)],
    [`${lib}/abc.py`, fileOf('')],
    [`${lib}/__pycache__/abc.cpython-313.pyc`, pyc(3570, 3)],
    [`${lib}/site-packages/thing.py`, fileOf('')],
    [`${lib}/sourceless.pyc`, pyc(3571, 1)],
  ];
  const good = await treeSubject(layerAround(program, {}), 'layer.zip');
  expect(pycChecks(good, 3571).map(({ level, message }) => `${level}: ${message}`)).toEqual([
    'pass: 1 .pyc file, one for every source.',
    'pass: Every .pyc is unchecked-hash: its source is never read at import.',
    'pass: The magic number is the interpreter’s own: 3571.',
  ]);
  const ours = pycChecks(await treeSubject(layerAround(program, {}, bad), 'layer.zip'), 3571);
  expect(said(ours, 'pyc.present')).toEqual(['fail: 1 source without a .pyc: json/__init__.py.']);
  expect(said(ours, 'pyc.mode')).toEqual([
    `fail: 2 .pyc files will be compiled or checked again: ${lib}/__pycache__/abc.cpython-313.pyc (checked-hash), ${lib}/__pycache__/re.cpython-313.pyc (timestamp).`,
  ]);
  expect(said(ours, 'pyc.magic')[0]).toMatch(/^fail: 1 .pyc file will .*abc.cpython-313.pyc \(3570, not 3571\)/);
  const foreign = pycChecks(await treeSubject(layerAround(program, undefined, bad), 'layer.zip'), undefined);
  expect(foreign.map(({ level }) => level)).toEqual(['warn', 'warn', 'warn']);
});

test('without a sandbox the files are judged all the same, and the verdict says what was not done', async () => {
  const verdict = await verify(await treeSubject(layerAround(program, {}), 'layer.zip'), ctx);
  expect(verdict.arch).toBe(hostArch);
  expect(said(verdict, 'run.skipped')).toEqual(['note: Nothing was run: there is no sandbox to run it in.']);
  expect(verdict.findings.some(({ check }) => check === 'pyc.magic')).toBe(true);
});

test('it can be stopped', async () => {
  const subject = await treeSubject(layerAround(program, {}), 'layer.zip');
  await expect(verify(subject, { ...ctx, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
});
