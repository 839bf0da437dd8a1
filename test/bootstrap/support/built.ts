// Bootstraps to test: bootstrap-src built, once per state of its sources, against the CPythons this machine has.
// Refuses to know what is tested with them.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';

export const sources = path.resolve(import.meta.dirname, '../../../bootstrap-src');

/** A runtime laid out as <home>/bin/python3.Y[t], <home>/lib/python3.Y[t] and <home>/bootstrap. */
export interface Built {
  /** "3.13" or "3.13t". */
  readonly version: string;
  readonly minor: number;
  readonly home: string;
  /** The interpreter, called by its own name. */
  readonly python: string;
  /** The same file, called as Lambda calls it. */
  readonly bootstrap: string;
}

interface Interpreter {
  executable: string;
  version: string;
  include: string;
  stdlib: string;
  libs: string[];
}

const ASK = `
import json, os, sys, sysconfig
v = sysconfig.get_config_vars()
include = v.get('INCLUDEPY') or ''
pl = sysconfig.get_path('platinclude')
shared = os.path.join(v.get('LIBDIR') or '', v.get('INSTSONAME') or '')
libs = []
if v.get('Py_ENABLE_SHARED') and os.path.exists(shared):
    libs = ['-L' + v['LIBDIR'], '-Wl,-rpath,' + v['LIBDIR'], '-lpython' + v['LDVERSION'], '-lm']
elif os.path.exists(os.path.join(v.get('LIBPL') or '', v.get('LIBRARY') or '')):
    libs = ['-Wl,-export-dynamic', '-Wl,--whole-archive', os.path.join(v['LIBPL'], v['LIBRARY']),
            '-Wl,--no-whole-archive', *v['LIBS'].split(), *v['SYSLIBS'].split()]
print(json.dumps(dict(
    executable=sys.executable,
    version='%d.%d' % sys.version_info[:2] + ('t' if v.get('Py_GIL_DISABLED') else ''),
    include=include if os.path.exists(os.path.join(include, 'Python.h')) else '',
    stdlib=sysconfig.get_path('stdlib'),
    libs=libs)))
`;

async function interpreters(): Promise<Interpreter[]> {
  const candidates = ['python3'];
  for (let minor = 15; minor >= 10; minor--) candidates.push(`python3.${minor}`, `python3.${minor}t`);
  const pyenv = path.join(process.env['PYENV_ROOT'] ?? path.join(os.homedir(), '.pyenv'), 'versions');
  const installed = existsSync(pyenv) ? await readdir(pyenv) : [];
  candidates.push(
    ...installed.filter((name) => /^3\.1\d/.test(name)).map((name) => path.join(pyenv, name, 'bin/python3')),
  );
  const answers = await Promise.all(
    candidates.map((name) => execa(name, ['-I', '-c', ASK], { reject: false, timeout: 20_000 })),
  );
  const found = new Map<string, Interpreter>();
  for (const answer of answers) {
    if (answer.exitCode !== 0) continue;
    const one = JSON.parse(answer.stdout) as Interpreter;
    const minor = Number(/^3\.(\d+)/.exec(one.version)?.[1] ?? 0);
    if (one.include !== '' && one.libs.length > 0 && minor >= 10 && !found.has(one.version))
      found.set(one.version, one);
  }
  return [...found.values()];
}

async function stateOfSources(): Promise<string> {
  const hash = createHash('sha256');
  const files = await readdir(sources, { recursive: true, withFileTypes: true });
  const names = files.filter((file) => file.isFile()).map((file) => path.join(file.parentPath, file.name));
  for (const name of names.sort()) hash.update(name).update(await readFile(name));
  return hash.digest('hex').slice(0, 16);
}

function described(version: string, home: string): Built {
  return {
    version,
    minor: Number(/^3\.(\d+)/.exec(version)![1]),
    home,
    python: path.join(home, 'bin', `python${version}`),
    bootstrap: path.join(home, 'bootstrap'),
  };
}

const SANITIZE = '-fsanitize=address,undefined -fno-sanitize-recover=all';

