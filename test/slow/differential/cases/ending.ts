// What ends the process in an invocation, and what the process looks like to the function while it lives.
import { app, type Case } from '../case.ts';
import { event } from '../server.ts';

const ends: Readonly<Record<string, string>> = {
  'sys.exit()': 'sys.exit()',
  'sys.exit(0)': 'sys.exit(0)',
  'sys.exit(5)': 'sys.exit(5)',
  'sys.exit with a text': 'sys.exit("goodbye")',
  'sys.exit(True)': 'sys.exit(True)',
  'sys.exit with a large number': 'sys.exit(2**40)',
  'exit()': 'exit(4)',
  'quit()': 'quit(4)',
  KeyboardInterrupt: 'raise KeyboardInterrupt',
  GeneratorExit: 'raise GeneratorExit',
  'a BaseException of its own': 'class Own(BaseException): pass\nraise Own("base é")',
  'os._exit': 'os._exit(9)',
  'os.abort': 'import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nos.abort()',
  'a signal': 'os.kill(os.getpid(), signal.SIGKILL)',
  SIGTERM: 'os.kill(os.getpid(), signal.SIGTERM)\nimport time\ntime.sleep(5)',
  SIGINT: 'os.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(5)',
  'sys.exit after output without a line end': 'print("half", end="")\nsys.exit(2)',
  'sys.exit in a finally': 'try:\n    1 / 0\nfinally:\n    sys.exit(6)',
  atexit: 'import atexit\natexit.register(print, "at exit")\nsys.exit(0)',
};

const looks: Readonly<Record<string, string>> = {
  'the working directory': 'return os.getcwd()',
  'sys.argv': 'return sys.argv',
  'sys.flags':
    'return [(n, getattr(sys.flags, n)) for n in dir(sys.flags) if n[0] != "_" and not n.startswith("n_") and n not in ("count", "index")]',
  'builtins that site adds':
    'import builtins\nreturn [hasattr(builtins, n) for n in ("exit", "quit", "help", "copyright", "credits", "license")]',
  'the environment':
    'return sorted((k, v) for k, v in os.environ.items() if k not in ("AWS_LAMBDA_RUNTIME_API", "MAKE_RUNTIME_LAYER_ROOT", "AWS_EXECUTION_ENV", "PYTHONPATH", "SSL_CERT_FILE"))',
  'PYTHONPATH in the environment': 'return os.environ.get("PYTHONPATH")',
  encodings:
    'import locale\nreturn [sys.getdefaultencoding(), sys.getfilesystemencoding(), sys.getfilesystemencodeerrors(), locale.getpreferredencoding(), sys.stdin.encoding, sys.stderr.errors]',
  'the recursion limit': 'return sys.getrecursionlimit()',
  'the main thread': 'return [threading.current_thread() is threading.main_thread(), threading.current_thread().name]',
  'the number of threads': 'return threading.active_count()',
  'signal handlers':
    'return [str(signal.getsignal(s)) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGHUP)]',
  __main__: 'import __main__\nreturn [__main__.__name__, hasattr(__main__, "__file__")]',
  'sys.executable runs': 'return subprocess.check_output([sys.executable, "-c", "print(6 * 7)"], text=True)',
  'a child process finds what the function finds':
    'return subprocess.run([sys.executable, "-c", "import colorsys, json; print(1)"], capture_output=True, text=True).stdout',
  'the stack above the handler': 'import inspect\nreturn [f.function for f in inspect.stack()][:1]',
  'the time zone': 'import time\nreturn [time.timezone, time.tzname]',
  multiprocessing:
    'import multiprocessing\np = multiprocessing.get_context("fork").Process(target=print, args=("child",))\np.start()\np.join()\nreturn p.exitcode',
  'a thread pool':
    'from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(2) as e: return list(e.map(lambda x: x * 2, [1, 2]))',
  'asyncio.run': 'import asyncio\nasync def f(): return 5\nreturn asyncio.run(f())',
  'a pickled class': 'import pickle\nreturn type(pickle.loads(pickle.dumps(Thing()))).__name__',
  'fork in the handler': 'pid = os.fork()\nif pid == 0: os._exit(3)\nreturn os.waitpid(pid, 0)[1]',
  stdin: 'return sys.stdin.read()',
  'open descriptors': 'return len(os.listdir("/proc/self/fd")) < 20',
  'umask and priority': 'return [os.umask(0o22), os.nice(0)]',
};

const switches: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'PYTHONWARNINGS=error': { PYTHONWARNINGS: 'error' },
  'PYTHONOPTIMIZE=1': { PYTHONOPTIMIZE: '1' },
  'PYTHONUNBUFFERED=1': { PYTHONUNBUFFERED: '1' },
  'PYTHONUTF8=0': { PYTHONUTF8: '0' },
  'PYTHONIOENCODING=latin-1': { PYTHONIOENCODING: 'latin-1' },
  'PYTHONHASHSEED=0': { PYTHONHASHSEED: '0' },
  'PYTHONDEVMODE=1': { PYTHONDEVMODE: '1' },
  'PYTHONFAULTHANDLER=1': { PYTHONFAULTHANDLER: '1' },
  'PYTHONTRACEMALLOC=1': { PYTHONTRACEMALLOC: '1' },
  'PYTHONINTMAXSTRDIGITS=640': { PYTHONINTMAXSTRDIGITS: '640' },
  'PYTHONNODEBUGRANGES=1': { PYTHONNODEBUGRANGES: '1' },
  'PYTHONDONTWRITEBYTECODE=1': { PYTHONDONTWRITEBYTECODE: '1' },
  'PYTHONSAFEPATH=1': { PYTHONSAFEPATH: '1' },
  'LANG=C': { LANG: 'C' },
  'LC_ALL=POSIX': { LC_ALL: 'POSIX' },
  'LC_ALL=C.UTF-8': { LC_ALL: 'C.UTF-8' },
  'TZ=Asia/Tokyo': { TZ: 'Asia/Tokyo' },
};

