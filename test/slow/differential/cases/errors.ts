// Exceptions out of handlers: error JSON, stack trace, X-Ray cause, log record.
import { app, type Case } from '../case.ts';
import { event } from '../server.ts';

const raised: Readonly<Record<string, string>> = {
  'a ValueError': 'raise ValueError("wrong")',
  'without a message': 'raise ValueError',
  'with an empty message': 'raise ValueError("")',
  'with two arguments': 'raise ValueError("a", 2)',
  'a KeyError': '{}["absent"]',
  'an OSError': 'open("/nothing/of/that/name")',
  'a ZeroDivisionError': 'return 1 / 0',
  'a message of many lines': 'raise ValueError("first\\n  second\\r\\nthird\\x0bfourth\\n")',
  'a non-ASCII message': 'raise ValueError("é 日本語 😀")',
  'a lone surrogate in the message': 'raise ValueError("\\ud800")',
  'control characters in the message': 'raise ValueError("a\\x00b\\x1bc\\x7f")',
  'a message of 100 KB': 'raise ValueError("x" * 100_000)',
  'a message of 2 MB': 'raise ValueError("x" * 2_000_000)',
  'a class of its own': 'class Own(Exception): pass\nraise Own("mine")',
  'a class in a class': 'raise Outer.Inner("nested")',
  'a class whose name is not ASCII': 'class Größe(Exception): pass\nraise Größe("x")',
  'a cause': 'try:\n    {}["a"]\nexcept KeyError as e:\n    raise ValueError("outer") from e',
  'a context': 'try:\n    {}["a"]\nexcept KeyError:\n    raise ValueError("outer")',
  'a deep stack': 'def down(n):\n    if n == 0: raise ValueError("deep")\n    down(n - 1)\ndown(200)',
  'endless recursion': 'def down(): down()\ndown()',
  'a lambda and a comprehension': 'return [(lambda x: 1 / x)(y) for y in [0]]',
  'a frame of the library': 'import json\njson.loads("{")',
  'a statement of many lines': 'return dict(\n    a=1,\n    b=1 / 0,\n    c=3,\n)',
  'code from a string': 'exec("def f():\\n    raise ValueError(1)\\nf()")',
  'a file called bootstrap.py': 'import bootstrap\nbootstrap.fail()',
  'a __str__ that raises': 'class Bad(Exception):\n    def __str__(self): raise RuntimeError("no")\nraise Bad',
  'a __str__ that is no str': 'class Bad(Exception):\n    def __str__(self): return 5\nraise Bad',
  StopIteration: 'next(iter([]))',
  'an AssertionError': 'assert event == 1, "not one"',
  'a UnicodeDecodeError': 'b"\\xff".decode()',
  'an ImportError': 'import nothing_of_that_name',
  'a SyntaxError': 'exec("a b")',
  'a MemoryError': 'raise MemoryError',
  'a NotImplementedError': 'raise NotImplementedError()',
  'a message that is an object': 'raise ValueError({"a": [1]})',
  'no working directory':
    'import os, tempfile\nd = tempfile.mkdtemp()\nos.chdir(d)\nos.rmdir(d)\nraise ValueError("where")',
  'a changed working directory': 'import os\nos.chdir("/")\nraise ValueError("where")',
  'sys.tracebacklimit': 'import sys\nsys.tracebacklimit = 1\ndef f(): raise ValueError("limited")\nf()',
  'a wrong number of arguments': 'return (lambda: 0)(1)',
};

const extra = 'class Outer:\n    class Inner(Exception):\n        pass\n';

export const errors: readonly Case[] = [
  ...Object.entries(raised).map(
    ([name, body]): Case => ({
      name: `raises ${name}`,
      files: { ...app(body, extra), 'bootstrap.py': 'def fail():\n    raise ValueError("of a bootstrap.py")\n' },
      nexts: [event(0), event(0)],
    }),
  ),
  {
    name: 'raises an exception group with notes',
    files: app('e = ExceptionGroup("many", [ValueError(1), KeyError(2)])\ne.add_note("noted")\nraise e'),
    on: ({ minor }) => minor >= 11,
  },
  ...['Text', 'JSON'].map(
    (format): Case => ({
      name: `raises, log format ${format}`,
      files: app('raise ValueError("first\\n  second é")'),
      env: { AWS_LAMBDA_LOG_FORMAT: format },
    }),
  ),
  {
    name: 'errors of the runtime, log format JSON',
    files: app('return object()'),
    env: { AWS_LAMBDA_LOG_FORMAT: 'JSON' },
    nexts: [event('{'), event({})],
  },
  {
    name: 'a handler that takes one argument',
    files: { 'app.py': 'def handler(event):\n    return event\n' },
  },
  {
    name: 'a module that was changed since it was imported',
    files: app('open(__file__, "w").write("# line one\\n# line two\\n# line three\\n")\nraise ValueError("where")'),
  },
];
