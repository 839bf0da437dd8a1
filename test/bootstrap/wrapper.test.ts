// AWS_LAMBDA_EXEC_WRAPPER: what wrappers in the field do with the command line they are given.
import { describe, expect, it } from 'vitest';
import { builtRuntimes } from './support/built.ts';
import { json, run } from './support/run.ts';

// The example in AWS's documentation (runtimes-modify): options go before the last argument.
const IMPORTTIME = `#!/bin/bash
args=("$@")
extra_args=("-X" "importtime" -uWerror::DeprecationWarning)
args=("\${args[@]:0:$#-1}" "\${extra_args[@]}" "\${args[@]: -1}")
exec "\${args[@]}"
`;

describe.each(await builtRuntimes())('wrappers on CPython $version', (built) => {
  const app = (expression: string) => ({
    'app.py': `import os, sys\ndef handler(event, context):\n    return ${expression}\n`,
  });
  const wrapped = { AWS_LAMBDA_EXEC_WRAPPER: '{task}/wrapper.sh' };

  it('get an interpreter and a script, and may change the environment', async () => {
    const { posts, stdout } = await run(built, {
      files: {
        ...app('[os.environ["ADDED"], __name__, sys.argv, "MAKE_RUNTIME_IN_WRAPPER" in os.environ]'),
        'other.py': 'from app import handler\n',
        'wrapper.sh':
          '#!/bin/sh\necho $# "$0" "$(basename $1)" "$2"; cd /\nexport ADDED=yes _HANDLER=other.handler\nexec "$@"\n',
      },
      env: wrapped,
    });
    expect(json(posts[0])).toEqual(['yes', 'app', [built.bootstrap], false]);
    expect(stdout).toMatch(new RegExp(`^2 /.*/wrapper\\.sh python${built.version} ${built.bootstrap}\n$`));
  });

  it('may add options of the interpreter before the last argument', async () => {
    const { posts, stderr } = await run(built, {
      files: {
        ...app('[sys.stdout.write_through, sys.warnoptions, sys.argv, __import__("colorsys").__name__]'),
        'wrapper.sh': IMPORTTIME,
      },
      env: wrapped,
    });
    expect(json(posts[0])).toEqual([true, ['error::DeprecationWarning'], [built.bootstrap], 'colorsys']);
    expect(stderr).toMatch(/^import time: .* colorsys$/m);
  });

  it('may hand the command to a program that looks it up and replaces itself, and be seen through sitecustomize', async () => {
    // What opentelemetry-instrument does, and OpenTelemetry's and ADOT's otel-instrument around it.
    const { posts, exchanges } = await run(built, {
      files: {
        ...app('[sys.modules["sitecustomize"].seen, [p[-9:] for p in sys.path[1:3]]]'),
        'opt/python/bin/instrument': [
          'import os, shutil, sys',
          'os.environ["PYTHONPATH"] = os.path.dirname(__file__) + "/auto:" + os.environ["PYTHONPATH"]',
          'program = shutil.which(sys.argv[1])',
          'os.execl(program, program, *sys.argv[2:])',
        ].join('\n'),
        'opt/python/bin/auto/sitecustomize.py':
          'import os, sys\nseen = [os.environ["_HANDLER"], "app" in sys.modules]\n',
        'wrapper.sh': [
          '#!/bin/bash',
          'export PYTHONPATH="$MAKE_RUNTIME_LAYER_ROOT/python:$PYTHONPATH"',
          `exec ${built.python} $MAKE_RUNTIME_LAYER_ROOT/python/bin/instrument "$@"`,
        ].join('\n'),
      },
      env: wrapped,
    });
    expect(json(posts[0])).toEqual([
      ['app.handler', false],
      ['/bin/auto', 'pt/python'],
    ]);
    expect(exchanges[0]?.path).toMatch(/next$/);
  });

  it.each([
    ['starts the bootstrap itself', '#!/bin/sh\nexec "$2"\n'],
    ['does not exec', '#!/bin/sh\n"$@"\n'],
    ['has no #! line', 'exec "$@"\n'],
  ])('that %s is no loop', async (_, script) => {
    const { posts } = await run(built, {
      files: { ...app('"MAKE_RUNTIME_IN_WRAPPER" in os.environ'), 'wrapper.sh': script },
      env: wrapped,
      whenIdle: () => {},
      nexts: [{ status: 500 }],
    });
    expect(posts.length).toBe(0); // it polled, once, and was refused: see the next line
    const served = await run(built, {
      files: { ...app('"MAKE_RUNTIME_IN_WRAPPER" in os.environ'), 'wrapper.sh': script },
      env: wrapped,
      posts: [{ status: 500 }],
    });
    expect(json(served.posts[0])).toBe(false);
    expect(served.exchanges.length).toBe(2);
  });

  it.each([
    ['is missing', '{task}/none', 127, /^\/.*\/none: does not exist\n$/],
    ['is a folder', '{task}', 127, /^\/.*: does not exist\n$/],
    ['is not executable', '{task}/app.py', 126, /^\/.*\/app\.py: is not an executable\n$/],
  ])('that %s ends the process as it does on the managed runtime', async (_, wrapper, status, stdout) => {
    const outcome = await run(built, { files: app('1'), env: { AWS_LAMBDA_EXEC_WRAPPER: wrapper } });
    expect(outcome).toMatchObject({ status, exchanges: [] });
    expect(outcome.stdout).toMatch(stdout);
  });

  it('may not be the runtime itself', async () => {
    const outcome = await run(built, { files: app('1'), env: { AWS_LAMBDA_EXEC_WRAPPER: built.bootstrap } });
    expect(outcome).toMatchObject({
      status: 126,
      stdout: `${built.bootstrap}: is the runtime itself, not a wrapper\n`,
    });
  });

  it('find the handler of an image function where they look for it', async () => {
    const { posts } = await run(built, {
      files: {
        ...app('os.environ["_HANDLER"]'),
        'wrapper.sh': '#!/bin/sh\ntest "$_HANDLER" = app.handler && exec "$@"\n',
      },
      handler: null,
      args: ['app.handler'],
      env: wrapped,
    });
    expect(json(posts[0])).toBe('app.handler');
  });
});
