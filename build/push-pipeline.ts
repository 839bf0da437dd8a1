// The third story, of a push: image -> check -> for each target: connect, deliver -> function. It begins with an OCI
// layout that image-pipeline.ts, or anything else, has made. A target that fails does not stop the others.

import type { AwsSession } from './aws/session.ts';
import type { Context } from './lib/context.ts';
import { isMakeRuntimeError, joinFailures, MakeRuntimeError, throwIfCancelled } from './lib/errors.ts';
import { checkImage } from './push/check.ts';
import { type Delivered, deliver, type Foreseen, foresee } from './push/deliver.ts';
import type { Updated, Waiting } from './push/function.ts';
import type { Shift, Shifted, Watching } from './push/shift.ts';
import { type ImageSource, openImage } from './push/source.ts';
import { type Found, findStatements } from './push/statements.ts';
import { parseTarget, type Target } from './push/target.ts';
import type { Arch } from './recipe/model.ts';
import { dockerCredentials } from './registry/credentials.ts';
import { Registry, type RegistryOptions } from './registry/session.ts';
import { stages } from './stages.ts';
import { type Verdict, verdictError } from './verify/verdict.ts';

export interface PushRequest {
  /** An OCI layout's folder or archive, with ":TAG" behind it where there are several images in it. */
  readonly image: string;
  /** "registry/repository[:tag]" */
  readonly targets: readonly string[];
  readonly platform?: string | undefined;
  /** Never move a tag that has another image. */
  readonly immutable?: boolean;
  /** Push although the verdict is not good. */
  readonly force?: boolean;
  /** Take SBOM and provenance along; true when absent. */
  readonly statements?: boolean;
  /** Repositories, of each target's own registry, to mount blobs from. */
  readonly mountFrom?: readonly string[];
  /** Make repositories of ECR's that are not there, and let Lambda pull from them. */
  readonly create?: RepositoryRequest | undefined;
  /** Accounts whose functions may use images of these repositories. */
  readonly accounts?: readonly string[];
  /** Point a function at the image of the first target in its region. */
  readonly update?: FunctionRequest | undefined;
  /** A profile of ~/.aws; AWS_PROFILE, then the default one, when absent. */
  readonly profile?: string | undefined;
  /** Ask, and change nothing. */
  readonly dryRun?: boolean;
}

export interface RepositoryRequest {
  /** A key of KMS's; ECR's own encryption when absent. */
  readonly kmsKey?: string | undefined;
  /** How many untagged manifests the lifecycle policy of a new repository keeps. */
  readonly keepUntagged: number;
}

export interface FunctionRequest {
  /** Name or ARN. */
  readonly name: string;
  readonly alias?: string | undefined;
  /** The alias follows step by step; at once when absent. */
  readonly shift?: Shift | undefined;
}

export interface PushResult {
  readonly target: string;
  readonly delivered?: Delivered;
  /** In a dry run. */
  readonly foreseen?: Foreseen;
  /** What was done in ECR beside, or would be. */
  readonly steps?: readonly string[];
  readonly error?: unknown;
}

export interface Pushed {
  readonly image: string;
  readonly digest: string;
  /** Of the manifest and all it names, bytes. */
  readonly size: number;
  readonly verdict: Verdict;
  readonly results: readonly PushResult[];
  /** Undefined when no function was to be updated, or its target failed. */
  readonly updated?: Updated & { readonly alias?: Shifted };
  /** What kept the function from being updated, or its alias from moving; the image is pushed all the same. */
  readonly updateError?: MakeRuntimeError;
}

/** How long things may take; tests are less patient. */
export interface PushTimes extends Pick<RegistryOptions, 'patience'> {
  readonly waiting?: Waiting;
  readonly watching?: Watching;
}

/**
 * Pushes an image to every target.
 * @throws REFERENCE_INVALID, USAGE, what openImage() throws, VERIFY_FAILED and the like for an image that will not run,
 *   CANCELLED. What happens to a target, or to the function, is in the result.
 */
