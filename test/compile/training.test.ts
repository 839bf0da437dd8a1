// The training program must run, silently, on whatever CPython is being trained: a failure there fails a release build.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const program = join(import.meta.dirname, '..', '..', 'recipes', 'training', 'function.py');

test.runIf(existsSync('/usr/bin/python3'))('the training program ends well and prints nothing', () => {
  expect(execFileSync('/usr/bin/python3', ['-B', '-W', 'error', program, '1'], { encoding: 'utf8' })).toBe('');
});
