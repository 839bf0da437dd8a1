// `make-runtime layers`: what is published where, and what is stale.
import { chooseRegions } from '../aws/regions.ts';
import { AwsSession } from '../aws/session.ts';
import { columns } from '../lib/columns.ts';
import { isMakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { type Listing, listPublished } from '../publish/published.ts';
import { requireLayerName } from '../publish/request.ts';
import { readLock } from '../source/lock.ts';
import type { Edge } from './edge.ts';
import { quietSdk } from './publish.ts';

interface LayersOptions {
  readonly region?: readonly string[];
  readonly name?: string;
  readonly profile?: string;
  readonly concurrency: number;
}

export async function layers(options: LayersOptions, edge: Edge): Promise<void> {
  quietSdk();
  const { ctx } = edge;
  const { name, concurrency } = options;
  if (name !== undefined) requireLayerName(name);
  using aws = new AwsSession(ctx, { profile: options.profile });
  const regions = await chooseRegions(options.region ?? [], aws);
  const listing = await listPublished({ regions, name, concurrency, lock: await readLock(ctx.packageDir) }, aws, ctx);
  throwIfCancelled(ctx.signal);
  const { failures } = listing;
  edge.print(edge.json ? JSON.stringify(asJson(listing)) : describe(listing, name));
  for (const { region, error } of failures.slice(1)) edge.say(`${region}: ${(error as Error).message}`);
  if (failures[0] !== undefined) throw failures[0].error;
}

function describe({ layers, missing, failures }: Listing, name: string | undefined): string {
  if (layers.length === 0 && failures.length === 0) {
    return name === undefined ? 'make-runtime has published no layer here.' : `No layer ${name} here.`;
  }
  const lines = layers.map(({ name, region, version, created, size, built, older, stale }) => [
    name,
    region,
    `version ${version}`,
    created.slice(0, 10),
    `${(size / 1e6).toFixed(1)} MB`,
    built ? `${built.python} ${built.flavor} ${built.arch}, plan ${built.plan}` : '',
    stale.length > 0 ? `stale: ${stale.join(', ')}` : older.length > 0 ? `${older.length} older` : '',
  ]);
  return columns([...lines, ...missing.map(({ name, region }) => [name, region, 'not published'])]).join('\n');
}

function asJson({ layers, missing, failures }: Listing) {
  return {
    layers,
    missing,
    failures: failures.map(({ region, error }) => ({
      region,
      code: isMakeRuntimeError(error) ? error.code : 'INTERNAL',
      message: (error as Error).message,
    })),
  };
}