async function build(one: Interpreter, root: string, sanitize = ''): Promise<Built> {
  const key = createHash('sha256').update(`${one.executable}\n${sanitize}`).digest('hex').slice(0, 8);
  const home = path.join(root, `${one.version}-${key}`);
  if (!existsSync(home)) {
    // Built beside and renamed: two test processes may do this at once, and the second then finds it done.
    const draft = await mkdtemp(path.join(root, 'draft-'));
    await mkdir(path.join(draft, 'bin'));
    const library = path.join(draft, 'lib', `python${one.version}`);
    await mkdir(library, { recursive: true });
    // The standard library without what was installed into it: a .pth file there would be processed.
    for (const entry of await readdir(one.stdlib)) {
      if (!/^(site|dist)-packages$/.test(entry)) await symlink(path.join(one.stdlib, entry), path.join(library, entry));
    }
    await mkdir(path.join(library, 'site-packages'));
    const result = await execa(path.join(sources, 'build.sh'), {
      all: true,
      env: {
        CC: 'cc',
        CFLAGS: `-O1 ${sanitize}`,
        LDFLAGS: sanitize,
        PYTHON: one.executable,
        INCLUDES: `-I${one.include}`,
        LIBS: one.libs.join(' '),
        OUT: path.join(draft, 'bin', `python${one.version}`),
        WORK: path.join(draft, 'work'),
      },
    });
    if (result.all !== '') throw new Error(`build.sh is not silent:\n${result.all}`);
    await symlink(`bin/python${one.version}`, path.join(draft, 'bootstrap'));
    await rename(draft, home).catch(() => rm(draft, { recursive: true }));
  }
  return described(one.version, home);
}

/**
 * The runtimes to test, newest first. MAKE_RUNTIME_TEST_HOME, if set, is a finished <home> to test instead (a layer's
 * lang folder plus a `bootstrap` link, say).
 * @returns none when the machine has no C compiler or no CPython with headers and library
 */
export async function builtRuntimes(): Promise<Built[]> {
  const given = process.env['MAKE_RUNTIME_TEST_HOME'];
  if (given !== undefined) {
    const files = await readdir(path.join(given, 'bin'), { withFileTypes: true });
    // The file itself: python3.13 may be a link to python3.13t.
    const name = files.find((file) => file.isFile() && /^python3\.\d+t?$/.test(file.name))?.name;
    return [described(name!.slice('python'.length), given)];
  }
  if (!(await haveCompiler())) return [];
  const root = await cache();
  const built = [];
  for (const one of await interpreters()) built.push(await build(one, root));
  return built.sort((a, b) => b.minor - a.minor);
}

/** The same under AddressSanitizer and UBSan, on one interpreter; undefined where there is none to link against. */
export async function builtSanitized(): Promise<Built | undefined> {
  const [one] = (await haveCompiler()) ? await interpreters() : [];
  return one && (await build(one, await cache(), SANITIZE));
}

/** What freeze.py makes of the policy with some interpreter of this machine, or undefined where there is none. */
export async function frozenTwice(): Promise<[string, string] | undefined> {
  const [one] = await interpreters();
  if (one === undefined) return undefined;
  const folder = await mkdtemp(path.join(os.tmpdir(), 'freeze-'));
  try {
    const freeze = async (name: string, env: Record<string, string>) => {
      const out = path.join(folder, name);
      const script = [path.join(sources, 'freeze.py'), path.join(sources, 'make_runtime'), out];
      await execa(one.executable, ['-S', ...script], { env: { PYTHONHASHSEED: '0', ...env }, cwd: folder });
      return readFile(out, 'utf8');
    };
    return [await freeze('a.c', {}), await freeze('b.c', { TZ: 'Asia/Tokyo', LC_ALL: 'C', PYTHONOPTIMIZE: '1' })];
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function cache(): Promise<string> {
  const root = path.join(os.tmpdir(), `make-runtime-bootstrap-${process.getuid?.() ?? 0}-${await stateOfSources()}`);
  await mkdir(root, { recursive: true, mode: 0o700 });
  return root;
}

export async function haveCompiler(): Promise<boolean> {
  return (await execa('cc', ['--version'], { reject: false })).exitCode === 0;
}
