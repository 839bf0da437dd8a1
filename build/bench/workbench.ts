// What scenarios are made of: the layer, plain Python of the same build, AWS's own client on the same interpreter, the
// floor in C, and functions to run. Everything is prepared here, so that starting is all that is left to time.
import { createHash } from 'node:crypto';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { compileKey } from '../compile/compile.ts';
import { ownArch } from '../compile/engine.ts';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { exists, folderOnce, writeWhole } from '../lib/folder.ts';
import { readBuildRecord } from '../package/build-json.ts';
import { langFolder } from '../package/layout.ts';
import { unpackLayer } from '../package/unpack.ts';
import { readZip } from '../package/unzip.ts';
import { prefix } from '../recipe/cpython.ts';
import type { Plan } from '../recipe/model.ts';
import { type Command, compileTools, type Tools } from './harness.ts';

/** A folder with app.py, whose `handler` is called. */
export interface FunctionFolder {
  readonly folder: string;
}

type Env = Readonly<Record<string, string>>;

export interface Workbench {
  readonly plan: Plan;
  readonly freeThreaded: boolean;
  readonly tools: Tools;
  readonly names: { readonly layer: string; readonly client: string };
  /** The layer's bootstrap. */
  layer(code: FunctionFolder, env?: Env): Command;
  /** awslambdaric on the layer's interpreter as `make install` left it. */
  client(code: FunctionFolder, env?: Env): Command;
  /** The layer's own interpreter, called as an ordinary one. */
  python(...args: string[]): Command;
  /** The C program that answers at once. */
  answer(...args: string[]): Command;
  /** A function with this app.py and these pinned packages, all of it byte-compiled. */
  fn(name: string, source: string, packages?: readonly string[]): Promise<FunctionFolder>;
  /** A file with this text. */
  event(name: string, text: string): Promise<string>;
}

/**
 * @throws ARTIFACT_NOT_A_LAYER when the artifact was not built by this tool on this machine, ARTIFACT_WRONG_ARCH,
 * SOURCE_UNREACHABLE, COMPILER_MISSING
 */
