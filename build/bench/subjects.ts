// What is compared: the layer, plain Python of the same build, and AWS's own client on the same interpreter.
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { compileKey } from '../compile/compile.ts';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { exists, folderOnce } from '../lib/folder.ts';
import { readBuildRecord } from '../package/build-json.ts';
import { langFolder } from '../package/layout.ts';
import { unpackLayer } from '../package/unpack.ts';
import { readZip } from '../package/unzip.ts';
import { prefix } from '../recipe/cpython.ts';
import type { Plan } from '../recipe/model.ts';

/** Something that can be started. */
export interface Subject {
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Whether it asks for work (and is timed until it does) or ends by itself (and is timed until then). */
  readonly serves: boolean;
}

export interface Subjects {
  readonly plan: Plan;
  /** The version of awslambdaric that pip chose. */
  readonly clientVersion: string;
  readonly layer: Subject;
  readonly python: Subject;
  readonly client: Subject;
}

/**
 * Prepares everything, so that starting is all that is left to time.
 * @throws ARTIFACT_NOT_A_LAYER when the artifact was not built by this tool on this machine, SOURCE_UNREACHABLE
 */
export async function prepareSubjects(artifact: string, ctx: Context): Promise<Subjects> {
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
  const layerDir = await unpackLayer(artifact, tree, ctx);
  const code = join(ctx.cacheDir, 'bench', 'function');
  await mkdir(code, { recursive: true });
  await writeFile(join(code, 'app.py'), 'def handler(event, context):\n    return event\n');
  const { interpreter, version } = await installClient(plan, installed, ctx);
  const env = {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    LANG: 'C.UTF-8',
    TZ: ':UTC',
    LAMBDA_TASK_ROOT: code,
    _HANDLER: 'app.handler',
    AWS_LAMBDA_FUNCTION_NAME: 'bench',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_REGION: 'us-east-1',
  };
  const python = join(layerDir, langFolder, 'bin', plan.python.executable);
  return {
    plan,
    clientVersion: version,
    layer: {
      name: 'make-runtime',
      argv: [join(layerDir, 'bootstrap')],
      env: { ...env, MAKE_RUNTIME_LAYER_ROOT: layerDir },
      cwd: code,
      serves: true,
    },
    python: { name: 'python -I -S -c pass', argv: [python, '-I', '-S', '-c', 'pass'], env, cwd: code, serves: false },
    client: {
      name: `awslambdaric ${version}`,
      argv: [interpreter, '-m', 'awslambdaric', 'app.handler'],
      env,
      cwd: code,
      serves: true,
    },
  };
}

/** A copy of the interpreter as `make install` left it, with AWS's client installed by its own pip. */
async function installClient(
  plan: Plan,
  installed: string,
  ctx: Context,
): Promise<{ interpreter: string; version: string }> {
  const folder = join(ctx.cacheDir, 'bench', `client-${compileKey(plan)}`);
  const interpreter = join(folder, 'bin', plan.python.executable);
  const run = async (python: string, ...args: string[]): Promise<string> => {
    const options = {
      cancelSignal: ctx.signal,
      stdin: 'ignore',
      reject: false,
      env: { PYTHONNOUSERSITE: '1' },
    } as const;
    const { failed, stdout, stderr } = await execa(python, args, options);
    throwIfCancelled(ctx.signal);
    if (!failed) return stdout.trim();
    throw new MakeRuntimeError('SOURCE_UNREACHABLE', "AWS's client could not be installed from PyPI.", {
      remedy: 'Check that pip reaches PyPI from here, and that there is a wheel for this Python.',
      detail: stderr.split('\n').slice(-8).join('\n'),
    });
  };
  await folderOnce(folder, async (scratch) => {
    ctx.report({ type: 'progress', stage: 'bench', text: "installing AWS's client from PyPI" });
    await cp(installed, scratch, { recursive: true, verbatimSymlinks: true });
    const python = join(scratch, 'bin', plan.python.executable);
    await run(python, '-m', 'ensurepip');
    // The newest that has a wheel for this interpreter: its source needs autotools and builds libcurl.
    await run(
      python,
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-warn-script-location',
      '--only-binary=awslambdaric',
      'awslambdaric',
    );
  });
  const version = await run(interpreter, '-c', 'import importlib.metadata as m; print(m.version("awslambdaric"))');
  return { interpreter, version };
}
