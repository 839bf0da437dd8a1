// The small Python programs that the run checks hand to the layer's own interpreter, and what they print.
// They start from `sys` and import as little as they can, because a layer under judgement may lack anything. Each keeps
// stdout to itself: what an imported module prints goes to stderr.

const preamble = String.raw`
import os, sys
out = os.dup(1)
os.dup2(2, 1)
def tell(*fields):
    os.write(out, ('\t'.join(ascii(field) for field in fields) + '\n').encode())
def tell_json(value):
    import json
    os.write(out, json.dumps(value, default=str).encode())
def gil():
    ask = getattr(sys, '_is_gil_enabled', None)
    return None if ask is None else ask()
`;

/** What the interpreter says about itself; FactsOutput as JSON. A question that fails becomes its error's text. */
export const factsProbe = `${preamble}def ask(question):
    try:
        return question()
    except Exception as error:
        return 'unknown (%s: %s)' % (type(error).__name__, error)
def variables():
    import sysconfig
    names = ('CONFIG_ARGS', 'CC', 'OPT', 'PY_CFLAGS', 'PY_CORE_CFLAGS', 'PY_CORE_LDFLAGS', 'Py_GIL_DISABLED',
             'Py_DEBUG', 'SOABI', 'EXT_SUFFIX', 'HOST_GNU_TYPE', 'MODULE_BUILDTYPE', 'Py_ENABLE_SHARED', 'LDLIBRARY')
    return {name: sysconfig.get_config_var(name) for name in names}
tell_json({
    'version': '%d.%d.%d' % sys.version_info[:3],
    'banner': sys.version,
    'implementation': sys.implementation.name,
    'cacheTag': sys.implementation.cache_tag,
    'abiflags': getattr(sys, 'abiflags', ''),
    'machine': os.uname().machine,
    'prefix': sys.prefix,
    'executable': sys.executable,
    'gil': gil(),
    'jit': sys._jit.is_available() if hasattr(sys, '_jit') else None,
    'magic': ask(lambda: int.from_bytes(__import__('_frozen_importlib_external').MAGIC_NUMBER[:2], 'little')),
    'modules': sorted(sys.stdlib_module_names),
    'builtin': sorted(sys.builtin_module_names),
    'variables': ask(variables),
    'openssl': ask(lambda: __import__('ssl').OPENSSL_VERSION),
    'sqlite': ask(lambda: __import__('sqlite3').sqlite_version),
    'zlib': ask(lambda: __import__('zlib').ZLIB_RUNTIME_VERSION),
    'expat': ask(lambda: __import__('pyexpat').EXPAT_VERSION),
})
`;

/**
 * Imports the modules named in argv[1] (separated by commas). One line each before and after, so that a crash or a hang
 * has a name: "'try' 'x'", then "'ok' 'x' <gil>" or "'failed' 'x' '<error>' '<modules it missed>'", tab separated.
 * Leaves through _exit: what happens at finalisation is not the import's doing.
 */
export const importProbe = `${preamble}def missed(error):
    names = []
    while error is not None and len(names) < 20:
        if isinstance(error, ModuleNotFoundError) and error.name:
            names.append(error.name)
        error = error.__cause__ or error.__context__
    return ','.join(names)
tell('start', gil())
for name in sys.argv[1].split(','):
    tell('try', name)
    try:
        __import__(name)
    except BaseException as error:
        tell('failed', name, '%s: %s' % (type(error).__name__, error), missed(error))
    else:
        tell('ok', name, gil())
os._exit(0)
`;

/**
 * Copies the executable argv[1] into two other folders, with links to the rest of its home beside it, and runs it
 * there: MovedOutput as JSON. The prefix is found from the executable's own place (Modules/getpath.py), so this is what
 * moving the whole tree would show, without copying it.
 */
export const movedProbe = `${preamble}${String.raw`
program = os.path.realpath(sys.argv[1])
home = os.path.dirname(os.path.dirname(program))
base = os.path.join(os.environ.get('TMPDIR', '/tmp'), 'moved-' + os.urandom(6).hex())
code = 'import sys, os; print(sys.prefix); print(os.__file__)'
def run(argv):
    reading, writing = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_DUP2, writing, 2)]
    child = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said
def remove(folder):
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            remove(path)
        else:
            os.unlink(path)
    os.rmdir(folder)
