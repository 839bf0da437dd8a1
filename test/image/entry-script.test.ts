import { execa } from 'execa';
import { expect, test } from 'vitest';
import { bootstrapPath, emulatorPath, entryScript } from '../../build/image/entry-script.ts';

/** The script with other programs in the places where an image has the runtime and the emulator. */
const run = (
  args: string[],
  { emulator = '/nowhere', env = {} }: { emulator?: string; env?: Record<string, string> },
) =>
  execa('sh', ['-s', ...args], {
    input: entryScript.replaceAll(emulatorPath, emulator).replaceAll(bootstrapPath, '/usr/bin/env'),
    env: { PATH: '/usr/bin:/bin', ...env },
    extendEnv: false,
    reject: false,
  });

test('on Lambda the runtime is started, with the handler in its environment', async () => {
  const { stdout, exitCode } = await run(['app.handler'], { env: { AWS_LAMBDA_RUNTIME_API: '127.0.0.1:9001' } });
  expect(exitCode).toBe(0);
  expect(stdout.split('\n')).toContain('_HANDLER=app.handler');
});

test('elsewhere the emulator is, and told what to start', async () => {
  const { stdout } = await run(['a.b c'], { emulator: '/bin/echo' });
  expect(stdout).toBe('/usr/bin/env');
});

test.each([[[]], [['a.b', 'c']]])('the handler is the only argument: %j', async (args) => {
  const { stderr, exitCode } = await run(args, { emulator: '/bin/echo' });
  expect(exitCode).toBe(142);
  expect(stderr).toContain('the only argument must be the handler');
});

test('neither Lambda nor an emulator', async () => {
  const { stderr, exitCode } = await run(['a.b'], {});
  expect(exitCode).toBe(127);
  expect(stderr).toContain('AWS_LAMBDA_RUNTIME_API is not set');
});
