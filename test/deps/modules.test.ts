import { expect, test } from 'vitest';
import { extensionModules, topLevel } from '../../build/deps/modules.ts';

test.each<[string, string[], string[]]>([
  [
    'a package',
    ['numpy/__init__.py', 'numpy/core/__init__.py', 'numpy/core/x.py', 'numpy-1.dist-info/RECORD'],
    ['numpy'],
  ],
  [
    'single modules, also compiled ones',
    ['six.py', '_cffi_backend.cpython-313t-x86_64-linux-gnu.so'],
    ['_cffi_backend', 'six'],
  ],
  [
    'a namespace',
    ['google/protobuf/__init__.py', 'google/protobuf/any.py', 'google/_upb/_message.abi3.so'],
    ['google.protobuf'],
  ],
  ['a namespace without any package', ['ns/one.py', 'ns/two.so'], ['ns.one', 'ns.two']],
  ['what no import names', ['my-data/x.py', 'a/b.txt', 'tests/__init__.py', 'lib.so.1'], []],
])('%s', (_, paths, modules) => {
  expect(topLevel(paths)).toEqual(modules);
});

test('extension modules by their names', () => {
  const paths = [
    'a/b.cpython-313t-x86_64-linux-gnu.so',
    'a/c.abi3.so',
    'a/d.so',
    'a/lib-x.so',
    'a.libs/libz-1.so.1',
    'a/e.py',
  ];
  expect(extensionModules(paths).map(({ module }) => module)).toEqual(['a.b', 'a.c', 'a.d']);
});
