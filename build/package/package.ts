// The package stage: installed tree and plan in, layer.zip out, with ledger.json beside it.
// The zip appears last and whole: when it is there, everything of this stage is. It never compiles or judges.
import { createHash } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../lib/context.ts';
import { explainSystemError } from '../lib/errors.ts';
import { replaceFile } from '../lib/folder.ts';
import { stableJson } from '../recipe/canonical.ts';
import type { Plan } from '../recipe/model.ts';
import type { Component } from '../sbom/model.ts';
import type { Ledger } from '../tree/prune.ts';
import { emptyTree, mergeTrees, type Tree, treeSize } from '../tree/tree.ts';
import { buildRecord } from './build-json.ts';
import { layerTree, maxDirectUploadBytes, refuseOversize } from './layout.ts';
import { zipChunks } from './zip.ts';

export interface PackageInput {
  /** The installed tree, pruned: bin/, lib/, ... */
  readonly tree: Tree;
  readonly plan: Plan;
  readonly ledger: Ledger;
  /** For build.json: what all of it is made of. */
  readonly components?: readonly Component[];
  /** Made when it does not exist. */
  readonly outDir: string;
  readonly toolchain?: Readonly<Record<string, string>>;
  /** Licence texts, for lang/share/licenses. */
  readonly notices?: Tree;
  /** More files for the layer, with paths below /opt; they win over what is there. */
  readonly extraFiles?: Tree;
}

export interface Layer {
  readonly kind: 'layer';
  readonly path: string;
  readonly sha256: string;
  /** Of the zip, bytes. */
  readonly size: number;
  /** What it takes below /opt, bytes. */
  readonly unpacked: number;
  readonly files: number;
  /** Too big for the publishing request itself: it has to go through S3. */
  readonly needsS3: boolean;
}

/**
 * Writes <outDir>/layer.zip and <outDir>/ledger.json, replacing older ones.
 * Throws PACK_TOO_LARGE, DISK_FULL and CANCELLED; leaves nothing half-written.
 */
export async function packageLayer(input: PackageInput, ctx: Pick<Context, 'report' | 'signal'>): Promise<Layer> {
  const { tree, plan, ledger, components, outDir, toolchain = {}, notices = emptyTree, extraFiles = emptyTree } = input;
  const buildJson = Buffer.from(
    stableJson(buildRecord({ plan, toolchain, tree, ledger, ...(components && { components }) })),
  );
  const layer = mergeTrees(layerTree({ tree, python: plan.python, notices, buildJson }), extraFiles);
  refuseOversize(layer);
  const path = join(outDir, 'layer.zip');
  try {
    await mkdir(outDir, { recursive: true });
    await replaceFile(join(outDir, 'ledger.json'), (partial) => writeFile(partial, stableJson(ledger)));
    const written = await writeZip(layer, path, ctx.signal);
    const { files, bytes } = treeSize(layer);
    const needsS3 = written.size > maxDirectUploadBytes;
    if (needsS3) {
      ctx.report({
        type: 'warn',
        message: `${path} is larger than the 50 MB that Lambda takes directly.`,
        remedy: 'Publish it through an S3 bucket in the same region.',
      });
    }
    return { kind: 'layer', path, ...written, unpacked: bytes, files, needsS3 };
  } catch (error) {
    throw explainSystemError(error, `writing ${outDir}`);
  }
}

/**
 * Packs a tree into a zip at `path`, whole or not at all.
 * @returns sha256 and size (bytes) of what was written
 */
export async function writeZip(
  tree: Tree,
  path: string,
  signal?: AbortSignal,
): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  await replaceFile(path, async (partial) => {
    const file = await open(partial, 'wx', 0o644);
    try {
      for await (const chunk of zipChunks(tree, signal)) {
        hash.update(chunk);
        size += chunk.byteLength;
        await file.writeFile(chunk);
      }
    } finally {
      await file.close();
    }
  });
  return { sha256: hash.digest('hex'), size };
}
