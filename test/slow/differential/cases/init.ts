// Finding and importing the handler: forms of its name, search path, errors of init.
import { app, type Case } from '../case.ts';
import { event } from '../server.ts';

const ok = 'def handler(event, context):\n    return __name__\n';

const forms: ReadonlyArray<readonly [handler: string, files: Readonly<Record<string, string>>]> = [
  ['app.handler', { 'app.py': ok }],
  ['package.app.handler', { 'package/app.py': ok }],
  ['package/app.handler', { 'package/app.py': ok }],
  ['package/sub/app.handler', { 'package/__init__.py': '', 'package/sub/__init__.py': '', 'package/sub/app.py': ok }],
  ['package.handler', { 'package/__init__.py': ok }],
  ['./app.handler', { 'app.py': ok }],
  ['/app.handler', { 'app.py': ok }],
  ['.app.handler', { 'app.py': ok }],
  ['app..handler', { 'app.py': ok }],
  ['app.', { 'app.py': ok }],
  ['.handler', { 'app.py': ok }],
  ['app', { 'app.py': ok }],
  ['', { 'app.py': ok }],
  ['app.Class.method', { 'app.py': 'class Class:\n    def method(event, context): return 1\n' }],
  ['app.absent', { 'app.py': ok }],
  ['absent.handler', { 'app.py': ok }],
  ['package.absent.handler', { 'package/__init__.py': '' }],
  ['app.not_callable', { 'app.py': 'not_callable = 5\n' }],
  ['app.handler', { 'app.py': 'handler = lambda event, context: "lambda"\n' }],
  ['app.handler', { 'app.py': 'class C:\n    def __call__(self, event, context): return "object"\nhandler = C()\n' }],
  ['app.handler', { 'app.py': 'class handler:\n    def __init__(self, event, context): pass\n' }],
  ['app.handler', { 'app.py': 'import functools\nhandler = functools.partial(lambda a, e, c: a, "partial")\n' }],
  ['app.handler', { 'app.py': 'def __getattr__(name):\n    return lambda e, c: "got " + name\n' }],
  ['app.handler', { 'app.py': 'def __getattr__(name):\n    raise ValueError("not " + name)\n' }],
  ['hyphen-ated.handler', { 'hyphen-ated.py': ok }],
  ['größe.handler', { 'größe.py': ok }],
  ['app.größe', { 'app.py': 'def größe(event, context):\n    return 1\n' }],
  ['sys.handler', { 'sys.py': ok }],
  ['time.handler', { 'time.py': ok }],
  ['sys/app.handler', { 'sys/app.py': ok }],
  ['builtins.handler', { 'builtins.py': ok }],
  ['math.handler', { 'math.py': ok }],
  ['select.handler', { 'select.py': ok }],
  ['zlib.handler', { 'zlib.py': ok }],
  ['_json.handler', { '_json.py': ok }],
  ['handler.handler', { 'handler.py': ok }],
  ['lambda.handler', { 'lambda.py': ok }],
  ['main.handler', { 'main.py': ok }],
  ['__main__.handler', { '__main__.py': ok }],
  ['test.handler', { 'test.py': ok }],
  ['queue.handler', { 'queue.py': ok }],
  ['platform.handler', { 'platform.py': ok }],
];

const failing: Readonly<Record<string, string>> = {
  'a missing module': 'import nothing_of_that_name',
  'a missing name': 'from os import nothing_of_that_name',
  'an ImportError of its own': 'raise ImportError("own words")',
  'a ValueError': 'raise ValueError("at import é")',
  'an error in a function': 'def f():\n    return 1 / 0\nf()',
  'a class of its own': 'class Own(Exception): pass\nraise Own',
  'a syntax error': 'def handler(event, context)\n    pass',
  'a syntax error in another module': 'import broken',
  'a tab error': 'if True:\n\tx = 1\n        y = 2',
  'an indentation error': 'def f():\nreturn 1',
  'a null byte': 'x = "\0"',
  'an unknown encoding': '# coding: nothing\nx = 1',
  'SystemExit(0)': 'raise SystemExit(0)',
  'SystemExit(3)': 'import sys\nprint("leaving")\nsys.exit(3)',
  'a SystemExit with a text': 'raise SystemExit("goodbye")',
  KeyboardInterrupt: 'raise KeyboardInterrupt',
  'a BaseException': 'class Own(BaseException): pass\nraise Own("base")',
  'os._exit': 'import os\nprint("leaving")\nos._exit(7)',
  'a signal': 'import os, signal\nos.kill(os.getpid(), signal.SIGKILL)',
  'a __str__ that raises': 'class Bad(Exception):\n    def __str__(self): raise RuntimeError("no")\nraise Bad',
};

const pathOf = `
import sys
def handler(event, context):
    return [p for p in sys.path if ('task' in p or '/opt' in p) and not p.startswith(sys.prefix)]
`;

