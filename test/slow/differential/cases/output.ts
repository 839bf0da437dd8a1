// What is logged: print, stderr, logging in both formats, at every level, with everything that can be in a record.
import { app, type Case } from '../case.ts';
import { event } from '../server.ts';

const logs: Readonly<Record<string, string>> = {
  'every level': `
for level in (5, 10, 20, 25, 30, 40, 50, 60):
    logging.log(level, 'at %d', level)`,
  'a child logger': 'logging.getLogger("a.b").warning("from a child")',
  arguments: 'logging.warning("%s and %r and %d", "é", "é", 5)',
  'arguments that do not fit': 'logging.warning("%d", "x")',
  'a dictionary': 'logging.warning({"a": 1, "é": [None]})',
  'a dictionary with arguments': 'logging.warning({"a": 1}, 5)',
  'a number': 'logging.warning(5)',
  'an object': 'logging.warning(ValueError("as message"))',
  'several lines': 'logging.warning("one\\n  two\\n")',
  'control characters and surrogates': 'logging.warning("a\\x00b\\x1b\\u2028")',
  'an exception': `
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("failed")`,
  'an exception with a cause': `
try:
    try:
        {}["a"]
    except KeyError as e:
        raise ValueError("outer") from e
except ValueError:
    logging.warning("failed", exc_info=True)`,
  'exc_info without an exception': 'logging.warning("none", exc_info=True)',
  stack_info: 'logging.warning("stack", stack_info=True)',
  'an extra': 'logging.warning("x", extra={"order": 7, "é": "ü", "nothing": None, "list": [1, {"a": 2}]})',
  'an extra with an object': 'logging.warning("x", extra={"thing": Thing()})',
  'an extra with a key that is a column':
    'logging.warning("x", extra={"timestamp": "mine", "level": "mine", "requestId": "mine"})',
  'an extra with tenantId and location': 'logging.warning("x", extra={"tenantId": "mine", "location": "here"})',
  'an extra that circles': 'd = {}\nd["d"] = d\nlogging.warning("x", extra={"circle": d})',
  'an extra with bytes and Decimal':
    'import decimal\nlogging.warning("x", extra={"b": b"x", "d": decimal.Decimal("1.5"), "s": {1}})',
  'an extra with odd keys': 'logging.warning("x", extra={"d": {1: 2, None: 3, True: 4}})',
  'an extra with a tuple key': 'logging.warning("x", extra={"d": {(1, 2): 3}})',
  'an extra with NaN': 'logging.warning("x", extra={"n": float("nan")})',
  'an extra named message': 'logging.warning("x", extra={"message": "mine"})',
  'a level of its own': 'logging.addLevelName(35, "NOTICE")\nlogging.log(35, "noticed")',
  'the level INFO set by hand':
    'logging.getLogger().setLevel(logging.INFO)\nlogging.info("seen")\nlogging.debug("unseen")',
  'a warning through warnings': 'import warnings\nlogging.captureWarnings(True)\nwarnings.warn("careful")',
};

const configured: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'no format': {},
  Text: { AWS_LAMBDA_LOG_FORMAT: 'Text' },
  JSON: { AWS_LAMBDA_LOG_FORMAT: 'JSON' },
};

const before = 'import logging, sys\nclass Thing:\n    def __repr__(self): return "a thing"\n';

const levels = [
  'TRACE',
  'DEBUG',
  'INFO',
  'WARN',
  'WARNING',
  'ERROR',
  'FATAL',
  'CRITICAL',
  'debug',
  'NOTSET',
  'LOUD',
  '',
  'OFF',
];

const everyLevel = app(
  'for level in (10, 20, 30, 40, 50): logging.log(level, "at %d", level)\nreturn logging.getLogger().level',
  before,
);

