// What is published where, and what of it is stale: behind the newest release of the layer elsewhere, missing in a region,
// or of a CPython that has a newer patch release. It changes nothing.
import type { AwsSession } from '../aws/session.ts';
import type { Context } from '../lib/context.ts';
import type { Lock } from '../recipe/model.ts';
import { pinsOf } from '../recipe/plan.ts';
import { compareVersions, seriesOf } from '../recipe/version.ts';
import { LayerRegion, type LayerVersion } from './layer-region.ts';
import { type DescribedBuild, readDescription } from './request.ts';

export interface ListedLayer {
  readonly region: string;
  readonly name: string;
  readonly version: number;
  readonly arn: string;
  readonly created: string;
  /** Of the zip, bytes. */
  readonly size: number;
  readonly codeSha256: string;
  readonly description: string;
  readonly built: DescribedBuild | undefined;
  /** Versions older than this one. */
  readonly older: readonly number[];
  /** Why somebody should publish again; empty when it is as new as can be. */
  readonly stale: readonly string[];
}

export interface Listing {
  readonly layers: readonly ListedLayer[];
  /** Names that are in some regions, but not in these. */
  readonly missing: readonly { readonly region: string; readonly name: string }[];
  readonly failures: readonly { readonly region: string; readonly error: unknown }[];
}

export interface ListInput {
  readonly regions: readonly string[];
  /** Only this layer; every one that make-runtime published when absent. */
  readonly name?: string | undefined;
  readonly concurrency: number;
  /** For the newest release of each CPython that can be built. */
  readonly lock: Lock;
}

/** A region that fails is told apart from the others; only CANCELLED is thrown by none. */
export async function listPublished(input: ListInput, aws: AwsSession, ctx: Context): Promise<Listing> {
  const identity = await aws.identity(input.regions[0] ?? 'us-east-1');
  const found: Omit<ListedLayer, 'stale'>[] = [];
  const failures: { region: string; error: unknown }[] = [];
  const waiting = [...input.regions];
  const began = Date.now();
  const stage = {
    stage: 'layers',
    title: `look into ${input.regions.length} region${input.regions.length === 1 ? '' : 's'}`,
  };
  ctx.report({ type: 'stage-start', ...stage });
  const worker = async (): Promise<void> => {
    for (let region = waiting.shift(); region !== undefined; region = waiting.shift()) {
      try {
        ctx.report({ type: 'progress', stage: 'layers', text: region });
        using layers = new LayerRegion(region, identity, aws);
        found.push(...(await layersOf(layers, input.name)));
      } catch (error) {
        failures.push({ region, error });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, input.concurrency) }, worker));
  ctx.report({ type: 'stage-end', ...stage, milliseconds: Date.now() - began, cached: false });
  const layers = found
    .map((layer) => ({ ...layer, stale: whyStale(layer, found, input.lock) }))
    .sort((one, other) => compare(one.name, other.name) || compare(one.region, other.region));
  const failed = new Set(failures.map(({ region }) => region));
  const missing = [...new Set(layers.map(({ name }) => name))].flatMap((name) =>
    input.regions
      .filter((region) => !failed.has(region) && !layers.some((one) => one.name === name && one.region === region))
      .map((region) => ({ region, name })),
  );
  return { layers, missing, failures };
}

async function layersOf(layers: LayerRegion, wanted: string | undefined): Promise<Omit<ListedLayer, 'stale'>[]> {
  const ours = ({ metadata }: LayerVersion) => readDescription(metadata.description) !== undefined;
  const names =
    wanted === undefined
      ? (await layers.layers()).filter(({ newest }) => ours(newest)).map(({ name }) => name)
      : [wanted];
  const rows: Omit<ListedLayer, 'stale'>[] = [];
  for (const name of names) {
    const [first, ...older] = await layers.versions(name);
    const newest = first && (await layers.version(name, first.version));
    if (newest === undefined) continue;
    const { version, arn, created, size, codeSha256, metadata } = newest;
    const { description } = metadata;
    const built = readDescription(description);
    const about = { region: layers.region, name, version, arn, created, size, codeSha256, description, built };
    rows.push({ ...about, older: older.map((one) => one.version) });
  }
  return rows;
}

function whyStale(
  layer: Omit<ListedLayer, 'stale'>,
  all: readonly Omit<ListedLayer, 'stale'>[],
  lock: Lock,
): readonly string[] {
  const reasons: string[] = [];
  const [leader] = all
    .filter(({ name }) => name === layer.name)
    .sort((one, other) => Date.parse(isoDate(other.created)) - Date.parse(isoDate(one.created)));
  if (leader !== undefined && leader.codeSha256 !== layer.codeSha256) {
    reasons.push(`${leader.region} has ${leader.built ? `plan ${leader.built.plan}` : 'newer content'}`);
  }
  const { python } = layer.built ?? {};
  const newest = python === undefined ? undefined : pinsOf(lock, seriesOf(python))[0]?.version;
  if (python !== undefined && newest !== undefined && compareVersions(python, newest) < 0) {
    reasons.push(`CPython ${newest} is pinned`);
  }
  return reasons;
}

/** Lambda writes +0000, which Date.parse need not know. */
export function isoDate(created: string): string {
  return created.replace(/\+0000$/, 'Z');
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
