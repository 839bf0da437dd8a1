// A layer.zip as it may be published: its bytes' digest, what it says it is, and the verdict that covers exactly these
// bytes. It knows no AWS.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { readBuildRecord } from '../package/build-json.ts';
import { openZip } from '../package/unzip.ts';
import type { Arch, Plan } from '../recipe/model.ts';
import { digestFile } from '../source/cache.ts';
import { verifyArtifact } from '../verify/artifact.ts';
import { type Verdict, verdictError } from '../verify/verdict.ts';

export interface Publishable {
  readonly path: string;
  /** Hex. */
  readonly sha256: string;
  /** Of the zip, bytes. */
  readonly size: number;
  readonly arch: Arch;
  /** Undefined for a layer that make-runtime did not build. */
  readonly plan: Plan | undefined;
  /** SPDX expressions of everything in it, as far as they are recorded. */
  readonly licences: readonly string[];
  /** What --force overrode, one finding a line; empty when the verdict is good. */
  readonly overridden: readonly string[];
}

/** verdict.json beside a layer, as `build` writes it. */
interface StoredVerdict extends Verdict {
  /** Of the zip it is about; absent in those of earlier versions. */
  readonly sha256?: string;
}

/**
 * Opens a layer and finds out whether it may go out: by the verdict stored beside it when that is about these very bytes
 * (a layer may be published where it could not run), by verifying it now when there is none.
 * @param force publish it in spite of a bad verdict, or of bytes that are not those that were verified
 * @throws ARTIFACT_NOT_FOUND, ARTIFACT_NOT_A_LAYER, ARTIFACT_CHANGED; what the verdict amounts to (VERIFY_FAILED, ...)
 */
export async function openPublishable(path: string, { force }: { force: boolean }, ctx: Context): Promise<Publishable> {
  const { tree } = await openZip(path);
  const record = await readBuildRecord(tree);
  const { sha256, size } = await digestFile(path, ctx.signal);
  const stored = await readStored(join(dirname(path), 'verdict.json'));
  const changed = stored?.sha256 !== undefined && stored.sha256 !== sha256;
  if (changed && !force) throw changedError(path, stored.sha256 ?? '', sha256);
  const covered = stored?.sha256 === sha256 ? stored : undefined;
  const verdict = covered ?? (await verifyArtifact(path, {}, ctx));
  const failure = verdictError({ ...verdict, artifact: path });
  if (failure !== undefined && !force) throw failure;
  const overridden = [
    ...(changed ? ['artifact.changed: it is not the file that was verified when it was built'] : []),
    ...verdict.findings.flatMap(({ check, level, message }) => (level === 'fail' ? [`${check}: ${message}`] : [])),
  ];
  if (overridden.length > 0) {
    ctx.report({ type: 'warn', message: `--force overrides:\n${overridden.map((line) => `  ${line}`).join('\n')}` });
  }
  const arch = verdict.arch ?? record?.plan.arch;
  if (arch === undefined) {
    throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `${path} does not tell which architecture it is for.`, {
      remedy: 'Give a layer whose bootstrap or Python is an ELF program.',
    });
  }
  const licences = [...new Set((record?.components ?? []).flatMap(({ licence }) => licence ?? []))].sort();
  return { path, sha256, size, arch, plan: record?.plan, licences, overridden };
}

/** The error for bytes that are no longer those that were judged. */
export function changedError(path: string, before: string, now: string): MakeRuntimeError {
  return new MakeRuntimeError('ARTIFACT_CHANGED', `${path} has changed since it was verified.`, {
    remedy: 'Build it again; or remove verdict.json beside it (or say --force) to have this very file verified.',
    detail: `verified sha256 ${before}\nnow      sha256 ${now}`,
  });
}

/** undefined when there is none, or none that can be read: then the layer is verified anew. */
async function readStored(path: string): Promise<StoredVerdict | undefined> {
  try {
    const value: Partial<StoredVerdict> | null = JSON.parse(await readFile(path, 'utf8'));
    const sound = typeof value?.ok === 'boolean' && Array.isArray(value.findings);
    return sound && typeof value.artifact === 'string' ? (value as StoredVerdict) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