const inspected: Readonly<Record<string, string>> = {
  'the root handler': `
h = logging.getLogger().handlers
return [[type(x).__name__ for x in h], h[0].level, [c.__name__ for c in type(h[0]).__mro__], hasattr(h[0], 'log_sink'),
        type(h[0].log_sink).__name__, type(h[0].formatter).__name__, [type(f).__name__ for f in h[0].filters]]`,
  'basicConfig does nothing': `
logging.basicConfig(level=logging.INFO, format="%(message)s")
logging.info("unseen")
return len(logging.getLogger().handlers)`,
  'basicConfig with force': `
logging.basicConfig(level=logging.INFO, format="mine %(message)s", force=True, stream=sys.stdout)
logging.info("seen")`,
  'a handler of its own beside': `
h = logging.StreamHandler(sys.stdout)
h.setFormatter(logging.Formatter("mine %(asctime)s".replace("%(asctime)s", "") + "%(message)s"))
logging.getLogger().addHandler(h)
logging.warning("twice")`,
  'a formatter of its own': `
logging.getLogger().handlers[0].setFormatter(logging.Formatter("%(aws_request_id)s %(message)s;"))
logging.warning("one")
logging.warning("two")`,
  'the converter': 'return logging.Formatter.converter.__name__',
  'the filter gives attributes to records': `
record = logging.LogRecord("n", 30, "p", 1, "m", (), None)
print(logging.getLogger().handlers[0].filter(record) is not False, record.aws_request_id, record.tenant_id)`,
  'context.log': 'context.log("text")\ncontext.log(5)\ncontext.log("line\\n")\ncontext.log({"a": 1})',
  'context.log without logging': 'context.log("text\\n")',
  dictConfig: `
import logging.config
logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO"}})
logging.info("after")
return [type(h).__name__ for h in logging.getLogger().handlers]`,
  'removing the handler': `
root = logging.getLogger()
root.removeHandler(root.handlers[0])
logging.getLogger("x").warning("last resort")`,
  'emit by hand': `
logging.getLogger().handlers[0].log_sink.log("by hand\\n")
logging.getLogger().handlers[0].log_sink.log_error(["one", "two"])`,
};

const printed: Readonly<Record<string, string>> = {
  'a line': 'print("hello")',
  'without a line end': 'print("hello", end="")',
  'non-ASCII': 'print("é 日本語 😀")',
  'a lone surrogate': 'print("\\ud800")',
  'many pieces': 'for i in range(5): print(i, end=",")\nprint()',
  'to stderr': 'print("to stderr", file=sys.stderr)',
  'to both, lines': 'for i in range(3):\n    print("out", i)\n    print("err", i, file=sys.stderr)',
  'to both, pieces': 'for i in range(3):\n    sys.stdout.write("o%d " % i)\n    sys.stderr.write("e%d " % i)',
  'bytes through the buffer': 'sys.stdout.buffer.write(b"raw \\xff\\n")\nsys.stdout.flush()',
  'text and bytes through the buffer':
    'print("text")\nsys.stdout.buffer.write(b"raw\\n")\nprint("more")\nsys.stdout.flush()',
  'with the descriptor': 'print("text")\nos.write(1, b"descriptor\\n")\nprint("more")',
  'from a child process': 'print("before")\nsubprocess.run(["echo", "child"])\nprint("after")',
  'from a child process, pieces':
    'print("before", end=" ")\nsubprocess.run(["echo", "child"])\nprint("after", end=" ")',
  'from a thread': 't = threading.Thread(target=print, args=("thread",))\nt.start()\nt.join()',
  'while redirected': `
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as f:
    print("caught")
return f.getvalue()`,
  'a replaced stdout': 'sys.stdout = open("/dev/null", "w")\nprint("lost")\nraise ValueError("where is it logged")',
  'a closed stdout': 'sys.stdout.close()\nreturn 1',
  'stdout that is None': 'sys.stdout = None\nprint("nowhere")\nreturn 1',
  'the attributes of stdout':
    'return [sys.stdout.encoding, sys.stdout.errors, sys.stdout.fileno(), sys.stdout.isatty(), sys.stdout.name, sys.stdout.writable()]',
  writelines: 'sys.stdout.writelines(["a\\n", "b\\n", "c"])',
  'what write returns': 'return sys.stdout.write("text\\n")',
  'stderr without a line end': 'sys.stderr.write("no end")\nreturn 1',
};