export const endings: readonly Case[] = [
  ...Object.entries(ends).map(
    ([name, body]): Case => ({
      name: `ends by ${name}`,
      files: app(`print("handling")\nif event == 1: return 1\n${body}`, 'import os, signal, sys'),
      nexts: [event(1), event(2), event(3)],
    }),
  ),
  ...Object.entries(looks).map(
    ([name, body]): Case => ({
      name: `the function sees ${name}`,
      files: app(body, 'import os, signal, subprocess, sys, threading\nclass Thing: pass'),
    }),
  ),
  ...Object.entries(switches).map(
    ([name, env]): Case => ({
      name: `environment ${name}`,
      files: app(
        `
import logging, time
print("é".encode("ascii", "backslashreplace").decode())
logging.warning("warned")
answer = [sys.flags.optimize, sys.flags.dev_mode, sys.flags.utf8_mode, sys.flags.hash_randomization, sys.stdout.encoding, sys.stdout.errors,
          sys.getfilesystemencoding(), getattr(sys, "get_int_max_str_digits", int)(), sys.warnoptions, time.tzname,
          __debug__, "faulthandler" in sys.modules and __import__("faulthandler").is_enabled(),
          "tracemalloc" in sys.modules and __import__("tracemalloc").is_tracing()]
print(answer)
raise ValueError("x")`,
        'import sys',
      ),
      env,
    }),
  ),
  ...['AWS_Lambda_Image', 'AWS_Lambda_python3.9', 'AWS_Lambda_python3.15', 'own'].map(
    (value): Case => ({
      name: `environment AWS_EXECUTION_ENV=${value}`,
      files: app('if event: raise ValueError("é")\nreturn "é"'),
      env: { AWS_EXECUTION_ENV: value },
      nexts: [event(0), event(1)],
    }),
  ),
  {
    name: 'environment without AWS_EXECUTION_ENV',
    files: app('if event: raise ValueError("é")\nreturn "é"'),
    unset: ['AWS_EXECUTION_ENV'],
    nexts: [event(0), event(1)],
  },
  {
    name: 'environment with LAMBDA_DISABLE_PREVIEW_WARN',
    files: app('return 1'),
    env: { AWS_EXECUTION_ENV: 'AWS_Lambda_python3.15', LAMBDA_DISABLE_PREVIEW_WARN: '1' },
  },
  {
    name: 'SIGTERM with a handler, while waiting for next',
    files: app(
      'return 1',
      'import signal, sys\ndef end(*_):\n    print("terminating")\n    sys.exit(0)\nsignal.signal(signal.SIGTERM, end)',
    ),
    end: 'SIGTERM',
  },
  { name: 'SIGTERM without a handler, while waiting for next', files: app('return 1'), end: 'SIGTERM' },
  {
    name: 'SIGTERM with a handler that raises, while waiting for next',
    files: app(
      'return 1',
      'import signal\ndef end(*_):\n    raise ValueError("in the signal handler")\nsignal.signal(signal.SIGTERM, end)',
    ),
    end: 'SIGTERM',
  },
  {
    name: 'SIGTERM with exit functions',
    files: app(
      'return 1',
      'import atexit, signal, sys\natexit.register(print, "at exit")\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(3))',
    ),
    end: 'SIGTERM',
  },
  {
    name: 'a wrapper script',
    files: {
      ...app('import os\nreturn os.environ.get("WRAPPED")'),
      wrapper: '#!/bin/sh\nexport WRAPPED="yes, $#"\nexport WRAPPED="${WRAPPED%,*}"\nexec "$@"\n',
    },
    env: { AWS_LAMBDA_EXEC_WRAPPER: '{task}/wrapper' },
  },
  ...['snap-start', 'provisioned-concurrency', 'lambda-managed-instances'].map(
    (type): Case => ({
      name: `initialization type ${type}`,
      files: app('return 1'),
      env: { AWS_LAMBDA_INITIALIZATION_TYPE: type },
    }),
  ),
  {
    name: 'SnapStart hooks',
    files: app(
      'return order',
      `
import sys
order = []
try:
    from snapshot_restore_py import register_after_restore, register_before_snapshot
    for n in (1, 2):
        register_before_snapshot(order.append, 'before %d' % n)
        register_after_restore(order.append, 'after %d' % n)
except ImportError:
    order.append('no module')`,
    ),
    env: { AWS_LAMBDA_INITIALIZATION_TYPE: 'snap-start' },
  },
  ...['before_snapshot', 'after_restore'].map(
    (hook): Case => ({
      name: `a SnapStart hook that raises, ${hook}`,
      files: app(
        'return 1',
        `
try:
    import snapshot_restore_py
    def fail(): raise ValueError('hooked')
    snapshot_restore_py.register_${hook}(fail)
except ImportError:
    pass`,
      ),
      env: { AWS_LAMBDA_INITIALIZATION_TYPE: 'snap-start' },
    }),
  ),
];
