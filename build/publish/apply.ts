// Does in one region what its plan says, in the order that leaves every interruption harmless: the version first, then who
// may use it, then the parameter that points at it, and old versions last. A run that was killed in between is finished by
// the next, which surveys again.
import { awsErrorName } from '../aws/failure.ts';
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { pause } from '../source/http.ts';
import { LayerBucket, type StoredObject } from './bucket.ts';
import { type InlineBodies, maxInlineZip } from './inline-body.ts';
import type { LayerVersionContent } from './layer-region.ts';
import { ArnParameter } from './parameter.ts';
import { base64, type RegionPlan, type RegionTask, unused, whyPublish } from './survey.ts';

/** What was done; filled in as it is done, so that what failed half-way can be told. */
export interface Done {
  /** What is there now: published, or found. */
  version?: LayerVersionContent;
  published: boolean;
  readonly granted: string[];
  parameter?: string;
  readonly pruned: number[];
}

export interface ApplyTask extends RegionTask {
  readonly bodies: InlineBodies;
  /** How long to wait before looking whether a request without an answer was taken, milliseconds. */
  readonly settle: number;
}

type Room = Pick<Context, 'signal' | 'report'>;

const uncertainAttempts = 3;

/**
 * @param done gets what was done, also when this throws
 * @throws PUBLISHED_DAMAGED, POLICY_TOO_LONG, AWS_QUOTA with what is used up and what could be removed; CANCELLED;
 *   what surveyRegion() throws
 */
export async function applyPlan(plan: RegionPlan, task: ApplyTask, done: Done, ctx: Room): Promise<void> {
  const { request, layers, identity, aws } = task;
  const say = sayTo(ctx);
  if (plan.publish === undefined) {
    if (plan.newest !== undefined) done.version = plan.newest;
    await removeLeftover(task, ctx);
  } else {
    done.version = await publishVersion(plan.publish.through, task, ctx);
    done.published = true;
  }
  const { version, arn } = done.version as LayerVersionContent;

  for (const grant of plan.grants) {
    throwIfCancelled(ctx.signal);
    say(`sharing: ${grant.id}`);
    await layers.grant(request.name, version, grant).catch((error) => Promise.reject(explainPolicy(error, task)));
    done.granted.push(grant.id);
  }
  if (plan.parameter !== undefined) {
    throwIfCancelled(ctx.signal);
    say(`setting ${plan.parameter.name}`);
    using parameter = new ArnParameter(plan.parameter.name, layers.region, identity, aws);
    await parameter.set(arn);
    done.parameter = plan.parameter.name;
  }
  // Looked up again: the survey is as old as the upload took, and a function may have been deployed meanwhile.
  const { prune } = await unused(plan.prune, layers);
  if (prune.length > 0) {
    const versions = prune.map((one) => one.version).join(', ');
    ctx.report({ type: 'note', message: `removing old versions of ${request.name}: ${versions}` });
  }
  for (const old of prune) {
    throwIfCancelled(ctx.signal);
    await layers.remove(request.name, old.version);
    done.pruned.push(old.version);
  }
}

async function publishVersion(
  through: 'request' | { readonly bucket: string },
  task: ApplyTask,
  ctx: Room,
): Promise<LayerVersionContent> {
  if (through === 'request') return publishCertainly({ inline: task.bodies }, task, ctx);
  const { artifact, request, layers, identity, aws } = task;
  const say = sayTo(ctx);
  using bucket = new LayerBucket(request.bucket, layers.region, identity, aws);
  if (request.bucket.create) {
    say(`making sure of bucket ${bucket.name}`);
    await bucket.create();
  }
  throwIfCancelled(ctx.signal);
  say(`uploading to ${bucket.name}`);
  // Stays there when publishing fails, so that a re-run need not upload again.
  const object = await bucket.put(request.name, artifact);
  const version = await publishCertainly(object, task, ctx);
  if (!request.bucket.keepObject) await removeObject(object, bucket, ctx);
  return version;
}

