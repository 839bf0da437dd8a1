// An artifact file -> verdict or inspection, with its interpreter run inside the lambda room's sandbox. The glue
// between the checks, which take any Runner, and the sandbox, which knows no checks.
import { machineArch } from '../lambda/emulation.ts';
import { Sandbox } from '../lambda/sandbox.ts';
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError, type MakeRuntimeError } from '../lib/errors.ts';
import { unpackLayer } from '../package/unpack.ts';
import { readZip } from '../package/unzip.ts';
import type { Arch } from '../recipe/model.ts';
import { verify } from './checks.ts';
import { type Inspection, inspect } from './inspect.ts';
import { type Licences, licencesOf } from './licences.ts';
import type { Runner } from './runner.ts';
import { openSubject, type Subject } from './subject.ts';
import type { Verdict } from './verdict.ts';

export interface VerifyRequest {
  readonly arch?: Arch;
  /** A function's zip, or a layer of packages, that shall run on it. */
  readonly code?: string;
}

/**
 * Judges a layer zip, also one this tool did not build.
 * @throws ARTIFACT_NOT_FOUND, ARTIFACT_NOT_A_LAYER, CANCELLED
 */
export async function verifyArtifact(path: string, options: VerifyRequest, ctx: Context): Promise<Verdict> {
  const { arch, code } = options;
  const subject = await openSubject(path, { ...(arch && { arch }), signal: ctx.signal });
  const function_ = code === undefined ? {} : { code: { name: code, tree: await readZip(code) } };
  return withRunner(subject, path, ctx, (runner) => verify(subject, ctx, { runner, ...function_ }));
}

/** Looks at a layer zip; throws as verifyArtifact(). */
export async function inspectArtifact(path: string, ctx: Context): Promise<Inspection> {
  const subject = await openSubject(path, { signal: ctx.signal });
  return withRunner(subject, path, ctx, (runner) => inspect(subject, { runner }));
}

/** What a layer is made of and under which licences; throws as verifyArtifact(). */
export async function artifactLicences(path: string, ctx: Context): Promise<Licences> {
  return licencesOf(await openSubject(path, { signal: ctx.signal }));
}

async function withRunner<Result>(
  subject: Subject,
  path: string,
  ctx: Context,
  use: (runner: Runner) => Promise<Result>,
): Promise<Result> {
  const layerDir = await unpackLayer(path, subject.tree, ctx);
  const { sandbox, refusal } = await openFor(subject.arch, layerDir, ctx);
  const { emulation } = sandbox;
  try {
    return await use({
      root: sandbox.places.layerRoot,
      ...(emulation && { emulates: { arch: emulation.arch, by: emulation.name } }),
      ...(refusal && { cannotEmulate: refusal.message }),
      run: async (argv, options = {}) => {
        const { exitCode, signal, stdout, stderr } = await sandbox.run(argv, options);
        return { exitCode: exitCode ?? null, signal: signal ?? null, stdout, stderr };
      },
    });
  } finally {
    await sandbox.close();
  }
}

/** A sandbox for the artifact's architecture; one for the machine's own, and the reason, where that cannot be. */
async function openFor(
  arch: Arch | undefined,
  layerDir: string,
  ctx: Context,
): Promise<{ readonly sandbox: Sandbox; readonly refusal?: MakeRuntimeError }> {
  const layerDirs = [layerDir];
  try {
    return { sandbox: await Sandbox.open({ layerDirs, archOf: () => Promise.resolve(arch) }, ctx) };
  } catch (error) {
    const lacks = isMakeRuntimeError(error) && ['ARTIFACT_WRONG_ARCH', 'SANDBOX_UNAVAILABLE'].includes(error.code);
    if (!lacks || arch === machineArch()) throw error;
    return { sandbox: await Sandbox.open({ layerDirs }, ctx), refusal: error };
  }
}