export async function pushImage(request: PushRequest, ctx: Context, times: PushTimes = {}): Promise<Pushed> {
  const stage = stages(ctx);
  const { dryRun = false } = request;
  const targets = request.targets.map(parseTarget);
  const forFunction = request.update && targetOf(request.update.name, targets);
  if ((request.create ?? request.accounts?.[0]) !== undefined) refuseForeign(targets);
  const { image, verdict, statements } = await stage('check', `check ${request.image}`, async () => {
    const image = await openImage(request.image, request.platform, ctx);
    const verdict = await checkImage(image, ctx);
    const statements = request.statements === false ? undefined : await findStatements(image);
    return { image, verdict, statements };
  });
  judge(verdict, request.force ?? false, ctx);
  using aws = targets.some(({ ecr }) => ecr !== undefined) ? await session(request, ctx) : undefined;
  const results: PushResult[] = [];
  for (const [at, target] of targets.entries()) {
    const mount = mountable(target, targets.slice(0, at), request.mountFrom ?? []);
    const title = dryRun ? `ask ${target.name}` : `push to ${target.name}`;
    try {
      const result = await stage('push', title, () =>
        serve(request, { target, image, statements, mount, aws }, ctx, times),
      );
      results.push({ target: target.name, ...result });
    } catch (error) {
      throwIfCancelled(ctx.signal);
      if (!isMakeRuntimeError(error)) throw error;
      results.push({ target: target.name, error });
    }
  }
  const sizes = [image.manifest.bytes.length, ...[image.configBlob, ...image.layers].map(({ size }) => size)];
  const size = sizes.reduce((one, other) => one + other, 0);
  const { digest } = image.manifest;
  const pushed = { image: image.path, digest, size, verdict, results };
  const arrived = results.find(({ target }) => target === forFunction?.name)?.delivered !== undefined;
  if (request.update === undefined || aws === undefined || !arrived) return pushed;
  try {
    const updated = await update(request.update, forFunction!, aws, { digest, arch: verdict.arch }, ctx, times);
    return { ...pushed, updated };
  } catch (error) {
    if (!isMakeRuntimeError(error)) throw error;
    return { ...pushed, updateError: error };
  }
}

interface Serving {
  readonly target: Target;
  readonly image: ImageSource;
  readonly statements: Found | undefined;
  readonly mount: readonly string[];
  readonly aws: AwsSession | undefined;
}

/** One target, from the repository to the tag. */
async function serve(
  request: PushRequest,
  { target, image, statements, mount, aws }: Serving,
  ctx: Context,
  { patience }: PushTimes,
): Promise<Omit<PushResult, 'target'>> {
  const { immutable = false, dryRun = false, create, accounts = [] } = request;
  const steps: string[] = [];
  let access: Pick<RegistryOptions, 'credentials' | 'origin'> = {
    credentials: (host) => dockerCredentials(host, ctx),
  };
  if (target.ecr !== undefined && aws !== undefined) {
    const { EcrRepository } = await import('./push/ecr.ts');
    using ecr = new EcrRepository(target, target.ecr, aws);
    const { credentials, origin } = await ecr.signIn();
    access = { credentials: async () => credentials, ...(origin === undefined ? {} : { origin }) };
    if (create !== undefined) steps.push(...(await ecr.create({ immutable, ...create }, dryRun)));
    // Of a repository that is yet to be made there is no policy to be read.
    const grants = { lambda: create !== undefined, accounts };
    if (grants.lambda || accounts.length > 0) steps.push(...(await ecr.grant(grants, dryRun)));
    for (const step of steps) ctx.report({ type: 'note', message: dryRun ? `would ${step}` : step });
  }
  const options = { ...access, purpose: 'push', mount, ...(patience && { patience }) } as const;
  using registry = new Registry(target.reference, ctx, options);
  return dryRun
    ? { steps, foreseen: await foresee(image, target, registry, { immutable }) }
    : { steps, delivered: await deliver(image, target, registry, { immutable, mount, statements }, ctx) };
}