export const outputs: readonly Case[] = [
  ...Object.entries(configured).flatMap(([format, env]) =>
    Object.entries(logs)
      // Without a format, what is logged at which level is enough: it is the text format.
      .filter(([name]) => format !== 'no format' || name === 'every level')
      .map(([name, body]): Case => ({ name: `logging ${name}, ${format}`, files: app(body, before), env })),
  ),
  ...['Text', 'JSON'].flatMap((format) =>
    levels.map(
      (level): Case => ({
        name: `level ${level || '(empty)'}, ${format}`,
        files: everyLevel,
        env: { AWS_LAMBDA_LOG_FORMAT: format, AWS_LAMBDA_LOG_LEVEL: level },
      }),
    ),
  ),
  ...['json', 'Json', 'TEXT', '', 'xml'].map(
    (format): Case => ({
      name: `log format ${format || '(empty)'}`,
      files: app('logging.warning("x")', before),
      env: { AWS_LAMBDA_LOG_FORMAT: format },
    }),
  ),
  ...Object.entries(inspected).flatMap(([name, body]) =>
    ['Text', 'JSON'].map(
      (format): Case => ({
        name: `logging: ${name}, ${format}`,
        files: app(body, name.endsWith('without logging') ? '' : before),
        env: { AWS_LAMBDA_LOG_FORMAT: format },
      }),
    ),
  ),
  {
    name: 'the request id and the tenant of each invocation are in its records',
    files: app('logging.warning("x")', `${before}logging.warning("at import")`),
    env: { AWS_LAMBDA_LOG_FORMAT: 'JSON' },
    nexts: [
      event({}, { 'Lambda-Runtime-Aws-Request-Id': 'a', 'Lambda-Runtime-Aws-Tenant-Id': 'blue' }),
      event({}, { 'Lambda-Runtime-Aws-Request-Id': 'b' }),
    ],
  },
  {
    name: 'records between invocations, text',
    files: app('logging.warning("x")', `${before}logging.warning("at import")`),
    nexts: ['a', 'b'].map((id) => event({}, { 'Lambda-Runtime-Aws-Request-Id': id })),
  },
  {
    name: 'logging that is first imported in the second invocation',
    files: app('if event: import logging; logging.warning("late")'),
    nexts: [event(0), event(1)],
  },
  ...['Text', 'JSON'].map(
    (format): Case => ({
      name: `telemetry frames, ${format}`,
      files: app(
        'for level in (10, 20, 30, 40, 50): logging.log(level, "at %d\\nsecond line é", level)\nprint("printed")\ncontext.log("by context")\nimport os\nprint(os.environ.get("_LAMBDA_TELEMETRY_LOG_FD"))\nraise ValueError("first\\nsecond")',
        before,
      ),
      env: { AWS_LAMBDA_LOG_FORMAT: format, AWS_LAMBDA_LOG_LEVEL: 'INFO' },
      telemetry: true,
    }),
  ),
  {
    name: 'telemetry frames, no format, no level',
    files: app('logging.warning("x")\nreturn 1', before),
    telemetry: true,
  },
  {
    name: 'telemetry frames of an init error',
    files: { 'app.py': 'raise ValueError("at import")\n' },
    telemetry: true,
  },
  ...Object.entries(printed).map(
    ([name, body]): Case => ({
      name: `prints ${name}`,
      files: app(body, 'import os, subprocess, sys, threading'),
      nexts: [event(1), event(2)],
      ...(/both|child|descriptor/.test(name) ? { merged: true } : {}),
    }),
  ),
  {
    name: 'output of stdout and stderr and logging, in order',
    files: app(
      'print("a")\nlogging.warning("b")\nsys.stderr.write("c\\n")\nprint("d", flush=True)\ncontext.log("e\\n")\nraise ValueError("f")',
      before,
    ),
    merged: true,
  },
];
