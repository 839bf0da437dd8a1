// The C code, and what is frozen into it. The C code runs under AddressSanitizer and UBSan: the HTTP client with a
// hostile server in one process (tests in C), the extension module with its encoder in an interpreter that has it
// built in (the policy's unit tests).
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { expect, it } from 'vitest';
import { builtSanitized, frozenTwice, haveCompiler, sources } from './support/built.ts';

it.skipIf(!(await haveCompiler()))('the HTTP client survives a hostile server', { timeout: 110_000 }, async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'runtime-api-'));
  try {
    const program = path.join(folder, 'test');
    const files = ['test/runtime_api_test.c', 'runtime_api.c'].map((file) => path.join(sources, file));
    const sanitize = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-g', '-O1'];
    const warn = ['-std=c11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-Wshadow'];
    await execa('cc', [...warn, ...sanitize, '-o', program, ...files, '-lpthread']);
    const result = await execa(program, { reject: false, all: true });
    expect(result.all).toMatch(/^\d+ passed, 0 failed$/);
    expect(result.exitCode).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});

const sanitized = await builtSanitized();

it.skipIf(sanitized === undefined)('the extension module and its encoder are clean', async () => {
  const result = await execa(sanitized!.python, [`${sources}/test/test_policy.py`], {
    reject: false,
    all: true,
    // malloc, because pymalloc's arenas hide overruns; the interpreter itself leaks by design at exit.
    env: { PYTHONMALLOC: 'malloc', ASAN_OPTIONS: 'detect_leaks=0' },
  });
  expect(result.all).toMatch(/\nOK( \(skipped=\d+\))?$/);
});

const frozen = await frozenTwice();

it.skipIf(frozen === undefined)('freezing the policy gives the same bytes again', () => {
  const [first, second] = frozen!;
  expect(first).toContain('FROZEN("make_runtime.loop"');
  expect(second).toBe(first);
});