places = []
os.mkdir(base)
try:
    for name in ('one', 'two/deeper'):
        new = os.path.join(base, name)
        os.makedirs(os.path.join(new, 'bin'))
        copy = os.path.join(new, 'bin', os.path.basename(program))
        with open(program, 'rb') as source, open(copy, 'wb') as target:
            target.write(source.read())
        os.chmod(copy, 0o755)
        for other in os.listdir(home):
            if other != 'bin':
                os.symlink(os.path.join(home, other), os.path.join(new, other))
        status, said = run([copy, '-I', '-S', '-c', code])
        places.append({'home': new, 'status': status, 'said': said.split('\n')})
finally:
    remove(base)
tell_json(places)
`}`;

/** Whether TLS finds certificates, and where it looked: TlsOutput as JSON. */
export const tlsProbe = `${preamble}import ssl
paths = ssl.get_default_verify_paths()
context = ssl.create_default_context()
folder = paths.capath
hashed = []
if folder:
    # Files of a capath are only read when a certificate is looked for, so they are counted by their hashed names.
    hashed = [name for name in os.listdir(folder) if len(name) > 9 and name[8] == '.']
tell_json({
    'version': ssl.OPENSSL_VERSION,
    'loaded': len(context.get_ca_certs()),
    'cafile': paths.cafile,
    'capath': folder,
    'hashed': len(hashed),
    'lookedFor': [paths.openssl_cafile, paths.openssl_capath],
    'fromEnvironment': [os.environ.get(paths.openssl_cafile_env), os.environ.get(paths.openssl_capath_env)],
})
`;

/**
 * Whether the JIT is on in this process: "true", "false" or "unknown". sys._jit says so from 3.14 on. 3.13 has no name
 * for it: there a loop that ran hot has machine code when it is on, and only then (Modules/_opcode.c, get_executor, which
 * fails in a build without a second tier; Python/optimizer.c, get_jit_code, which fails in one that interprets it).
 */
export const jitProbe = `${preamble}def hot(limit):
    total = 0
    for number in range(limit):
        total += number
    return total
def machine_code():
    import _opcode
    hot(200000)
    for offset in range(0, len(hot.__code__.co_code), 2):
        try:
            executor = _opcode.get_executor(code=hot.__code__, offset=offset)
        except ValueError:
            continue
        if executor is not None:
            return bool(executor.get_jit_code())
    return False
def enabled():
    jit = getattr(sys, '_jit', None)
    if jit is not None:
        return jit.is_enabled()
    try:
        return machine_code()
    except (AttributeError, ImportError, RuntimeError):
        return False
try:
    answer = enabled()
except Exception:
    answer = 'unknown'
os.write(out, str(answer).lower().encode())
`;

/** Sources below argv[1] whose .pyc was made from other bytes: their names, one per line. Unchecked means unnoticed. */
export const staleProbe = `${preamble}${String.raw`
import importlib.util
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        if not name.endswith('.py'):
            continue
        source = os.path.join(folder, name)
        compiled = importlib.util.cache_from_source(source)
        try:
            with open(compiled, 'rb') as file:
                header = file.read(16)
        except FileNotFoundError:
            continue
        if header[4] & 1:
            with open(source, 'rb') as file:
                if importlib.util.source_hash(file.read()) != header[8:16]:
                    os.write(out, os.fsencode(source) + b'\n')
`}`;

export interface FactsOutput {
  readonly version: string;
  readonly banner: string;
  readonly implementation: string;
  readonly cacheTag: string;
  readonly abiflags: string;
  readonly machine: string;
  readonly prefix: string;
  readonly executable: string;
  /** Null where the version has no such question (before 3.13). */
  readonly gil: boolean | null;
  /** Whether the JIT is compiled in; null where the version cannot say so (before 3.14). */
  readonly jit: boolean | null;
  readonly magic: number | string;
  readonly modules: readonly string[];
  readonly builtin: readonly string[];
  readonly variables: Readonly<Record<string, string | number | null>> | string;
  readonly openssl: string;
  readonly sqlite: string;
  readonly zlib: string;
  readonly expat: string;
}

export type MovedOutput = readonly {
  readonly home: string;
  readonly status: number;
  /** Lines it printed: its prefix and os.__file__ when the status is 0, an error otherwise. */
  readonly said: readonly string[];
}[];

export interface TlsOutput {
  readonly version: string;
  /** Certificates in the context: what a cafile held. */
  readonly loaded: number;
  readonly cafile: string | null;
  readonly capath: string | null;
  readonly hashed: number;
  readonly lookedFor: readonly string[];
  readonly fromEnvironment: readonly (string | null)[];
}
