// `--debug`: a further layer that makes a function wait for a debugger before its handler is imported. A .pth file of the
// layer starts debugpy inside the function's process; debugpy itself is the user's, a layer's, or fetched on request.
// Knows nothing of debuggers' protocols. Source: debugpy's README ("debugpy API") and its listen() documentation.
import { cp, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { folderOnce } from '../lib/folder.ts';

export interface DebugRequest {
  readonly port: number;
  /** A folder that holds `debugpy/`. */
  readonly debugpy?: string;
  /** Get it with pip when it is nowhere to be found. */
  readonly fetch?: boolean;
}

export interface DebugLayer {
  readonly folder: string;
  remove(): Promise<void>;
}

/** Makes the layer. Throws DEBUGPY_MISSING. */
export async function debugLayer(
  request: DebugRequest,
  searched: { readonly layerDirs: readonly string[]; readonly codeDir: string },
  context: Context,
): Promise<DebugLayer> {
  const found = await findDebugpy(request, searched, context);
  // Named as sandboxes are, so that what a killed run leaves is swept up with theirs (sandbox.ts).
  const parent = join(context.cacheDir, 'lambda');
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(join(parent, `sandbox-${process.pid}-debug-`));
  const python = join(folder, 'python');
  await mkdir(python, { mode: 0o755 });
  await writeFile(join(python, 'make_runtime_debug.pth'), 'import make_runtime_debug\n', { mode: 0o644 });
  await writeFile(join(python, 'make_runtime_debug.py'), program(request.port), { mode: 0o644 });
  if (found !== undefined) await cp(join(found, 'debugpy'), join(python, 'debugpy'), { recursive: true });
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** The adapter runs in the function's process: a child would need an interpreter by name, and the sandbox has none to spare. */
function program(port: number): string {
  return [
    '# Imported before the handler, by make-runtime serve --debug.',
    'import os',
    '',
    'if "AWS_LAMBDA_RUNTIME_API" in os.environ:',
    '    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")',
    '    import debugpy',
    '',
    `    debugpy.listen(("127.0.0.1", ${port}), in_process_debug_adapter=True)`,
    `    print("debugpy waits for a debugger on port ${port}", flush=True)`,
    '    debugpy.wait_for_client()',
    '',
  ].join('\n');
}

/** A folder to add, or undefined when the function or a layer has debugpy already. */
async function findDebugpy(
  { debugpy, fetch }: DebugRequest,
  { layerDirs, codeDir }: { readonly layerDirs: readonly string[]; readonly codeDir: string },
  context: Context,
): Promise<string | undefined> {
  if (debugpy !== undefined) {
    if (await isModule(join(debugpy, 'debugpy'))) return debugpy;
    throw missing(`There is no debugpy in ${debugpy}.`);
  }
  for (const folder of [codeDir, ...layerDirs.map((layer) => join(layer, 'python'))])
    if (await isModule(join(folder, 'debugpy'))) return undefined;
  if (fetch === true) return fetched(context);
  throw missing('Neither the function nor a layer has debugpy.');
}

async function fetched({ cacheDir, offline, signal }: Context): Promise<string> {
  const folder = join(cacheDir, 'debugpy');
  if (offline && !(await isModule(join(folder, 'debugpy')))) throw missing('debugpy is not in the cache.');
  await folderOnce(folder, async (scratch) => {
    // The wheel without compiled parts: it runs on every Python, also free-threaded.
    const tags = ['--platform', 'any', '--implementation', 'py', '--abi', 'none', '--only-binary=:all:', '--no-deps'];
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-compile'];
    const result = await execa('python3', [...pip, ...tags, '--target', scratch, 'debugpy'], {
      reject: false,
      all: true,
      cancelSignal: signal,
    });
    if (result.failed) throw missing('pip could not fetch debugpy.', result.all ?? result.shortMessage);
  });
  return folder;
}

async function isModule(folder: string): Promise<boolean> {
  const found = await stat(join(folder, '__init__.py')).catch(() => undefined);
  return found?.isFile() ?? false;
}

function missing(sentence: string, detail?: string): MakeRuntimeError {
  return new MakeRuntimeError('DEBUGPY_MISSING', sentence, {
    remedy: 'Run `pip install --target DIR debugpy` and say --debugpy DIR, or let --fetch-debugpy do it.',
    ...(detail === undefined ? {} : { detail }),
  });
}
