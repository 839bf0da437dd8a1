// Functions made for one interpreter: app.py, pinned packages from PyPI, and .pyc files by hash.
// Refuses to know what the functions do.
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { folderOnce } from '../lib/folder.ts';
import type { FunctionFolder } from './runtimes/runtime.ts';

/** What an interpreter says of itself. */
export interface About {
  /** "3.13.15" */
  readonly version: string;
  readonly freeThreaded: boolean;
  /** The four bytes that its .pyc files begin with, in hexadecimal. */
  readonly magic: string;
  /** The newest awslambdaric that can be imported, or null. */
  readonly client: string | null;
  /** The files that starting it may read: executable, library, standard library, site-packages. */
  readonly files: readonly string[];
}

/** Writes an About to standard output. */
export const askAbout = `import importlib.metadata, importlib.util, json, os, platform, sys, sysconfig
try: client = importlib.metadata.version('awslambdaric')
except importlib.metadata.PackageNotFoundError: client = None
var = sysconfig.get_config_var
paths = [sys.executable, sysconfig.get_path('stdlib'), sysconfig.get_path('platlib')]
if var('Py_ENABLE_SHARED'): paths.append(os.path.join(var('LIBDIR') or '', var('INSTSONAME') or ''))
paths = sorted({os.path.realpath(p) for p in paths if os.path.exists(p)})
paths = [p for p in paths if not any(p.startswith(q + os.sep) for q in paths)]
print(json.dumps({'version': platform.python_version(), 'freeThreaded': bool(var('Py_GIL_DISABLED')),
  'magic': importlib.util.MAGIC_NUMBER[:2].hex(), 'client': client,
  'files': paths}))`;

/** Version as people write it: with the t of free-threading. */
export const pythonName = ({ version, freeThreaded }: About): string => `${version}${freeThreaded ? 't' : ''}`;

export interface FunctionMaker {
  readonly about: About;
  /** An interpreter with pip. When it is not the one that the packages are for, pip is told which. */
  readonly pip: { readonly python: string; readonly own: boolean };
  /** Compiles every file below a folder of ours, by the interpreter that will read them. */
  readonly compile: (folder: string) => Promise<void>;
}

/** @throws SOURCE_UNREACHABLE */
export async function makeFunction(
  { about, pip, compile }: FunctionMaker,
  { name, source, packages }: { name: string; source: string; packages: readonly string[] },
  ctx: Context,
): Promise<FunctionFolder> {
  const digest = createHash('sha256')
    .update(JSON.stringify([source, packages]))
    .digest('hex')
    .slice(0, 12);
  const tag = `cp${about.version.split('.').slice(0, 2).join('')}${about.freeThreaded ? 't' : ''}`;
  const code = join(ctx.cacheDir, 'bench', `functions-${tag}-${about.magic}`, `${name}-${digest}`);
  await mkdir(join(code, '..'), { recursive: true });
  await folderOnce(code, async (scratch) => {
    await writeFile(join(scratch, 'app.py'), source);
    if (packages.length > 0) {
      ctx.report({ type: 'progress', stage: 'bench', text: `installing ${packages[0]} for ${pythonName(about)}` });
      const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
      const platforms = ['manylinux_2_28', 'manylinux_2_17', 'manylinux2014'].map((one) => `${one}_${machine}`);
      const other = [
        ...['--python-version', about.version, '--implementation', 'cp', '--abi', tag],
        ...platforms.flatMap((platform) => ['--platform', platform]),
      ];
      const words = ['install', '--quiet', '--no-deps', '--no-compile', '--only-binary=:all:', '--target', scratch];
      const args = ['-m', 'pip', ...words, ...(pip.own ? [] : other), ...packages];
      await runPython(pip.python, args, `${packages[0]} for CPython ${pythonName(about)}`, ctx);
    }
    await compile(scratch);
  });
  return { folder: code };
}

/** By hash, and not looked at again: the folder is renamed, and files copied to a machine lose their times. */
export const compileWords = (folder: string): readonly string[] => [
  ...['-m', 'compileall', '-q', '--invalidation-mode', 'unchecked-hash'],
  folder,
];

/**
 * Runs a Python to its end.
 * @returns its standard output
 * @throws SOURCE_UNREACHABLE, in which `what` could not be installed
 */
export async function runPython(python: string, args: readonly string[], what: string, ctx: Context): Promise<string> {
  const { failed, stdout, stderr, shortMessage } = await execa(python, args, {
    cancelSignal: ctx.signal,
    stdin: 'ignore',
    reject: false,
    env: { PYTHONNOUSERSITE: '1' },
  });
  throwIfCancelled(ctx.signal);
  if (!failed) return stdout.trim();
  throw new MakeRuntimeError('SOURCE_UNREACHABLE', `${what} could not be installed.`, {
    remedy: 'Check that pip reaches PyPI from here, and that there are wheels for this Python.',
    detail: (stderr || shortMessage || '').split('\n').slice(-8).join('\n'),
  });
}
