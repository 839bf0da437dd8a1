// What publishing would do in one region, as data: nothing here changes anything, and apply.ts does no more than it says.
// So a dry run shows what a run does, and a run that was killed is gone on with by looking again.
import type { AwsSession, Identity } from '../aws/session.ts';
import type { Publishable } from './artifact.ts';
import { LayerBucket, missingBucket } from './bucket.ts';
import { maxInlineZip } from './inline-body.ts';
import type { LayerRegion, LayerVersion, LayerVersionContent } from './layer-region.ts';
import { ArnParameter } from './parameter.ts';
import type { Grant, LayerRequest, Metadata } from './request.ts';

export interface RegionPlan {
  readonly region: string;
  /** The newest version there is. */
  readonly newest: LayerVersionContent | undefined;
  /** undefined when the newest version is what would be published. */
  readonly publish: Publishing | undefined;
  /** Grants that are missing on what the newest version will be. */
  readonly grants: readonly Grant[];
  /** A parameter that does not have the ARN yet, and what it has. */
  readonly parameter: { readonly name: string; readonly from: string | undefined } | undefined;
  readonly prune: readonly LayerVersion[];
  /** Versions that would be pruned if no function used them. */
  readonly inUse: readonly { readonly version: number; readonly functions: readonly string[] }[];
}

export interface Publishing {
  readonly why: string;
  readonly through: 'request' | { readonly bucket: string; readonly create: boolean };
}

/** What one region takes part with. */
export interface RegionTask {
  readonly artifact: Publishable;
  readonly request: LayerRequest;
  readonly layers: LayerRegion;
  readonly identity: Identity;
  readonly aws: AwsSession;
}

/** @throws BUCKET_MISSING, BUCKET_UNUSABLE, and what AwsSession.ask() throws */
export async function surveyRegion(task: RegionTask): Promise<RegionPlan> {
  const { artifact, request, layers } = task;
  const { name } = request;
  const versions = await layers.versions(name);
  const newest = versions[0] && (await layers.version(name, versions[0].version));
  const why = whyPublish(newest, artifact, request.metadata);
  const publish = why === undefined ? undefined : { why, through: await through(task) };
  // The version to come counts among those that are kept.
  const old = request.keep === undefined ? [] : versions.slice(request.keep - (publish ? 1 : 0));
  const granted = publish || !newest ? new Set() : await grantsOf(task, newest);
  return {
    region: layers.region,
    newest,
    publish,
    grants: request.grants.filter(({ id }) => !granted.has(id)),
    parameter: await parameterChange(task, publish ? undefined : newest?.arn),
    ...(await unused(old, layers)),
  };
}

/** In a few words, or undefined when the newest version has these bytes and this metadata. */
export function whyPublish(
  newest: LayerVersionContent | undefined,
  artifact: Pick<Publishable, 'sha256'>,
  metadata: Metadata,
): string | undefined {
  if (newest === undefined) return 'there is none yet';
  if (newest.codeSha256 !== base64(artifact.sha256)) return `version ${newest.version} differs in content`;
  const other = newest.metadata;
  const differing = [
    ...(other.description === metadata.description ? [] : ['description']),
    ...(sameSet(other.runtimes, metadata.runtimes) ? [] : ['compatible runtimes']),
    ...(sameSet(other.architectures, metadata.architectures) ? [] : ['compatible architectures']),
    ...(other.licence === metadata.licence ? [] : ['licence']),
  ];
  return differing.length === 0 ? undefined : `version ${newest.version} differs in ${differing.join(', ')}`;
}

/** Which of some versions no function uses, and who uses the others. Asks only when there are any. */
export async function unused(
  versions: readonly LayerVersion[],
  layers: LayerRegion,
): Promise<Pick<RegionPlan, 'prune' | 'inUse'>> {
  if (versions.length === 0) return { prune: [], inUse: [] };
  const users = await layers.users();
  return {
    prune: versions.filter(({ arn }) => !users.has(arn)),
    inUse: versions.flatMap(({ version, arn }) => {
      const functions = users.get(arn);
      return functions === undefined ? [] : [{ version, functions }];
    }),
  };
}

export function base64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

async function through({ artifact, request, layers, identity, aws }: RegionTask): Promise<Publishing['through']> {
  if (artifact.size <= maxInlineZip) return 'request';
  using bucket = new LayerBucket(request.bucket, layers.region, identity, aws);
  const exists = await bucket.exists();
  if (!exists && !request.bucket.create) throw missingBucket(bucket.name, layers.region);
  return { bucket: bucket.name, create: !exists };
}

async function grantsOf({ request, layers }: RegionTask, newest: LayerVersion): Promise<ReadonlySet<string>> {
  return request.grants.length === 0 ? new Set() : layers.grants(request.name, newest.version);
}

async function parameterChange(
  { request, layers, identity, aws }: RegionTask,
  arn: string | undefined,
): Promise<RegionPlan['parameter']> {
  if (request.parameter === undefined) return undefined;
  using parameter = new ArnParameter(request.parameter, layers.region, identity, aws);
  const from = await parameter.value();
  return from !== undefined && from === arn ? undefined : { name: request.parameter, from };
}

function sameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item) => other.includes(item));
}
