// `make-runtime deps` on a real free-threaded layer: packages from PyPI, a source distribution made here whose extension
// module turns the GIL on, the function zip run by `invoke`. Judges: Info-ZIP, the runtime's own interpreter (does it
// use the bytecode?), pip's view of the installed files.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exitStatus } from '../../build/lib/errors.ts';
import { build, cli, root } from './judges/layer.ts';

let dir: string;
let layer: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'make-runtime-deps-'));
  const given = process.env['MAKE_RUNTIME_TEST_LAYERS']?.split(':').find((path) => path.includes('t-'));
  layer = given ?? (await build('3.13t', join(dir, 'out')));
  const source = join(dir, 'sample-1.0');
  await mkdir(join(source, 'sample'), { recursive: true });
  const module = (name: string, slot: string): string => `#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, NULL}, {NULL}};
static PyModuleDef_Slot slots[] = {${slot} {0, NULL}};
static PyModuleDef def = {PyModuleDef_HEAD_INIT, "${name}", NULL, 0, methods, slots};
PyMODINIT_FUNC PyInit_${name}(void) { return PyModuleDef_Init(&def); }
`;
  await writeFile(join(source, 'silent.c'), module('_silent', ''));
  await writeFile(join(source, 'declared.c'), module('_declared', '{Py_mod_gil, Py_MOD_GIL_NOT_USED},'));
  await writeFile(join(source, 'sample', '__init__.py'), 'from ._silent import answer\n');
  await writeFile(join(source, 'PKG-INFO'), 'Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n');
  await writeFile(
    join(source, 'setup.py'),
    `from setuptools import Extension, setup
setup(name="sample", version="1.0", packages=["sample"], ext_modules=[
    Extension("sample._silent", ["silent.c"]), Extension("sample._declared", ["declared.c"])])
`,
  );
  await mkdir(join(dir, 'index'));
  await execa('tar', ['-czf', join(dir, 'index', 'sample-1.0.tar.gz'), '-C', dir, 'sample-1.0']);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const deps = async (requirements: string, ...args: string[]) => {
  const file = join(dir, 'requirements.txt');
  await writeFile(file, requirements);
  return execa(process.execPath, [cli, 'deps', '-r', file, '--for', layer, '--json', ...args], {
    cwd: root,
    reject: false,
    env: { PIP_FIND_LINKS: `${join(dir, 'index')} ${process.env['PIP_FIND_LINKS'] ?? ''}` },
  });
};

test('a function with packages: pinned by a lock, byte-compiled, the same bytes again, and it runs', async () => {
  const code = join(dir, 'code');
  await mkdir(code);
  await writeFile(
    join(code, 'app.py'),
    'import sys, markupsafe\ndef handler(event, context):\n    return [str(markupsafe.escape("<")), markupsafe.__cached__, sys._is_gil_enabled()]\n',
  );
  const [zip, lock] = [join(dir, 'function.zip'), join(dir, 'locked.txt')];
  const first = await deps(
    'MarkupSafe\nexceptiongroup; python_version < "3.11"\n',
    '--code',
    code,
    '-o',
    zip,
    '--lock',
    lock,
  );
  expect(first.exitCode, first.stderr).toBe(0);
  const made = JSON.parse(first.stdout);
  expect(made.packages).toMatchObject([{ name: 'markupsafe', extensions: 1, gil: { state: 'off' }, failures: [] }]);
  const again = await deps(await readFile(lock, 'utf8'), '--code', code, '-o', join(dir, 'again.zip'));
  expect(JSON.parse(again.stdout)).toMatchObject({ sha256: made.sha256, hashChecked: true });
  await execa('unzip', ['-tq', zip]);
  const unpacked = join(dir, 'unpacked');
  await execa('unzip', ['-q', zip, '-d', unpacked]);
  const { stdout } = await execa(
    process.execPath,
    [cli, 'invoke', layer, '--code', unpacked, '--handler', 'app.handler'],
    { cwd: root },
  );
  expect(JSON.parse(stdout)).toEqual(['&lt;', '/var/task/markupsafe/__pycache__/__init__.cpython-313.pyc', false]);
  const verdict = await execa(process.execPath, [cli, 'verify', layer, '--code', zip, '--json'], { cwd: root });
  const findings = JSON.parse(verdict.stdout).findings as { check: string; level: string }[];
  expect(findings.filter(({ check }) => check.startsWith('code.')).map(({ level }) => level)).toEqual([
    'pass',
    'pass',
    'pass',
  ]);
});

test('what has no wheel is named, compiled when asked to, and told when it turns the GIL on', async () => {
  const zip = join(dir, 'layer.zip');
  const refused = await deps('sample', '-o', zip);
  expect(refused.exitCode).toBe(exitStatus.DEPS_NO_WHEEL);
  expect(refused.stderr).toContain('sample 1.0: no wheel for 3.13t');
  const built = await deps('sample', '--build', '--require-gil-off', '-o', zip);
  expect(built.exitCode, built.stderr).toBe(exitStatus.DEPS_GIL_ENABLED);
  expect(JSON.parse(built.stdout).packages).toMatchObject([
    { name: 'sample', built: true, extensions: 2, gil: { state: 'on', by: ['sample._silent'] } },
  ]);
  expect((await execa('unzip', ['-Z1', zip])).stdout).toContain('python/sample/__pycache__/__init__.cpython-313.pyc');
});

test('packages of PyPI that only have wheels with the GIL', async () => {
  const { exitCode, stderr } = await deps('orjson==3.11.4\nPyYAML==6.0.3\nMarkupSafe', '-o', join(dir, 'none.zip'));
  expect(exitCode).toBe(exitStatus.DEPS_NO_WHEEL);
  const failure = JSON.parse(stderr.trim().split('\n').at(-1) as string);
  expect(failure).toMatchObject({
    message: expect.stringMatching(/^No wheel for CPython 3\.13t on \w+: orjson, pyyaml\.$/),
  });
});
