// What Lambda would refuse in a function's configuration is refused here.
import { expect, test } from 'vitest';
import { checkUserEnv } from '../../build/lambda/function-env.ts';

test('ordinary variables, overridable ones and credentials are fine', () => {
  checkUserEnv({ GREETING: 'hi', TZ: ':UTC', LANG: 'C', PYTHONPATH: '/x', AWS_ACCESS_KEY_ID: 'a', AWS_REGION: 'b' });
  checkUserEnv({ AA: 'x'.repeat(4094), AWS_SESSION_TOKEN: 'x'.repeat(2000) });
});

test.each([
  [{ _HANDLER: 'a.b' }, 'Lambda reserves _HANDLER'],
  [{ AWS_LAMBDA_RUNTIME_API: 'x', LAMBDA_TASK_ROOT: 'y' }, 'Lambda reserves AWS_LAMBDA_RUNTIME_API, LAMBDA_TASK_ROOT'],
  [{ '1A': 'x' }, '"1A" is not a name'],
  [{ 'A-B': 'x' }, '"A-B" is not a name'],
  [{ A: 'x' }, '"A" is not a name'],
  [{ _A: 'x' }, '"_A" is not a name'],
  [{ NUL: 'a\0b' }, 'NUL character'],
  [{ AA: 'ü'.repeat(2048) }, 'take 4098 bytes'],
])('%j is refused', (env, message) => {
  expect(() => checkUserEnv(env)).toThrow(message);
});
