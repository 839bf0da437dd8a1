// What dependencies are for: a layer that make-runtime built, with the plan inside of it, its files, and an interpreter
// that can compile bytecode for it. Knows nothing of packages.
import { join } from 'node:path';
import { execa } from 'execa';
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { readBuildRecord } from '../package/build-json.ts';
import { langFolder } from '../package/layout.ts';
import { unpackLayer } from '../package/unpack.ts';
import { readZip } from '../package/unzip.ts';
import type { Plan } from '../recipe/model.ts';
import { treeSize } from '../tree/tree.ts';
import { bundledPip } from '../wheels/pip.ts';

export interface DepsTarget {
  readonly plan: Plan;
  /** The unpacked layer: what /opt is. */
  readonly layerDir: string;
  /** Bytes of the layer, unpacked. */
  readonly layerBytes: number;
  /** The layer's own interpreter on this machine. */
  readonly executable: string;
  /** Whether that can run here. */
  readonly runs: boolean;
  /** Compiles bytecode of the target's version: the layer's own, or this machine's of the same magic number. */
  readonly compiler: string | undefined;
  /** A folder with the package pip, to be run by this machine's python3. */
  readonly pip: string;
}

/**
 * Opens a layer.zip as a target.
 * @throws ARTIFACT_NOT_FOUND, ARTIFACT_NOT_A_LAYER (also for a layer of somebody else: what it is for is not written in
 *   it), DEPS_UNAVAILABLE when there is no pip, CANCELLED
 */
export async function openTarget(artifact: string, ctx: Context): Promise<DepsTarget> {
  const tree = await readZip(artifact);
  const record = await readBuildRecord(tree);
  if (record === undefined) {
    throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `${artifact} was not built by make-runtime.`, {
      remedy: 'Give a layer.zip that `make-runtime build` wrote: it says which Python the packages are for.',
    });
  }
  const { plan } = record;
  const layerDir = await unpackLayer(artifact, tree, ctx);
  const executable = join(layerDir, langFolder, 'bin', plan.python.executable);
  const magic = await magicOf(executable, ctx);
  const compiler = magic === undefined ? await sameVersion(plan, ctx) : executable;
  const { bytes } = treeSize(tree);
  return {
    plan,
    layerDir,
    layerBytes: bytes,
    executable,
    runs: magic !== undefined,
    compiler,
    pip: await pipOf(plan, ctx),
  };
}

/** The pip of the plan's own source, and this machine's where that source cannot be had: any pip knows any target. */
async function pipOf(plan: Plan, ctx: Context): Promise<string> {
  try {
    return (await bundledPip(plan, ctx)).folder;
  } catch (error) {
    if (!isMakeRuntimeError(error) || error.code === 'CANCELLED') throw error;
    const find = 'import os, pip; print(os.path.dirname(os.path.dirname(pip.__file__)))';
    const own = await execa('python3', ['-c', find], { reject: false, stdin: 'ignore', cancelSignal: ctx.signal });
    throwIfCancelled(ctx.signal);
    if (own.exitCode === 0) return own.stdout.trim();
    throw new MakeRuntimeError('DEPS_UNAVAILABLE', 'There is no pip to fetch packages with.', {
      remedy: 'Install pip for python3, or let the source of CPython be fetched, which has one.',
      detail: error.message,
      cause: error,
    });
  }
}

/** The number that the bytecode of an interpreter begins with; undefined when it does not run here. */
async function magicOf(interpreter: string, ctx: Context): Promise<string | undefined> {
  const ask = 'import _frozen_importlib_external as e; print(e.MAGIC_NUMBER.hex())';
  const { exitCode, stdout } = await execa(interpreter, ['-I', '-S', '-c', ask], {
    reject: false,
    stdin: 'ignore',
    cancelSignal: ctx.signal,
  });
  throwIfCancelled(ctx.signal);
  return exitCode === 0 ? stdout.trim() : undefined;
}

/**
 * An interpreter of this machine whose release has the target's bytecode. Magic numbers do not change between final
 * releases of a version (Include/internal/pycore_magic_number.h), nor with the GIL or the processor.
 */
async function sameVersion({ python }: Plan, ctx: Context): Promise<string | undefined> {
  const ask = 'import sys; print("%d.%d" % sys.version_info[:2], sys.version_info.releaselevel)';
  for (const name of [`python${python.minor}`, `python${python.minor}t`]) {
    const { exitCode, stdout } = await execa(name, ['-I', '-S', '-c', ask], { reject: false, stdin: 'ignore' });
    if (exitCode === 0 && stdout.trim() === `${python.minor} final` && !/[a-z]/.test(python.version)) return name;
  }
  throwIfCancelled(ctx.signal);
  return undefined;
}
