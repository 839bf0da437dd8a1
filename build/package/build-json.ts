// lang/build.json: what a layer says about itself, written when it is packed and read by verify and inspect.
// Deterministic: nothing of the moment or the machine that is not already an input of the plan.
import { architectures, type Plan } from '../recipe/model.ts';
import type { Component } from '../sbom/model.ts';
import type { Ledger, LedgerRow } from '../tree/prune.ts';
import { type Size, sizesByFolder, type Tree, treeSize } from '../tree/tree.ts';
import { buildJsonPath } from './layout.ts';

export interface BuildRecord {
  /** Raised when a reader of the old shape would misunderstand the new one. */
  readonly format: 1;
  readonly plan: Plan;
  /** Versions of the tools that made the tree, by name: {"cc": "gcc 12.2.0", ...}. */
  readonly toolchain: Readonly<Record<string, string>>;
  /** The installed tree after pruning, without notices and this file. */
  readonly installed: Size & { readonly folders: readonly ({ readonly folder: string } & Size)[] };
  /** What pruning took, by rule. The full list of paths is in ledger.json beside the artifact. */
  readonly ledger: Size & { readonly rows: readonly LedgerRow[] };
  /** What the artifact is made of; absent in layers packed before there was such a list. */
  readonly components?: readonly Component[];
}

export interface BuildFacts {
  readonly plan: Plan;
  readonly toolchain: Readonly<Record<string, string>>;
  readonly tree: Tree;
  readonly ledger: Ledger;
  readonly components?: readonly Component[];
}

export function buildRecord({ plan, toolchain, tree, ledger, components }: BuildFacts): BuildRecord {
  return {
    format: 1,
    plan,
    toolchain,
    installed: { ...treeSize(tree), folders: sizesByFolder(tree, 3) },
    ledger: { files: ledger.files, bytes: ledger.bytes, rows: ledger.rows },
    ...(components && { components }),
  };
}

/**
 * The record inside a layer, or undefined when there is none that this version understands: a layer of somebody else
 * may well have a file of that name.
 */
export async function readBuildRecord(layer: Tree): Promise<BuildRecord | undefined> {
  const entry = layer.entries.get(buildJsonPath);
  if (entry?.kind !== 'file') return undefined;
  let record: Partial<BuildRecord> | null;
  try {
    record = JSON.parse(Buffer.from(await entry.read()).toString());
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return isRecord(record) ? record : undefined;
}

/** Looks at the fields that verify and inspect rely on. */
function isRecord(value: Partial<BuildRecord> | null): value is BuildRecord {
  const plan: Partial<Plan> | undefined = value?.plan;
  return (
    value?.format === 1 &&
    architectures.some((arch) => arch === plan?.arch) &&
    typeof plan?.python?.executable === 'string' &&
    typeof plan.python.version === 'string' &&
    typeof plan.flavor === 'string' &&
    typeof plan.glibcFloor === 'string' &&
    Array.isArray(plan.withoutModules) &&
    Array.isArray(plan.prune) &&
    Array.isArray(value.ledger?.rows) &&
    (value.components === undefined || (Array.isArray(value.components) && value.components.every(isComponent)))
  );
}

function isComponent(value: Partial<Component> | null): boolean {
  return typeof value?.name === 'string' && typeof value.purl === 'string' && Array.isArray(value.texts);
}
