import { expect, test } from 'vitest';
import { diagnose } from '../../build/compile/diagnose.ts';
import type { Library } from '../../build/recipe/model.ts';

const openssl: Library = {
  name: 'openssl',
  origin: 'system',
  archives: ['libssl.a', 'libcrypto.a'],
  header: 'openssl/ssl.h',
  modules: ['_ssl', '_hashlib'],
  packages: { apt: 'libssl-dev', dnf: 'openssl-devel' },
  licence: 'Apache-2.0',
  reason: 'TLS',
};

const failure = (tail: string[]) =>
  diagnose(
    {
      what: 'Compiling CPython 3.13.5',
      tail,
      step: 'compile',
      log: '/cache/logs/x.log',
      status: 2,
      fallback: 'COMPILE_FAILED',
    },
    [openssl],
  );

test('a missing header names the package, the failing command and the log', () => {
  const error = failure([
    'gcc -c -O3 -o Modules/_ssl.o ../src/Modules/_ssl.c',
    '../src/Modules/_ssl.c:62:10: fatal error: openssl/rsa.h: No such file or directory',
    'make: *** [Makefile:1: Modules/_ssl.o] Error 1',
  ]);
  expect(error.code).toBe('HEADER_MISSING');
  expect(error.message).toBe('The compiler did not find the header openssl/rsa.h.');
  expect(error.remedy).toContain('libssl-dev');
  expect(error.detail).toContain('failing command: gcc -c -O3 -o Modules/_ssl.o');
  expect(error.detail).toContain('full log: /cache/logs/x.log');
});

test('a missing archive names the package', () => {
  const error = failure([
    '/usr/bin/ld: cannot find -lcrypto: No such file or directory',
    'collect2: error: ld returned 1',
  ]);
  expect(error.code).toBe('HEADER_MISSING');
  expect(error.remedy).toContain('libssl-dev');
});

test('a full disk is called that, whatever make says after it', () => {
  expect(failure(['x.c:1: error: cannot write: No space left on device', 'make: *** Error 1']).code).toBe('DISK_FULL');
});

test('a compiler killed for memory', () => {
  const error = failure(['gcc: fatal error: Killed signal terminated program cc1', 'compilation terminated.']);
  expect(error.code).toBe('COMPILE_FAILED');
  expect(error.message).toContain('ran out of memory');
});

test('anything else: step, status, last lines, where the log is', () => {
  const error = failure(['gcc -c bad.c', "bad.c:1:1: error: expected ';' before 'x'"]);
  expect(error.code).toBe('COMPILE_FAILED');
  expect(error.message).toBe('Compiling CPython 3.13.5 failed while compiling (exit status 2).');
  expect(error.detail).toContain("expected ';'");
});
