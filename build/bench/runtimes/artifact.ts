// A layer of ours, unpacked: its bootstrap, and its interpreter called as an ordinary one.
import { join } from 'node:path';
import { compileKey } from '../../compile/compile.ts';
import { ownArch } from '../../compile/engine.ts';
import type { Context } from '../../lib/context.ts';
import { MakeRuntimeError } from '../../lib/errors.ts';
import { exists } from '../../lib/folder.ts';
import { readBuildRecord } from '../../package/build-json.ts';
import { langFolder } from '../../package/layout.ts';
import { unpackLayer } from '../../package/unpack.ts';
import { readZip } from '../../package/unzip.ts';
import { prefix } from '../../recipe/cpython.ts';
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
import type { Command } from '../harness.ts';
import { type ClientInterpreter, clientOfPlan, makerOf } from './awslambdaric.ts';
import { lambdaEnv, type Runtime } from './runtime.ts';

export interface Artifact extends Runtime {
  readonly plan: Plan;
  readonly freeThreaded: boolean;
  /** The layer's own interpreter, called as an ordinary one. */
  interpreter(...args: string[]): Command;
}

/** A layer that was read, before it has a name. */
export interface OpenedArtifact {
  readonly plan: Plan;
  /** AWS's client on the interpreter as `make install` left it; absent where that is no longer here. */
  readonly client: ClientInterpreter | undefined;
  named(name: string): Artifact;
}

/**
 * @param withClient whether AWS's client is wanted beside it
 * @param pip an interpreter with pip, for a layer that was built elsewhere
 * @throws ARTIFACT_NOT_FOUND, ARTIFACT_NOT_A_LAYER for a layer of another tool, ARTIFACT_WRONG_ARCH, SOURCE_UNREACHABLE
 */
export async function openArtifact(
  path: string,
  { withClient, pip }: { withClient: boolean; pip: string },
  ctx: Context,
): Promise<OpenedArtifact> {
  const tree = await readZip(path);
  const record = await readBuildRecord(tree);
  if (record === undefined) {
    throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `${path} is not a layer that this tool has built.`, {
      remedy: 'Build one: make-runtime build <recipe>. Other runtimes are compared as images: --image.',
    });
  }
  const { plan } = record;
  if (plan.arch !== ownArch()) {
    throw new MakeRuntimeError('ARTIFACT_WRONG_ARCH', `${path} is for ${plan.arch}, this machine is ${ownArch()}.`, {
      remedy: 'Measure it on a processor of its own: figures of an emulated one say nothing about it.',
    });
  }
  const layerDir = await unpackLayer(path, tree, ctx);
  const lang = join(layerDir, langFolder);
  const own = join(lang, 'bin', plan.python.executable);
  const installed = join(ctx.cacheDir, 'compile', compileKey(plan), 'root', prefix);
  const client = withClient && (await exists(installed)) ? await clientOfPlan(plan, installed, own, ctx) : undefined;
  const about =
    client?.about ?? (JSON.parse(await runPython(own, ['-I', '-c', askAbout], 'The interpreter', ctx)) as About);
  const maker: FunctionMaker =
    client === undefined
      ? {
          about,
          pip: { python: pip, own: false },
          compile: async (folder) => void (await runPython(own, compileWords(folder), 'The functions', ctx)),
        }
      : makerOf(client, ctx);
  const folder = join(ctx.cacheDir, 'bench');
  return {
    plan,
    client,
    named: (name) => ({
      name,
      kind: 'artifact',
      python: pythonName(about),
      identity: `${plan.name}, plan ${plan.id}`,
      plan,
      freeThreaded: about.freeThreaded,
      start: (code, env = {}) => ({
        argv: [join(layerDir, 'bootstrap')],
        env: lambdaEnv(code.folder, { MAKE_RUNTIME_LAYER_ROOT: layerDir, ...env }),
        cwd: code.folder,
        files: [layerDir, code.folder],
      }),
      interpreter: (...args) => ({
        argv: [own, ...args],
        env: lambdaEnv(folder, {}),
        cwd: folder,
        files: [layerDir],
      }),
      fn: (title, source, packages = []) => makeFunction(maker, { name: title, source, packages }, ctx),
    }),
  };
}