export const inits: readonly Case[] = [
  ...forms.map(
    ([handler, files], index): Case => ({
      name: `handler ${handler || 'with an empty name'}, ${index}`,
      handler,
      files,
      // Only from 3.12 does AWS's client poll in a thread.
      ...(handler === 'queue.handler' ? { silent: true, on: ({ minor }) => minor >= 12 } : {}),
    }),
  ),
  { name: 'no handler', handler: null, files: { 'app.py': ok }, silent: true },
  ...Object.entries(failing).map(
    ([name, code]): Case => ({
      name: `fails with ${name}`,
      files: { 'app.py': `${code}\n`, 'broken.py': 'x = = 1\n' },
      ...(/SystemExit|KeyboardInterrupt|BaseException|os._exit|signal|__str__/.test(name) ? { silent: true } : {}),
    }),
  ),
  ...['Text', 'JSON'].map(
    (format): Case => ({
      name: `init error, log format ${format}, level ERROR`,
      files: { 'app.py': 'raise ValueError("at import")\n' },
      env: { AWS_LAMBDA_LOG_FORMAT: format, AWS_LAMBDA_LOG_LEVEL: 'ERROR' },
    }),
  ),
  {
    name: 'init: output before the error',
    files: { 'app.py': 'import logging, sys\nprint("one")\nsys.stderr.write("two")\nlogging.error("three")\n1 / 0\n' },
  },
  {
    name: 'the search path',
    files: { 'app.py': pathOf, 'opt/python/in_layer.py': '', 'opt/python/lib/python3.99/site-packages/x.py': '' },
  },
  { name: 'the search path with PYTHONPATH', files: { 'app.py': pathOf }, env: { PYTHONPATH: '/opt/mine:/opt/other' } },
  { name: 'the search path with an empty PYTHONPATH', files: { 'app.py': pathOf }, env: { PYTHONPATH: '' } },
  {
    name: 'the task root comes before the layers, and these before the library',
    files: {
      'app.py':
        'import a, b, colorsys\ndef handler(event, context):\n    return [a.where, b.where, hasattr(colorsys, "where")]\n',
      'a.py': 'where = "task"',
      'opt/python/a.py': 'where = "layer"',
      'opt/python/b.py': 'where = "layer"',
      'opt/python/colorsys.py': 'where = "layer"',
    },
  },
  {
    name: 'site-packages of a layer come before its python folder',
    files: {
      'app.py': 'import a\ndef handler(event, context):\n    return a.where\n',
      'opt/python/a.py': 'where = "python"',
      ...Object.fromEntries(
        [10, 11, 12, 13, 14, 15].map((minor) => [
          `opt/python/lib/python3.${minor}/site-packages/a.py`,
          'where = "site-packages"',
        ]),
      ),
    },
  },
  {
    name: '.pth files of the task root and of layers',
    files: {
      'app.py': 'import a, b, sys\ndef handler(event, context):\n    return [a.where, b.where, sys.marks]\n',
      'one.pth': 'vendored\nimport sys; sys.marks = ["task"]\n# comment\nabsent\n',
      'vendored/a.py': 'where = "vendored"',
      'opt/python/two.pth': 'more\nimport sys; sys.marks.append("layer")\n',
      'opt/python/more/b.py': 'where = "more"',
    },
  },
  {
    name: 'a .pth file that raises',
    files: { 'app.py': ok, 'bad.pth': 'import nothing_of_that_name\n' },
  },
  {
    name: 'a .pth file with PYTHONPATH set',
    files: {
      'app.py': 'import sys\ndef handler(event, context):\n    return getattr(sys, "marks", [])\n',
      'one.pth': 'import sys; sys.marks = ["task"]\n',
      'opt/python/two.pth': 'import sys; sys.marks.append("layer")\n',
    },
    env: { PYTHONPATH: '{layers}/python' },
  },
  {
    name: 'files of the task root that hide the library',
    files: {
      'app.py': 'import json, random\ndef handler(event, context):\n    return [json.where, random.where]\n',
      'json.py': 'where = "task"\n',
      'random.py': 'where = "task"\n',
    },
    silent: true,
  },
  {
    name: 'a file of the task root that hides a module of the library that nobody needs',
    files: {
      'app.py': 'import colorsys\ndef handler(event, context):\n    return colorsys.where\n',
      'colorsys.py': 'where = "task"\n',
    },
  },
  {
    name: 'files called as what we freeze are called',
    files: {
      'app.py':
        'import loop, settings, payload\ndef handler(event, context):\n    return [loop.x, settings.x, payload.x]\n',
      'loop.py': 'x = 1\n',
      'settings.py': 'x = 2\n',
      'payload.py': 'x = 3\n',
    },
  },
  {
    name: 'sitecustomize and usercustomize',
    files: {
      'app.py': 'import sys\ndef handler(event, context):\n    return getattr(sys, "marks", [])\n',
      'opt/python/sitecustomize.py': 'import sys; sys.marks = ["site"]',
      'opt/python/usercustomize.py': 'import sys; sys.marks = ["user"]',
    },
    env: { PYTHONPATH: '{layers}/python' },
  },
  {
    name: 'imports within the handler',
    files: {
      ...app('from package import late\nreturn late.x'),
      'package/__init__.py': '',
      'package/late.py': 'from . import other\nx = other.y\n',
      'package/other.py': 'y = 5\n',
    },
  },
  {
    name: 'a module that imports the handler module again',
    files: { ...app('import helper\nreturn helper.app.N', 'N = 1\nprint("importing")'), 'helper.py': 'import app\n' },
  },
  {
    name: 'the module is in sys.modules, and __main__ is not it',
    files: app('import sys\nreturn ["app" in sys.modules, hasattr(sys.modules["__main__"], "handler"), __name__]'),
  },
  {
    name: 'state is kept between invocations',
    files: app('global n\nn += 1\nseen.append(context.aws_request_id)\nreturn [n, seen]', 'n = 0\nseen = []'),
    nexts: ['a', 'b', 'c'].map((id) => event({}, { 'Lambda-Runtime-Aws-Request-Id': id })),
  },
  {
    name: 'state is kept after errors',
    files: app('global n\nn += 1\nif n % 2: raise ValueError(n)\nreturn n', 'n = 0'),
    nexts: [1, 2, 3, 4, 5].map((value) => event(value)),
  },
];