export async function prepareWorkbench(artifact: string, ctx: Context): Promise<Workbench> {
  const tree = await readZip(artifact);
  const record = await readBuildRecord(tree);
  const installed = record && join(ctx.cacheDir, 'compile', compileKey(record.plan), 'root', prefix);
  if (!record || !installed || !(await exists(installed))) {
    throw new MakeRuntimeError(
      'ARTIFACT_NOT_A_LAYER',
      `${artifact} was not built here, so there is nothing to compare it with.`,
      {
        remedy:
          "Build it first: make-runtime build <recipe>. The benchmark installs AWS's client into that interpreter.",
      },
    );
  }
  const { plan } = record;
  if (plan.arch !== ownArch()) {
    throw new MakeRuntimeError(
      'ARTIFACT_WRONG_ARCH',
      `${artifact} is for ${plan.arch}, this machine is ${ownArch()}.`,
      {
        remedy: 'Measure it on a processor of its own: figures of an emulated one say nothing about it.',
      },
    );
  }
  const tools = await compileTools(ctx);
  const layerDir = await unpackLayer(artifact, tree, ctx);
  const own = join(layerDir, langFolder, 'bin', plan.python.executable);
  const { interpreter, version } = await installClient(plan, installed, own, ctx);
  const folder = join(ctx.cacheDir, 'bench');
  const basic: Env = { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', TZ: ':UTC' };
  const lambda = ({ folder: root }: FunctionFolder, more: Env): Env => ({
    ...basic,
    LAMBDA_TASK_ROOT: root,
    _HANDLER: 'app.handler',
    AWS_LAMBDA_FUNCTION_NAME: 'bench',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'nobody',
    AWS_SECRET_ACCESS_KEY: 'nothing',
    ...more,
  });
  return {
    plan,
    freeThreaded: plan.python.executable.endsWith('t'),
    tools,
    names: { layer: 'make-runtime', client: `awslambdaric ${version}` },
    layer: (code, env = {}) => ({
      argv: [join(layerDir, 'bootstrap')],
      env: lambda(code, { MAKE_RUNTIME_LAYER_ROOT: layerDir, ...env }),
      cwd: code.folder,
    }),
    client: (code, env = {}) => ({
      argv: [interpreter, '-m', 'awslambdaric', 'app.handler'],
      env: lambda(code, env),
      cwd: code.folder,
    }),
    python: (...args) => ({ argv: [own, ...args], env: lambda({ folder }, {}), cwd: folder }),
    answer: (...args) => ({ argv: [tools.answer, ...args], env: basic, cwd: folder }),
    fn: async (name, source, packages = []) => {
      const digest = createHash('sha256')
        .update(JSON.stringify([source, packages]))
        .digest('hex')
        .slice(0, 12);
      const code = join(folder, `functions-${compileKey(plan)}`, `${name}-${digest}`);
      await mkdir(join(code, '..'), { recursive: true });
      await folderOnce(code, async (scratch) => {
        await writeFile(join(scratch, 'app.py'), source);
        if (packages.length > 0) {
          ctx.report({ type: 'progress', stage: 'bench', text: `installing ${packages[0]} from PyPI` });
          const words = ['install', '--quiet', '--no-deps', '--no-compile', '--target', scratch, ...packages];
          await run(interpreter, ['-m', 'pip', ...words], 'The packages of a benchmark', ctx);
        }
        // By hash, and not looked at again: the folder is renamed, and files copied to a machine lose their times.
        const compile = ['-m', 'compileall', '-q', '--invalidation-mode', 'unchecked-hash', scratch];
        await run(interpreter, compile, 'The functions of a benchmark', ctx);
      });
      return { folder: code };
    },
    event: async (name, text) => {
      const path = join(folder, `${name}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}.json`);
      if (!(await exists(path))) await writeWhole(path, text);
      return path;
    },
  };
}

async function run(python: string, args: readonly string[], what: string, ctx: Context): Promise<string> {
  const { failed, stdout, stderr } = await execa(python, args, {
    cancelSignal: ctx.signal,
    stdin: 'ignore',
    reject: false,
    env: { PYTHONNOUSERSITE: '1' },
  });
  throwIfCancelled(ctx.signal);
  if (!failed) return stdout.trim();
  throw new MakeRuntimeError('SOURCE_UNREACHABLE', `${what} could not be installed.`, {
    remedy: 'Check that pip reaches PyPI from here, and that there are wheels for this Python.',
    detail: stderr.split('\n').slice(-8).join('\n'),
  });
}

/**
 * A copy of the interpreter as `make install` left it, with AWS's client installed by its own pip.
 * @param linked the layer's executable: the same interpreter, bound to an older glibc. It takes the place of one that
 * was compiled in a container with a newer glibc than this machine's, and so cannot start here.
 */
async function installClient(
  plan: Plan,
  installed: string,
  linked: string,
  ctx: Context,
): Promise<{ interpreter: string; version: string }> {
  const folder = join(ctx.cacheDir, 'bench', `client-${compileKey(plan)}`);
  const interpreter = join(folder, 'bin', plan.python.executable);
  await folderOnce(folder, async (scratch) => {
    ctx.report({ type: 'progress', stage: 'bench', text: "installing AWS's client from PyPI" });
    await cp(installed, scratch, { recursive: true, verbatimSymlinks: true });
    const python = join(scratch, 'bin', plan.python.executable);
    const starts = await execa(python, ['-I', '-S', '-c', 'pass'], { reject: false, stdin: 'ignore' });
    if (starts.failed) await cp(linked, python, { force: true });
    await run(python, ['-m', 'ensurepip'], 'pip', ctx);
    // The newest that has a wheel for this interpreter: its source needs autotools and builds libcurl.
    const words = ['install', '--quiet', '--no-warn-script-location', '--only-binary=awslambdaric', 'awslambdaric'];
    await run(python, ['-m', 'pip', ...words], "AWS's client", ctx);
  });
  const ask = 'import importlib.metadata as m; print(m.version("awslambdaric"))';
  return { interpreter, version: await run(interpreter, ['-c', ask], "AWS's client", ctx) };
}