/** Publishes once: an answer that got lost on its way is looked for instead of asked for again. */
async function publishCertainly(
  content: { readonly inline: InlineBodies } | StoredObject,
  task: ApplyTask,
  ctx: Room,
): Promise<LayerVersionContent> {
  const { artifact, request, layers } = task;
  const { name, metadata } = request;
  const say = sayTo(ctx);
  for (let attempt = 1; ; attempt++) {
    throwIfCancelled(ctx.signal);
    say('publishing');
    try {
      const version = await layers.publish(name, content, metadata);
      if (version.codeSha256 === base64(artifact.sha256)) return version;
      await layers.remove(name, version.version);
      throw damaged(version, task);
    } catch (error) {
      if (!isMakeRuntimeError(error) || error.code !== 'AWS_UNREACHABLE') throw await explainQuota(error, task);
      say('no answer: looking whether it was published');
      await pause(task.settle, ctx.signal);
      // When it was taken, it is the newest version now.
      const [newest] = await layers.versions(name);
      const found = newest && (await layers.version(name, newest.version));
      if (found && whyPublish(found, artifact, metadata) === undefined) return found;
      if (attempt >= uncertainAttempts) throw error;
    }
  }
}

/** What a run that was killed after publishing, and before it could clean up, left in the bucket. */
async function removeLeftover({ artifact, request, layers, identity, aws }: ApplyTask, ctx: Room): Promise<void> {
  if (artifact.size <= maxInlineZip || request.bucket.keepObject) return;
  using bucket = new LayerBucket(request.bucket, layers.region, identity, aws);
  const object = await bucket.find(request.name, artifact).catch(() => undefined);
  if (object !== undefined) await removeObject(object, bucket, ctx);
}

/** The layer is published, so that this fails is no failure. */
async function removeObject(object: StoredObject, bucket: LayerBucket, ctx: Room): Promise<void> {
  await bucket.remove(object).catch((error) => {
    if (!isMakeRuntimeError(error) || error.code === 'CANCELLED') throw error;
    const message = `s3://${object.bucket}/${object.key} could not be removed: ${error.message}`;
    ctx.report({ type: 'warn', message, ...(error.remedy === undefined ? {} : { remedy: error.remedy }) });
  });
}

function damaged(version: LayerVersionContent, { artifact, layers }: ApplyTask): MakeRuntimeError {
  return new MakeRuntimeError(
    'PUBLISHED_DAMAGED',
    `What Lambda stored as ${version.arn} is not what was sent, and was removed again.`,
    {
      remedy: `Run the same command again; should it happen twice, something between here and ${layers.region} changes what passes.`,
      detail: `sent   sha256 ${base64(artifact.sha256)}\nstored sha256 ${version.codeSha256 || '(none said)'}`,
    },
  );
}

function explainPolicy(error: unknown, { request, layers }: ApplyTask): unknown {
  if (awsErrorName(error) !== 'PolicyLengthExceededException') return error;
  const accounts = request.grants.filter(({ principal }) => principal !== '*').length;
  return new MakeRuntimeError(
    'POLICY_TOO_LONG',
    `The policy of ${request.name} in ${layers.region} has no room for ${accounts} accounts.`,
    { remedy: 'Share with the organisation (--share org:o-...) instead of one account after the other.', cause: error },
  );
}

/** To a used-up quota: how much there is, and what could go. Whatever else it is stays as it is. */
async function explainQuota(error: unknown, { request, layers }: ApplyTask): Promise<unknown> {
  if (awsErrorName(error) !== 'CodeStorageExceededException') return error;
  const { region } = layers;
  const { name } = request;
  try {
    const { used, allowed } = await layers.storage();
    const [, ...old] = await layers.versions(name);
    const { prune } = await unused(old, layers);
    const numbers = prune.slice(0, 50).map(({ version }) => version);
    let bytes = 0;
    for (const number of numbers) bytes += (await layers.version(name, number))?.size ?? 0;
    const lines = [
      `${gigabytes(used)} of ${gigabytes(allowed)} are used.`,
      numbers.length === 0
        ? `No old version of ${name} could go: functions use all of them, or there are none.`
        : `No function uses versions ${numbers.join(', ')} of ${name}; removing them would free ${(bytes / 1e6).toFixed(1)} MB.`,
    ];
    const one = numbers.at(-1);
    const remedy =
      one === undefined
        ? `Remove versions of other layers and functions in ${region}, or ask for more code storage in Service Quotas.`
        : `Remove them (aws lambda delete-layer-version --region ${region} --layer-name ${name} --version-number ${one}, and so on), then publish again with --keep.`;
    return new MakeRuntimeError('AWS_QUOTA', `Lambda's code storage in ${region} is full.`, {
      detail: lines.join('\n'),
      remedy,
      cause: error,
    });
  } catch (failure) {
    // Not allowed to look: the plain sentence has to do.
    if (isMakeRuntimeError(failure) && failure.code !== 'CANCELLED') return error;
    throw failure;
  }
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

function sayTo(ctx: Room): (text: string) => void {
  return (text) => ctx.report({ type: 'progress', stage: 'publish', text });
}
