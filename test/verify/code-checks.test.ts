// A function beside its runtime: which of its .pyc files Python would use, and which extension modules it would load.
// python.test.ts has the interpreter's own word on .pyc modes; here are the headers it goes by (PEP 552).
import { expect, test } from 'vitest';
import { type Entry, fileOf, makeTree } from '../../build/tree/tree.ts';
import { codeChecks } from '../../build/verify/code-checks.ts';
import { treeSubject } from '../../build/verify/subject.ts';
import { anyProgram, forMachine, hostArch, layerAround, otherArch, pyc } from './subjects.ts';

const program = anyProgram();
const judge = async (...files: [string, Entry][]): Promise<string[]> => {
  const subject = await treeSubject(layerAround(program, {}), 'layer.zip');
  const findings = await codeChecks({ name: 'function.zip', tree: makeTree(files) }, subject, 3571);
  return findings.map(({ check, level, message }) => `${level} ${check}: ${message}`);
};
const source = (text = 'x = 1\n'): Entry => fileOf(text);

test('bytecode that is used', async () => {
  const said = await judge(['app.py', source()], ['__pycache__/app.cpython-313.pyc', pyc(3571, 1)]);
  expect(said[0]).toBe('pass code.pyc: 1 .pyc file of function.zip, used without a look at the source.');
});

test.each<[string, Entry, string]>([
  ['of another Python', pyc(3531, 1), 'for another Python'],
  ['with a date', pyc(3571, 0), 'older than its source'],
  ['that is checked', pyc(3571, 3), 'checked against a hash'],
  ['cut short', fileOf('abc'), 'for another Python'],
])('bytecode %s is warned about', async (_, bytecode, why) => {
  const said = await judge(['lib/app.py', source()], ['lib/__pycache__/app.cpython-313.pyc', bytecode]);
  expect(said[0]).toMatch(/^warn code.pyc: function.zip: 1 file /);
  expect(said[0]).toContain(why);
  expect(said.filter((line) => line.includes('code.pyc'))).toHaveLength(1);
});

test('a date whose size fits is only as good as the unpacking', async () => {
  const dated = Buffer.alloc(16);
  dated.writeUInt16LE(3571, 0);
  dated.writeUInt32LE('x = 1\n'.length, 12);
  const said = await judge(['app.py', source()], ['__pycache__/app.cpython-313.pyc', fileOf(dated)]);
  expect(said[0]).toContain('used only if the date of its source is kept');
});

test('sources without bytecode are counted once; a second version does no harm', async () => {
  const said = await judge(
    ['app.py', source()],
    ['bare.py', source()],
    ['__pycache__/app.cpython-312.pyc', pyc(3531, 1)],
    ['__pycache__/app.cpython-313.pyc', pyc(3571, 1)],
  );
  expect(said.filter((line) => line.includes('code.pyc'))).toEqual([
    expect.stringContaining('1 file without bytecode, so Lambda compiles or reads more at each cold start: bare.py.'),
  ]);
});

test('extension modules', async () => {
  const library = fileOf(forMachine(program, hostArch));
  const machine = hostArch === 'arm64' ? 'aarch64' : 'x86_64';
  const said = await judge(
    [`a.cpython-312-${machine}-linux-gnu.so`, library],
    [`b.cpython-313t-${machine}-linux-gnu.so`, library],
    ['c.so', fileOf(forMachine(program, otherArch))],
  );
  expect(said).toContainEqual(
    expect.stringMatching(/^fail code.extensions: .* 1 file that \w+ does not load: c\.so\./),
  );
  expect(said).toContainEqual(
    expect.stringMatching(/^warn code.extensions: .* 2 files for another Python than 3\.13, which never looks/),
  );
});

test('both have to fit', async () => {
  const huge: Entry = { kind: 'file', mode: 0o644, size: 262_144_000, read: async () => new Uint8Array() };
  expect(await judge(['data.bin', huge])).toContainEqual(
    expect.stringMatching(/^fail code.size: .*262\.1 MB together/),
  );
});
