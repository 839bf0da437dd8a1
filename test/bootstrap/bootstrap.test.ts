// The whole bootstrap as Lambda starts it: real process, real interpreter, scripted Runtime API.
// Every CPython of this machine that can be linked against is built once and goes through all of it.
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { builtRuntimes, haveCompiler, sources } from './support/built.ts';
import { json, run } from './support/run.ts';
import { event } from './support/scripted-api.ts';

const runtimes = await builtRuntimes();

it.skipIf(!(await haveCompiler()))('a CPython with headers and library is here to build against', () => {
  expect(runtimes.length).toBeGreaterThan(0);
});

const echo = { 'app.py': 'def handler(event, context):\n    return event\n' };

describe.each(runtimes)('on CPython $version', (built) => {
  it('passes the unit tests of its policy', async () => {
    const result = await execa(built.python, [`${sources}/test/test_policy.py`], { reject: false, all: true });
    expect(result.all).toMatch(/\nOK( \(skipped=\d+\))?$/);
  });

  it('is an ordinary python by any other name, to a child process too', async () => {
    const code = 'import subprocess, sys; print(subprocess.check_output([sys.executable, "-c", "print(6 * 7)"]))';
    expect((await execa(built.python, ['-c', code])).stdout).toBe("b'42\\n'");
  });

  describe('events and results', () => {
    it('keeps one connection for many invocations and echoes the invocation id exactly when it got one', async () => {
      const { posts, exchanges, signal } = await run(built, {
        files: echo,
        nexts: [
          event({ a: ['é', 1.5, null] }, { 'Lambda-Runtime-Invocation-Id': 'attempt-7' }),
          event([1], { 'Lambda-Runtime-Aws-Request-Id': 'request-2', 'Lambda-Runtime-Invocation-Id': '' }),
          event('{"chunked": true}', {}, { chunk: 5 }),
          event({ drip: true }, {}, { drip: 1 }),
        ],
      });
      expect(posts.map((post) => post.path)).toEqual([
        '/2018-06-01/runtime/invocation/request-1/response',
        '/2018-06-01/runtime/invocation/request-2/response',
        '/2018-06-01/runtime/invocation/request-1/response',
        '/2018-06-01/runtime/invocation/request-1/response',
      ]);
      expect(posts.map(json)).toEqual([{ a: ['é', 1.5, null] }, [1], { chunked: true }, { drip: true }]);
      expect(posts[0]?.body.toString()).toBe(
        built.minor < 12 ? '{"a": ["\\u00e9", 1.5, null]}' : '{"a": ["é", 1.5, null]}',
      );
      expect(posts.map((post) => post.headers['lambda-runtime-invocation-id'])).toEqual([
        'attempt-7',
        undefined,
        undefined,
        undefined,
      ]);
      expect(posts[0]?.headers['content-type']).toBe('application/json');
      expect(posts[0]?.headers['user-agent']).toMatch(/^make-runtime-python\/3\.\d+\.\d+$/);
      expect(new Set(exchanges.map((exchange) => exchange.connection))).toEqual(new Set([1]));
      expect(signal).toBe('SIGKILL'); // it was still waiting
    });

    it('percent-encodes in a path what may not stand in it: response, error and stream', async () => {
      const id = "a/b?c#d e%2F\u00e9:'+=&;@[]~._-Z9";
      const headers = { 'Lambda-Runtime-Aws-Request-Id': id };
      const { posts } = await run(built, {
        files: {
          'app.py': [
            'def handler(event, context):',
            '    if event == 1: raise ValueError("x")',
            '    return context.aws_request_id if event == 0 else iter_(event)',
            'def iter_(event): yield "piece"',
          ].join('\n'),
        },
        nexts: [event(0, headers), event(1, headers), event(2, headers)],
      });
      const segment = 'a%2Fb%3Fc%23d%20e%252F%C3%A9%3A%27%2B%3D%26%3B%40%5B%5D~._-Z9';
      expect(decodeURIComponent(segment)).toBe(id);
      expect(posts.map(({ path }) => path)).toEqual(
        ['response', 'error', 'response'].map((kind) => `/2018-06-01/runtime/invocation/${segment}/${kind}`),
      );
      expect(json(posts[0])).toBe(id);
      expect(json(posts[1])).toMatchObject({ requestId: id });
      expect(posts[2]?.headers['transfer-encoding']).toBe('chunked');
    });

    it('hands over raw bytes, and takes bytes, named tuples, Decimal and NaN', async () => {
      const { posts } = await run(built, {
        files: {
          'app.py': [
            'import collections, decimal',
            'P = collections.namedtuple("P", "x y")',
            'def handler(event, context):',
            '    if isinstance(event, bytes):',
            '        return event[::-1]',
            '    return [P(1, 2), decimal.Decimal("1.10"), decimal.Decimal("NaN"), event]',
          ].join('\n'),
        },
        nexts: [event('abc', { 'Content-Type': 'text/plain' }), event('[NaN, -Infinity]')],
      });
      expect(posts[0]?.body.toString()).toBe('cba');
      expect(posts[0]?.headers['content-type']).toBe('application/unknown');
      expect(posts[1]?.body.toString()).toBe('[{"x": 1, "y": 2}, 1.10, NaN, [NaN, -Infinity]]');
    });

    it('carries 6 MB in both directions', async () => {
      const big = JSON.stringify('x'.repeat(6_000_000));
      const { posts } = await run(built, { files: echo, nexts: [event(big), event(big, {}, { chunk: 100_000 })] });
      expect(posts.map((post) => post.body.equals(Buffer.from(big)))).toEqual([true, true]);
    });

    it('sets and unsets the trace id, whether os is imported or not', async () => {
      const traced = { 'Lambda-Runtime-Trace-Id': 'Root=1;Sampled=1' };
      const files = {
        'app.py': [
          'import sys',
          'early = "os" in sys.modules',
          'def handler(event, context):',
          '    import os, subprocess',
          '    name = "_X_AMZN_TRACE_ID"',
          '    child = subprocess.check_output(["sh", "-c", "echo $" + name], text=True).strip()',
          '    return [early, os.environ.get(name), child]',
        ].join('\n'),
      };
      const { posts } = await run(built, {
        files,
        nexts: [event({}, traced), event({}), event({}, { 'Lambda-Runtime-Trace-Id': '' })],
      });
      expect(posts.map(json)).toEqual([
        [false, 'Root=1;Sampled=1', 'Root=1;Sampled=1'],
        [false, null, ''],
        [false, null, ''],
      ]);
    });

    it('gives the managed LambdaContext', async () => {
      const { posts, stdout } = await run(built, {
        files: {
          'app.py': [
            'def handler(event, context):',
            '    context.log("logged\\n")',
            '    c = context.client_context',
            '    left = context.get_remaining_time_in_millis()',
            '    return [repr(context), type(left).__name__, left > 0, c and c.client.app_title, context.w3c()]',
          ].join('\n'),
        },
        nexts: [
          event(
            {},
            {
              'Lambda-Runtime-Client-Context':
                '{"client": {"app_title": "é"}, "custom": {}, "w3c": {"traceparent": "00"}}',
              'Lambda-Runtime-Cognito-Identity': '{"cognitoIdentityId": "id", "cognitoIdentityPoolId": "pool"}',
              'Lambda-Runtime-Aws-Tenant-Id': 'tenant',
            },
          ),
          event({}, { 'Lambda-Runtime-Client-Context': '' }),
        ],
      });
      const arn = 'arn:aws:lambda:eu-west-1:123456789012:function:f';
      const common =
        'LambdaContext([aws_request_id=request-1,log_group_name=/aws/lambda/f,log_stream_name=stream,' +
        `function_name=f,memory_limit_in_mb=128,function_version=$LATEST,invoked_function_arn=${arn},`;
      const client =
        'Client([installation_id=None,app_title=é,app_version_name=None,app_version_code=None,app_package_name=None])';
      expect(json(posts[0])).toEqual([
        `${common}client_context=ClientContext([custom={},env=None,client=${client}]),` +
          'identity=CognitoIdentity([cognito_identity_id=id,cognito_identity_pool_id=pool]),tenant_id=tenant])',
        'int',
        true,
        'é',
        { traceparent: '00' },
      ]);
      expect(json(posts[1])).toEqual([
        `${common}client_context=None,` +
          'identity=CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None]),tenant_id=None])',
        'int',
        true,
        null,
        {},
      ]);
      expect(stdout).toBe('logged\nlogged\n');
    });
  });

  describe('errors of an invocation', () => {
    it('reports what the handler raised, logs it, and goes on', async () => {
      const { posts, stdout } = await run(built, {
        files: {
          'app.py': [
            'def inner(event):',
            '    raise ValueError("né")',
            'def handler(event, context):',
            '    if event: return event',
            '    inner(event)',
          ].join('\n'),
        },
        nexts: [event(0, { 'Lambda-Runtime-Invocation-Id': 'attempt' }), event(1)],
      });
      expect(posts.map((post) => post.path.split('/').pop())).toEqual(['error', 'response']);
      const error = json(posts[0]) as { stackTrace: string[] };
      expect(Object.keys(error)).toEqual(['errorMessage', 'errorType', 'requestId', 'stackTrace']);
      expect(error).toMatchObject({ errorMessage: 'né', errorType: 'ValueError', requestId: 'request-1' });
      expect(error.stackTrace.map((line) => line.replace(/".*task/, '"'))).toEqual([
        '  File "/app.py", line 5, in handler\n    inner(event)\n',
        '  File "/app.py", line 2, in inner\n    raise ValueError("né")\n',
      ]);
      expect(posts[0]?.headers).toMatchObject({
        'content-type': 'application/json',
        'lambda-runtime-invocation-id': 'attempt',
      });
      expect(posts[0]?.headers['lambda-runtime-function-error-type']).toBeUndefined(); // as the managed client
      const cause = JSON.parse(posts[0]?.headers['lambda-runtime-function-xray-error-cause'] ?? '');
      expect(cause).toMatchObject({
        working_directory: expect.stringMatching(/task$/),
        exceptions: [
          {
            message: 'né',
            type: 'ValueError',
            stack: [
              { label: 'handler', line: 5 },
              { label: 'inner', line: 2 },
            ],
          },
        ],
        paths: [expect.stringMatching(/app\.py$/)],
      });
      expect(stdout.replace(/"\/.*?task/g, '"')).toBe(
        '[ERROR] ValueError: né\rTraceback (most recent call last):\r' +
          '\u00a0\u00a0File "/app.py", line 5, in handler\r\u00a0\u00a0\u00a0\u00a0inner(event)\r' +
          '\u00a0\u00a0File "/app.py", line 2, in inner\r\u00a0\u00a0\u00a0\u00a0raise ValueError("né")\n',
      );
    });

    it('reports what it cannot read or write itself', async () => {
      const { posts } = await run(built, {
        files: {
          'app.py': [
            'def handler(event, context):',
            '    if event == 1: return object()',
            '    if event == 2: return iter([])',
            '    if event == 3: return "\\ud800"',
          ].join('\n'),
        },
        nexts: [
          event('{"a":1} x'),
          event(''),
          event(1),
          event(2),
          event({}, { 'Lambda-Runtime-Client-Context': '{' }),
          event({}, { 'Lambda-Runtime-Cognito-Identity': '[' }),
          event(3),
        ],
      });
      const errors = posts.map(json) as { errorType: string; errorMessage: string; stackTrace: string[] }[];
      expect(errors.slice(0, 6).map(({ errorType, errorMessage }) => `${errorType} ${errorMessage}`)).toEqual([
        'Runtime.UnmarshalError Unable to unmarshal input: Extra data: line 1 column 9 (char 8)',
        'Runtime.UnmarshalError Unable to unmarshal input: Expecting value: line 1 column 1 (char 0)',
        'Runtime.MarshalError Unable to marshal response: Object of type object is not JSON serializable',
        'Runtime.MarshalError Unable to marshal response: Object of type list_iterator is not JSON serializable',
        expect.stringMatching(/^Runtime.LambdaContextUnmarshalError Unable to parse Client Context JSON: Expecting/),
        expect.stringMatching(/^Runtime.LambdaContextUnmarshalError Unable to parse Cognito Identity JSON: Expecting/),
      ]);
      expect(errors.slice(0, 6).every((error) => error.stackTrace.length === 0)).toBe(true);
      expect(posts[0]?.headers['lambda-runtime-function-xray-error-cause']).toContain('"LambdaValidationError"');
      // A lone surrogate is JSON when escaped and has no UTF-8.
      if (built.minor < 12) expect(posts[6]?.body.toString()).toBe('"\\ud800"');
      else expect(errors[6]?.errorMessage).toMatch(/^Unable to marshal response: 'utf-8' codec can't encode/);
    });
  });

  describe('errors of the init phase', () => {
    const cases = [
      [
        'no dot',
        'app',
        'Runtime.MalformedHandlerName',
        "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
      ],
      [
        'no module',
        'nope.handler',
        'Runtime.ImportModuleError',
        "Unable to import module 'nope': No module named 'nope'",
      ],
      ['no function', 'app.nope', 'Runtime.HandlerNotFound', "Handler 'nope' missing on module 'app'"],
      ['a built-in', 'sys.exit', 'Runtime.BuiltInModuleConflict', 'Cannot use built-in module sys as a handler module'],
    ] as const;
    it.each(cases)('%s', async (_, handler, errorType, errorMessage) => {
      const { posts, exchanges, status, stdout } = await run(built, { files: echo, handler });
      expect(exchanges.length).toBe(1);
      expect(posts[0]?.path).toBe('/2018-06-01/runtime/init/error');
      expect(posts[0]?.headers['lambda-runtime-function-error-type']).toBe(errorType);
      expect(json(posts[0])).toEqual({ errorMessage, errorType, requestId: '', stackTrace: [] });
      expect(status).toBe(1);
      expect(stdout).toMatch(/^\[WARNING\]\t[-0-9T:.]+Z\t\tLAMBDA_WARNING: Unhandled exception\. .*\r\n/);
      expect(stdout).toContain(`[ERROR] ${errorType}: ${errorMessage}\rTraceback (most recent call last):\n`);
    });

    it('a syntax error', async () => {
      const { posts, status } = await run(built, { files: { 'app.py': 'x = 1\ndef f(:\n  pass\n' } });
      const error = json(posts[0]) as { errorMessage: string; errorType: string; stackTrace: string[] };
      expect(error.errorType).toBe('Runtime.UserCodeSyntaxError');
      expect(error.errorMessage).toMatch(/^Syntax error in module 'app': invalid syntax \(app\.py, line 2\)$/);
      expect(error.stackTrace[0]).toMatch(/^ {2}File "\/.*\/app\.py" Line 2\n {4}def f\(:\n$/);
      expect(status).toBe(1);
    });

    it('an exception while importing', async () => {
      const { posts, status } = await run(built, {
        files: { 'app.py': 'import other\n', 'other.py': 'class Šok(Exception): pass\nraise Šok("x")\n' },
      });
      const error = json(posts[0]) as { stackTrace: string[] };
      expect(error).toMatchObject({ errorMessage: 'x', errorType: 'Šok', requestId: '' });
      expect(error.stackTrace.at(-1)).toMatch(/other\.py", line 2, in <module>\n {4}raise Šok\("x"\)\n$/);
      expect(error.stackTrace.join('')).not.toContain('make_runtime');
      expect(posts[0]?.headers['lambda-runtime-function-error-type']).toBe('\\u0160ok');
      expect(status).toBe(1);
    });

    it('exits with status 1 even when nobody takes the report', async () => {
      const { status, stderr } = await run(built, { files: {}, posts: [{ status: 403, body: '{}' }] });
      expect(status).toBe(1);
      expect(stderr).toContain('403');
    });

    it('says what is missing when it was not started by Lambda', async () => {
      const noHandler = await run(built, { files: echo, handler: null });
      expect(noHandler).toMatchObject({ status: 1, exchanges: [] });
      expect(noHandler.stderr).toContain('ValueError: Handler not set');
      const nobody = await run(built, { files: echo, env: { AWS_LAMBDA_RUNTIME_API: '127.0.0.1:1' } });
      expect(nobody.status).toBe(1);
      expect(nobody.stderr).toContain('cannot connect to 127.0.0.1:1');
    });
  });

  describe('answers of the Runtime API', () => {
    it('goes on after 400, 410 and 413, without posting an error', async () => {
      const { posts, stderr, signal } = await run(built, {
        files: echo,
        nexts: [event(1), event(2), event(3), event(4)],
        posts: [
          { status: 400, body: '{"errorType":"InvalidRequestID"}' },
          { status: 413, body: 'big' },
          { status: 410 },
        ],
      });
      expect(posts.map((post) => post.path.split('/').pop())).toEqual(['response', 'response', 'response', 'response']);
      expect(stderr).toContain('status 400, {"errorType":"InvalidRequestID"}');
      expect(stderr).toContain('status 413');
      expect(signal).toBe('SIGKILL');
    });

    it.each([403, 500])('exits after %i', async (refusal) => {
      const { exchanges, status } = await run(built, {
        files: echo,
        posts: [{ status: refusal }],
        nexts: [event(1), event(2)],
      });
      expect(exchanges.length).toBe(2);
      expect(status).toBe(1);
    });

    it('exits when next is refused', async () => {
      const { status, stderr } = await run(built, { files: echo, nexts: [event({}, {}, { status: 500 })] });
      expect(status).toBe(1);
      expect(stderr).toContain('LAMBDA_RUNTIME Failed to get next invocation: status 500');
    });

    it('leaves out the X-Ray cause when the headers are too large for the server', async () => {
      const { posts } = await run(built, {
        files: { 'app.py': 'def handler(event, context):\n    raise ValueError("x" * 300000)\n' },
        posts: [{ status: 431 }],
      });
      expect(posts.map((post) => 'lambda-runtime-function-xray-error-cause' in post.headers)).toEqual([true, false]);
      expect((posts[0]?.headers['lambda-runtime-function-xray-error-cause'] ?? '').length).toBeLessThan(65_536);
      expect((json(posts[1]) as { errorMessage: string }).errorMessage.length).toBe(300_000);
    });

    it('replaces an idle connection that was dropped', async () => {
      const { posts, exchanges } = await run(built, {
        files: echo,
        nexts: [event(1, {}, { close: 'after' }), event(2), { close: 'instead' }, event(3)],
      });
      // The second GET of connection 2 was dropped and asked again on 3: its event is not delivered twice.
      expect(posts.map(json)).toEqual([1, 2, 3]);
      expect(exchanges.map((exchange) => exchange.connection)).toEqual([1, 2, 2, 2, 2, 3, 3, 3]);
    });
  });

  describe('the end of the process', () => {
    it.each([
      ['sys.exit(3)', 3, ''],
      ['sys.exit("bye")', 1, 'bye\n'],
      ['exit()', 0, ''],
      ['os._exit(7)', 7, ''],
    ])('%s', async (statement, expected, stderr) => {
      const files = {
        'app.py': `import os, sys\ndef handler(event, context):\n    print("last words")\n    ${statement}\n`,
      };
      const outcome = await run(built, { files });
      expect(outcome).toMatchObject({ status: expected, posts: [], stderr, stdout: 'last words\n' });
    });

    it('dies of SIGINT after KeyboardInterrupt, and with 1 after another BaseException', async () => {
      const app = (name: string) => ({ 'app.py': `def handler(event, context):\n    raise ${name}\n` });
      expect(await run(built, { files: app('KeyboardInterrupt') })).toMatchObject({ signal: 'SIGINT', posts: [] });
      const other = await run(built, { files: app('BaseException("odd")') });
      expect(other).toMatchObject({ status: 1, posts: [] });
      expect(other.stderr).toContain('BaseException: odd');
    });

    it('runs a SIGTERM handler while it waits for next', async () => {
      const files = {
        'app.py': [
          'import signal, sys',
          'seen = []',
          'def stop(number, frame):',
          '    print("closing", flush=True)',
          '    if seen: sys.exit(0)',
          '    seen.append(number)',
          'signal.signal(signal.SIGTERM, stop)',
          'def handler(event, context): return event',
        ].join('\n'),
      };
      const outcome = await run(built, {
        files,
        nexts: [event(1)],
        whenIdle: async (pid) => {
          for (let i = 0; i < 2; i++) {
            await new Promise((resolve) => setTimeout(resolve, 60));
            process.kill(pid, 'SIGTERM');
          }
        },
      });
      expect(outcome).toMatchObject({ stdout: 'closing\nclosing\n', status: 0, signal: null });
    });

    it('is terminated by SIGTERM when there is no handler for it', async () => {
      const outcome = await run(built, { files: echo, whenIdle: (pid) => void process.kill(pid, 'SIGTERM') });
      expect(outcome.signal).toBe('SIGTERM');
    });
  });

  describe('the interpreter it starts', () => {
    const tell = (expression: string) => ({
      'app.py': `import sys\ndef handler(event, context):\n    return ${expression}\n`,
    });

    it('has the search path of the managed runtime', async () => {
      const plain = built.version.replace('t', '');
      const show = '[p.replace(sys.path[0][:-5], "").replace(sys.prefix, "HOME") for p in sys.path]';
      const layers = [
        ...(built.version === plain ? [] : [`/opt/python/lib/python${built.version}/site-packages`]),
        `/opt/python/lib/python${plain}/site-packages`,
        '/opt/python',
      ];
      const stdlib = ['', '/lib-dynload', '/site-packages'].map((end) => `HOME/lib/python${built.version}${end}`);
      const { posts } = await run(built, { files: tell(show) });
      expect(json(posts[0])).toEqual(['/task', ...layers, ...stdlib]);
      const given = await run(built, { files: tell(show), env: { PYTHONPATH: '/a:/b' } });
      expect(json(given.posts[0])).toEqual(['/task', '/a', '/b', ...stdlib]);
    });

    it('finds layers, prefers the function, and processes .pth files', async () => {
      const plain = built.version.replace('t', '');
      const { posts } = await run(built, {
        files: {
          'app.py': 'import a, b, c, d\ndef handler(event, context):\n    return [a.x, b.x, c.x, d.x]\n',
          'a.py': 'x = "task"',
          'extra.pth': 'more\n',
          'more/d.py': 'x = "pth"',
          'opt/python/a.py': 'x = "layer"',
          'opt/python/b.py': 'x = "layer"',
          [`opt/python/lib/python${plain}/site-packages/b.py`]: 'x = "site"',
          [`opt/python/lib/python${plain}/site-packages/e.pth`]:
            'import sys; sys.modules["c"] = type(sys)("c"); sys.modules["c"].x = "import"\n',
        },
      });
      expect(json(posts[0])).toEqual(['task', 'site', 'import', 'pth']);
    });

    it('imports little before the handler, and everything after', async () => {
      const names = [
        'os',
        'site',
        'logging',
        'json',
        're',
        'traceback',
        'typing',
        'collections',
        'threading',
        '_socket',
        'make_runtime.sink',
        'make_runtime.log',
        'make_runtime.fault',
        'codecs',
      ];
      const { posts } = await run(built, {
        files: {
          'app.py': [
            'import sys',
            `before = [name for name in ${JSON.stringify(names)} if name in sys.modules]`,
            'def handler(event, context):',
            '    import site, json, encodings, os',
            '    "x".encode("cp1252"), b"xy".decode("utf-16")',
            '    return [before, bool(os.__file__), bool(encodings.__path__), sys.argv[0][-9:], sys.flags.dont_write_bytecode]',
          ].join('\n'),
        },
      });
      expect(json(posts[0])).toEqual([['codecs'], true, true, 'bootstrap', 1]);
    });

    it('compiles source as the builtin does, without making the types of syntax trees for it', async () => {
      const sources = [
        '# coding: latin-1\nx = "\\u00e9"',
        'x = "\\u20ac"',
        'def broken(:\n',
        'x = 1\\0',
        '# coding: nonsense\n',
        'x = "unterminated',
        'from __future__ import annotations\nx: y = 1',
        'assert False',
      ];
      const { posts } = await run(built, {
        files: {
          'app.py': [
            'trees = [kind.__name__ for kind in object.__subclasses__() if kind.__name__ == "AST"]',
            'import _frozen_importlib_external as importer, builtins, sys, warnings',
            `sources = [text.encode("latin-1") if "latin-1" in text else text.encode() for text in [${sources.map((text) => JSON.stringify(text).replaceAll('\\\\', '\\')).join(', ')}]]`,
            'events = []',
            'sys.addaudithook(lambda event, values: events.append(values) if event == "compile" else None)',
            'def outcome(compiler, source, **options):',
            '    events.clear()',
            '    try:',
            '        code = compiler(source, "/var/task/x.py", "exec", **options)',
            '        return code.co_code, code.co_flags, list(map(str, code.co_consts)), code.co_filename, list(events)',
            '    except Exception as error:',
            '        return type(error), error.args, list(events)',
            'def handler(event, context):',
            '    different = []',
            '    for source in sources:',
            '        for options in {"dont_inherit": True, "optimize": -1}, {"dont_inherit": True, "optimize": 1}, {}:',
            '            ours, theirs = (outcome(c, source, **options) for c in (importer.compile, builtins.compile))',
            '            if ours != theirs: different.append([repr(source), options, repr(ours), repr(theirs)])',
            '    return [trees, len(sources), different]',
          ].join('\n'),
        },
      });
      expect(json(posts[0])).toEqual([[], sources.length, []]);
    });

    it('is found again by child processes', async () => {
      const { posts } = await run(built, {
        files: {
          'app.py': [
            'import multiprocessing, subprocess, sys',
            'def work(pipe): pipe.send(6 * 7)',
            'def handler(event, context):',
            '    spawn = multiprocessing.get_context("spawn")',
            '    mine, theirs = spawn.Pipe()',
            '    child = spawn.Process(target=work, args=(theirs,))',
            '    child.start()',
            '    number = mine.recv()',
            '    child.join()',
            '    return [number, subprocess.check_output([sys.executable, "-c", "print(1)"], text=True)]',
          ].join('\n'),
        },
      });
      expect(json(posts[0])).toEqual([42, '1\n']);
    });

    it.each([
      ['LANG without its locale', { LANG: 'xx_XX.UTF-8' }],
      ['no LANG', { LANG: '' }],
      ['the C locale', { LC_ALL: 'C' }],
    ])('speaks UTF-8 with %s', async (_, env) => {
      const files = {
        'app.py': [
          'import sys, os',
          'def handler(event, context):',
          '    print("žluť 😀")',
          '    open("/dev/null", "w").write("é")',
          '    return [sys.stdout.encoding, sys.getfilesystemencoding(), os.environ["VALUE"], os.fsencode("é").hex()]',
        ].join('\n'),
      };
      const { posts, stdout } = await run(built, { files, env: { ...env, VALUE: 'příliš' } });
      expect(json(posts[0])).toEqual(['utf-8', 'utf-8', 'příliš', 'c3a9']);
      expect(stdout).toBe('žluť 😀\n');
    });

    it('obeys the switches of the environment, but for those that would lead it astray', async () => {
      const { posts, stderr } = await run(built, {
        files: {
          'app.py': [
            'import sys, warnings, faulthandler',
            'def handler(event, context):',
            '    warnings.warn("wary", UserWarning)',
            '    try: assert False',
            '    except AssertionError: asserts = True',
            '    else: asserts = False',
            '    return [asserts, faulthandler.is_enabled(), hash("a") != 0 and sys.flags.hash_randomization,',
            '            sys.stdout.errors, sys.prefix == sys.base_prefix, "nowhere" in sys.prefix]',
          ].join('\n'),
        },
        env: {
          PYTHONOPTIMIZE: '1',
          PYTHONFAULTHANDLER: '1',
          PYTHONHASHSEED: '0',
          PYTHONIOENCODING: 'utf-8:backslashreplace',
          PYTHONWARNINGS: 'always',
          PYTHONHOME: '/nowhere',
          PYTHONSTARTUP: '/nowhere',
          PYTHONPLATLIBDIR: 'nowhere',
        },
      });
      expect(json(posts[0])).toEqual([false, true, 0, 'backslashreplace', true, false]);
      expect(stderr).toContain('UserWarning: wary');
    });

    it.skipIf(!built.version.endsWith('t'))('runs without the GIL, and with it when told to', async () => {
      const files = tell('sys._is_gil_enabled()');
      expect(json((await run(built, { files })).posts[0])).toBe(false);
      expect(json((await run(built, { files, env: { PYTHON_GIL: '1' } })).posts[0])).toBe(true);
    });

    it.each(['math', 'select', '_json'])(
      'lets a handler file be called %s.py, which may be linked in here',
      async (name) => {
        const { posts } = await run(built, {
          files: { [`${name}.py`]: 'def handler(event, context):\n    return __file__.rpartition("/")[2]\n' },
          handler: `${name}.handler`,
        });
        expect(json(posts[0])).toBe(`${name}.py`);
      },
    );

    it('prefers files of the function and its layers to modules that are only linked in here', async () => {
      const { posts } = await run(built, {
        files: {
          'app.py': [
            'import resource, array, mmap, zlib, time, json',
            'found = [getattr(m, "mine", None) for m in (resource, array, mmap, zlib, time)]',
            'def handler(event, context):\n    return [found, zlib.crc32(b"x") > 0, json.dumps(1)]',
          ].join('\n'),
          'resource.py': 'mine = "file"',
          'array/__init__.py': 'mine = "package"',
          'opt/python/mmap.py': 'mine = "layer"',
          'zlib/not_a_package.txt': '',
          'time.py': 'mine = "never: built in there too"',
        },
      });
      expect(json(posts[0])).toEqual([['file', 'package', 'layer', null, null], true, '1']);
    });

    it('honours the switches that change how it is started', async () => {
      const show = [
        'import sys, tracemalloc',
        'def handler(event, context):',
        '    f = sys.flags',
        '    return [f.dev_mode, f.utf8_mode, getattr(f, "int_max_str_digits", 5000), tracemalloc.is_tracing(),',
        '            f.safe_path if hasattr(f, "safe_path") else True, f.verbose, f.hash_randomization]',
      ].join('\n');
      const env = {
        PYTHONDEVMODE: '1',
        PYTHONUTF8: '1',
        PYTHONINTMAXSTRDIGITS: '5000',
        PYTHONTRACEMALLOC: '1',
        PYTHONMALLOC: 'debug', // free-threaded builds have only mimalloc, and refuse other names
        PYTHONHASHSEED: '0',
        PYTHONNODEBUGRANGES: '1',
      };
      const { posts } = await run(built, { files: { 'app.py': show }, env });
      expect(json(posts[0])).toEqual([true, 1, 5000, true, true, 0, 0]);
      const bad = await run(built, { files: { 'app.py': show }, env: { PYTHONMALLOC: 'nonsense' } });
      expect(bad).toMatchObject({ status: 1, exchanges: [] });
      expect(bad.stderr).toContain('PYTHONMALLOC');
    });

    it("takes modules and sitecustomize from PYTHONPATH, after the function's own", async () => {
      const { posts } = await run(built, {
        files: {
          'app.py': 'import sys, a, b\ndef handler(event, context):\n    return [a.x, b.x, sys.early]\n',
          'a.py': 'x = "task"',
          'more/a.py': 'x = "path"',
          'more/b.py': 'x = "path"',
          'more/sitecustomize.py': 'import sys\nsys.early = "app" not in sys.modules',
          'more/extra.pth': 'import sys; sys.early = "pth"\n', // PYTHONPATH is not searched for those
          'opt/python/b.py': 'x = "layer: not there when PYTHONPATH is set"',
        },
        env: { PYTHONPATH: '{task}/more:{opt}/none' },
      });
      expect(json(posts[0])).toEqual(['task', 'path', true]);
    });

    it('survives a sitecustomize that fails', async () => {
      const { posts, stderr } = await run(built, {
        files: { ...echo, 'more/sitecustomize.py': 'raise ValueError("broken")' },
        env: { PYTHONPATH: '{task}/more' },
        nexts: [event(1)],
      });
      expect(json(posts[0])).toBe(1);
      expect(stderr).toContain('ValueError: broken');
    });
  });
});
