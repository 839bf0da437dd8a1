// `make-runtime publish`: a layer into one or many regions. Wording of the dry run, the summary table and its JSON.
import { chooseRegions } from '../aws/regions.ts';
import { AwsSession } from '../aws/session.ts';
import { columns } from '../lib/columns.ts';
import { isMakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { openPublishable, type Publishable } from '../publish/artifact.ts';
import { writeFiles } from '../publish/files.ts';
import { publishError, publishLayer, type RegionResult } from '../publish/publish.ts';
import { type LayerRequest, type LayerWords, layerMetadata, readWishes } from '../publish/request.ts';
import type { Edge } from './edge.ts';

interface PublishOptions extends LayerWords {
  readonly artifact: string;
  readonly region?: readonly string[];
  readonly profile?: string;
  readonly concurrency: number;
  readonly write?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

export async function publish(options: PublishOptions, edge: Edge): Promise<void> {
  quietSdk();
  const { ctx } = edge;
  const wishes = readWishes(options);
  using aws = new AwsSession(ctx, { profile: options.profile });
  const regions = await chooseRegions(options.region ?? [], aws);
  await aws.identity(regions[0] ?? 'us-east-1'); // Bad credentials are told before a layer is verified.
  const artifact = await openPublishable(options.artifact, { force: options.force ?? false }, ctx);
  const request: LayerRequest = { ...wishes, metadata: layerMetadata(options, artifact) };
  throwIfCancelled(ctx.signal);
  const dryRun = options.dryRun ?? false;
  const results = await publishLayer(
    { artifact, request, regions, concurrency: options.concurrency, dryRun },
    aws,
    ctx,
  );
  const table = columns(results.flatMap((result) => rows(result, request, dryRun))).join('\n');
  const versions = new Map(results.flatMap(({ region, done }) => (done.version ? [[region, done.version]] : [])));
  if (edge.json) edge.print(JSON.stringify(asJson(results, artifact, request, dryRun)));
  else if (dryRun) edge.print(table);
  else {
    edge.say(table);
    if (versions.size > 0) edge.print([...versions.values()].map(({ arn }) => arn).join('\n'));
  }
  // What is published is written down also when some regions failed.
  if (options.write !== undefined && !dryRun && versions.size > 0) {
    const files = await writeFiles(options.write, request.name, versions);
    edge.say(`wrote ${files.join(', ')}`);
  }
  const failure = publishError(results, request.name);
  if (failure) throw failure;
}

/** The SDK warns on stderr about the Node it will need next; docs/publish.md says it instead. */
export function quietSdk(): void {
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
}

function rows(result: RegionResult, request: LayerRequest, dryRun: boolean): string[][] {
  const { region, plan, done, error } = result;
  const failed = error === undefined ? [] : [`failed: ${codeOf(error)}`];
  const arn = done.version?.arn ?? (plan?.publish === undefined ? plan?.newest?.arn : undefined);
  const state = dryRun ? wouldDo(result, request) : [...didDo(result), ...failed];
  const [first = dryRun ? failed.join() : 'nothing done', ...more] = dryRun ? [...failed, ...state] : state;
  return [[region, first, arn ?? ''], ...more.map((text) => ['', text])];
}

function wouldDo({ plan }: RegionResult, request: LayerRequest): string[] {
  if (plan === undefined) return [];
  const { publish, newest, grants, parameter, prune, inUse } = plan;
  const lines: string[] = [];
  if (publish === undefined) lines.push(`version ${newest?.version} is there already`);
  else {
    const { through } = publish;
    const way = through === 'request' ? '' : `, through s3://${through.bucket}${through.create ? ' (to be made)' : ''}`;
    lines.push(`would publish: ${publish.why}${way}`);
  }
  for (const { id } of grants) lines.push(`would share: ${id.replace('make-runtime-', '')}`);
  if (parameter !== undefined)
    lines.push(`would set ${parameter.name}${parameter.from ? `, now ${parameter.from}` : ''}`);
  for (const { version, created } of prune) lines.push(`would remove version ${version} of ${created.slice(0, 10)}`);
  for (const { version, functions } of inUse) {
    lines.push(`would keep version ${version} beyond --keep ${request.keep}: ${functions.join(', ')} use it`);
  }
  return lines;
}

function didDo({ plan, done }: RegionResult): string[] {
  const lines: string[] = [];
  if (done.published) lines.push(`published version ${done.version?.version}`);
  else if (done.version) lines.push(`version ${done.version.version} was there already`);
  if (done.granted.length > 0)
    lines.push(`shared: ${done.granted.map((id) => id.replace('make-runtime-', '')).join(', ')}`);
  if (done.parameter !== undefined) lines.push(`set ${done.parameter}`);
  if (done.pruned.length > 0) lines.push(`removed old: ${done.pruned.join(', ')}`);
  for (const { version, functions } of plan?.inUse ?? [])
    lines.push(`kept version ${version}: ${functions.join(', ')} use it`);
  return lines;
}

function asJson(results: readonly RegionResult[], artifact: Publishable, request: LayerRequest, dryRun: boolean) {
  const { path, sha256, size, arch, plan, overridden } = artifact;
  const { name, metadata } = request;
  return {
    name,
    dryRun,
    artifact: { path, sha256, size, arch, plan: plan?.id, ...(overridden.length > 0 ? { overridden } : {}) },
    description: metadata.description,
    regions: results.map(({ region, plan, done, error, milliseconds }) => ({
      region,
      ok: error === undefined,
      milliseconds,
      ...(done.version ? { arn: done.version.arn, version: done.version.version, created: done.version.created } : {}),
      published: done.published,
      granted: done.granted,
      ...(done.parameter === undefined ? {} : { parameter: done.parameter }),
      pruned: done.pruned,
      ...(dryRun && plan
        ? {
            newest: plan.newest?.arn,
            would: {
              publish: plan.publish,
              grant: plan.grants.map(({ id }) => id),
              parameter: plan.parameter,
              prune: plan.prune.map(({ version }) => version),
            },
          }
        : {}),
      ...(plan && plan.inUse.length > 0 ? { inUse: plan.inUse } : {}),
      ...(error === undefined ? {} : { code: codeOf(error), message: (error as Error).message }),
    })),
  };
}

function codeOf(error: unknown): string {
  return isMakeRuntimeError(error) ? error.code : 'INTERNAL';
}