async function update(
  { name, alias, shift }: FunctionRequest,
  target: Target,
  aws: AwsSession,
  { digest, arch }: { digest: string; arch: Arch | undefined },
  ctx: Context,
  { waiting, watching }: PushTimes,
): Promise<NonNullable<Pushed['updated']>> {
  const stage = stages(ctx);
  const { region } = target.ecr!;
  const [
    { LambdaClient },
    { CloudWatchClient },
    { publishVersion, updateFunction, waitForVersion },
    { moveAlias },
    { lambdaImageUri },
  ] = await Promise.all([
    import('@aws-sdk/client-lambda'),
    import('@aws-sdk/client-cloudwatch'),
    import('./push/function.ts'),
    import('./push/shift.ts'),
    import('./push/ecr.ts'),
  ]);
  const client = new LambdaClient(aws.config('LAMBDA', region));
  const metrics = { client: new CloudWatchClient(aws.config('CLOUDWATCH', region)) };
  const place = { client, aws, name, region };
  try {
    const uri = lambdaImageUri(target, target.ecr!, digest);
    const updated = await stage('function', `update function ${name}`, () =>
      updateFunction(place, uri, arch, ctx, waiting),
    );
    if (alias === undefined) return updated;
    const shifted = await stage('alias', `move alias ${alias}`, async () => {
      const version = await publishVersion(place);
      await waitForVersion(place, version, ctx, waiting);
      return moveAlias(place, metrics, alias, version, shift, ctx, watching);
    });
    return { ...updated, alias: shifted };
  } finally {
    client.destroy();
    metrics.client.destroy();
  }
}

async function session({ profile }: Pick<PushRequest, 'profile'>, ctx: Context): Promise<AwsSession> {
  const { AwsSession } = await import('./aws/session.ts');
  return new AwsSession(ctx, { profile });
}

/** The target whose image a function can run: in ECR, and in its region where its name says one. */
function targetOf(name: string, targets: readonly Target[]): Target {
  if (!/^(arn:[\w-]+:lambda:[\w-]+:\d{12}:function:)?[\w-]{1,140}$/.test(name)) {
    throw new MakeRuntimeError('USAGE', `"${name}" is not the name of a function.`, {
      remedy: 'Give its name or its ARN, without version or alias.',
    });
  }
  const region = name.startsWith('arn:') ? name.split(':')[3] : undefined;
  const found = targets.find(({ ecr }) => ecr !== undefined && (region === undefined || ecr.region === region));
  if (found !== undefined) return found;
  throw new MakeRuntimeError(
    'USAGE',
    `${name} can only run an image of a private ECR repository${region === undefined ? '' : ` in ${region}`}.`,
    { remedy: 'Name such a target: ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG.' },
  );
}

/** Of several targets, those in ECR are meant; elsewhere repositories mostly make themselves. */
function refuseForeign(targets: readonly Target[]): void {
  if (targets.some(({ ecr }) => ecr !== undefined)) return;
  throw new MakeRuntimeError('USAGE', `--create and --share are for ECR, and ${targets[0]?.name} is not there.`, {
    remedy: 'Leave them out.',
  });
}

/** The one error that the failures of a push amount to; undefined when there are none. */
export function pushError({ results, updateError }: Pick<Pushed, 'results' | 'updateError'>): Error | undefined {
  // Of a function that was to run the image, that is the news.
  if (updateError !== undefined) return updateError;
  const failures = results.flatMap(({ target, error }) => (error === undefined ? [] : [{ name: `${target}`, error }]));
  return joinFailures(failures, results.length, {
    message: `${failures.length} of ${results.length} pushes failed; the others are done.`,
    code: 'PUSHES_FAILED',
    remedy: 'Cure them one by one and run the same command again: what has arrived is kept.',
    below: ({ detail, remedy }) => [detail, remedy],
  });
}

function judge(verdict: Verdict, force: boolean, ctx: Context): void {
  for (const { level, message, remedy } of verdict.findings) {
    if (level === 'warn') ctx.report({ type: 'warn', message, ...(remedy === undefined ? {} : { remedy }) });
    if (level === 'note') ctx.report({ type: 'note', message });
  }
  const failure = verdictError(verdict);
  if (failure === undefined) return;
  if (!force) throw failure;
  ctx.report({ type: 'warn', message: `--force overrides: ${failure.message}` });
}

/** Repositories of the target's registry that may have the blobs: those named, and targets that came before. */
function mountable({ reference }: Target, earlier: readonly Target[], named: readonly string[]): string[] {
  const before = earlier
    .filter((one) => one.reference.registry === reference.registry)
    .map((one) => one.reference.repository);
  return [...new Set([...named, ...before])].filter((one) => one !== reference.repository);
}
