// AWS's own client, awslambdaric, on any interpreter: on a copy of an artifact's as `make install` left it, or on one of
// the machine's, in a virtual environment. Refuses to know what it is compared with.
import { createHash } from 'node:crypto';
import { cp, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { compileKey } from '../../compile/compile.ts';
import type { Context } from '../../lib/context.ts';
import { MakeRuntimeError } from '../../lib/errors.ts';
import { folderOnce } from '../../lib/folder.ts';
import type { Plan } from '../../recipe/model.ts';
import {
  type About,
  askAbout,
  compileWords,
  type FunctionMaker,
  makeFunction,
  pythonName,
  runPython,
} from '../functions.ts';
import { lambdaEnv, type Runtime } from './runtime.ts';

/** An interpreter that can import awslambdaric, and has pip. */
export interface ClientInterpreter {
  readonly python: string;
  readonly about: About;
}

/** The newest that has a wheel for an interpreter: its source needs autotools and builds libcurl. */
const install = ['-m', 'pip', 'install', '--quiet', '--no-warn-script-location', '--only-binary=:all:', 'awslambdaric'];

/**
 * A copy of the interpreter that a layer was linked from, with AWS's client installed by its own pip.
 * @param installed the folder that `make install` filled
 * @param linked the layer's executable: the same interpreter, bound to an older glibc. It takes the place of one that
 * was compiled in a container with a newer glibc than this machine's, and so cannot start here.
 */
export async function clientOfPlan(
  plan: Plan,
  installed: string,
  linked: string,
  ctx: Context,
): Promise<ClientInterpreter> {
  const folder = join(ctx.cacheDir, 'bench', `client-${compileKey(plan)}`);
  await folderOnce(folder, async (scratch) => {
    ctx.report({ type: 'progress', stage: 'bench', text: "installing AWS's client from PyPI" });
    await cp(installed, scratch, { recursive: true, verbatimSymlinks: true });
    const python = join(scratch, 'bin', plan.python.executable);
    const starts = await execa(python, ['-I', '-S', '-c', 'pass'], { reject: false, stdin: 'ignore' });
    if (starts.failed) await cp(linked, python, { force: true });
    await runPython(python, ['-m', 'ensurepip'], 'pip', ctx);
    await runPython(python, install, "AWS's client", ctx);
  });
  return ask(join(folder, 'bin', plan.python.executable), ctx);
}

/**
 * @param given an interpreter of the machine: a path, or a name to be found in PATH
 * @throws USAGE when it is none, SOURCE_UNREACHABLE when there is no wheel for it
 */
export async function clientOn(given: string, ctx: Context): Promise<ClientInterpreter> {
  const identify = 'import os, sys; print(os.path.realpath(sys.executable)); print(sys.version)';
  const answer = await execa(given, ['-I', '-c', identify], {
    reject: false,
    stdin: 'ignore',
    cancelSignal: ctx.signal,
  });
  if (answer.failed) {
    throw new MakeRuntimeError('USAGE', `${given} is not a Python that starts.`, {
      remedy: 'Give --client the path of an interpreter, for example /usr/bin/python3.12.',
      detail: answer.stderr || answer.shortMessage || '',
    });
  }
  const [path = ''] = answer.stdout.split('\n');
  const key = createHash('sha256').update(answer.stdout).digest('hex').slice(0, 16);
  const folder = join(ctx.cacheDir, 'bench', `client-on-${key}`);
  await folderOnce(folder, async (scratch) => {
    ctx.report({ type: 'progress', stage: 'bench', text: `installing AWS's client for ${path} from PyPI` });
    await runPython(await realpath(path), ['-m', 'venv', scratch], 'A virtual environment', ctx);
    await runPython(join(scratch, 'bin', 'python'), install, `AWS's client for ${path}`, ctx);
  });
  return ask(join(folder, 'bin', 'python'), ctx);
}

export function clientRuntime(name: string, { python, about }: ClientInterpreter, ctx: Context): Runtime {
  const maker = makerOf({ python, about }, ctx);
  return {
    name,
    kind: 'awslambdaric',
    python: pythonName(about),
    identity: `awslambdaric ${about.client} on CPython ${pythonName(about)}`,
    start: (code, env = {}) => ({
      argv: [python, '-m', 'awslambdaric', 'app.handler'],
      env: lambdaEnv(code.folder, env),
      cwd: code.folder,
      files: [...about.files, code.folder],
    }),
    fn: (title, source, packages = []) => makeFunction(maker, { name: title, source, packages }, ctx),
  };
}

/** Functions by an interpreter that has pip itself. */
export const makerOf = ({ python, about }: ClientInterpreter, ctx: Context): FunctionMaker => ({
  about,
  pip: { python, own: true },
  compile: async (folder) => void (await runPython(python, compileWords(folder), 'The functions of a benchmark', ctx)),
});

async function ask(python: string, ctx: Context): Promise<ClientInterpreter> {
  return { python, about: JSON.parse(await runPython(python, ['-I', '-c', askAbout], "AWS's client", ctx)) as About };
}
