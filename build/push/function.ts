// A function pointed at an image that was pushed: updated, waited for, published as a version. Lambda resolves an image to
// its digest at that moment, so a tag that moves changes no function. Aliases are shift.ts.
import {
  GetFunctionCommand,
  type GetFunctionCommandOutput,
  GetFunctionConfigurationCommand,
  type LambdaClient,
  PublishVersionCommand,
  UpdateFunctionCodeCommand,
} from '@aws-sdk/client-lambda';
import { awsErrorName } from '../aws/failure.ts';
import type { AwsSession } from '../aws/session.ts';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { pause } from '../source/http.ts';

/** A function and where to ask about it. */
export interface FunctionPlace {
  readonly client: LambdaClient;
  readonly aws: AwsSession;
  /** Name or ARN, without version or alias. */
  readonly name: string;
  readonly region: string;
}

export interface Waiting {
  /** Milliseconds between two questions. */
  readonly interval: number;
  /** Milliseconds after which it is given up; images of 10 GB take minutes. */
  readonly longest: number;
}

export const waiting: Waiting = { interval: 2000, longest: 15 * 60_000 };

export interface Updated {
  readonly function: string;
  readonly uri: string;
  /** False when it ran this image already. */
  readonly changed: boolean;
}

/**
 * Points a function at an image and waits until it is active.
 * @param uri "host/repository@sha256:..."
 * @throws FUNCTION_NOT_UPDATED with Lambda's own reason, and as AwsSession.ask()
 */
export async function updateFunction(
  place: FunctionPlace,
  uri: string,
  arch: 'x86_64' | 'arm64' | undefined,
  ctx: Pick<Context, 'report' | 'signal'>,
  patience: Waiting = waiting,
): Promise<Updated> {
  const before = await look(place);
  const { Configuration, Code } = before;
  if (Configuration?.PackageType !== 'Image') {
    throw new MakeRuntimeError(
      'FUNCTION_NOT_UPDATED',
      `${place.name} was made of a zip, and such a function takes no image.`,
      {
        remedy: 'Make a function of an image: aws lambda create-function --package-type Image --code ImageUri=...',
      },
    );
  }
  const digest = uri.slice(uri.indexOf('@') + 1);
  const runs = [Code?.ResolvedImageUri, Code?.ImageUri].some((one) => one?.endsWith(`@${digest}`));
  // An update that was under way when an earlier run ended counts as ours; one that failed is made again.
  const failed = Configuration.LastUpdateStatus === 'Failed' || Configuration.State === 'Failed';
  const changed = failed || !runs;
  if (changed) {
    const command = new UpdateFunctionCodeCommand({
      FunctionName: place.name,
      ImageUri: uri,
      ...(arch === undefined ? {} : { Architectures: [arch] }),
    });
    for (let attempt = 1; ; attempt++) {
      await settled(place, ctx, patience);
      try {
        await call(place, 'lambda:UpdateFunctionCode', (options) => place.client.send(command, options));
        break;
      } catch (error) {
        // An update began after we looked: somebody else's, or an attempt of ours whose answer was lost.
        if (awsErrorName(error) !== 'ResourceConflictException' || attempt === 5) throw error;
      }
    }
  }
  const state = await settled(place, ctx, patience);
  if (state.LastUpdateStatus === 'Failed' || state.State === 'Failed') throw notUpdated(place.name, state);
  return { function: place.name, uri, changed };
}

/**
 * Publishes what the function runs now as a version. Lambda gives the newest one again where nothing has changed since.
 * @returns its number
 */
export async function publishVersion(place: FunctionPlace): Promise<string> {
  const { Version } = await call(place, 'lambda:PublishVersion', (options) =>
    place.client.send(new PublishVersionCommand({ FunctionName: place.name }), options),
  );
  if (Version === undefined) throw new Error('lambda:PublishVersion gave no version');
  return Version;
}

/**
 * Waits until a version of the function can be invoked.
 * @throws FUNCTION_NOT_UPDATED, also when it takes too long
 */
export async function waitForVersion(
  place: FunctionPlace,
  version: string,
  ctx: Pick<Context, 'report' | 'signal'>,
  patience: Waiting = waiting,
): Promise<void> {
  const state = await settled(place, ctx, patience, version);
  if (state.State === 'Failed') throw notUpdated(`${place.name}:${version}`, state);
}

/** One call about the function, with a missing function told as what it is. */
export async function call<Answer>(
  { aws, name, region }: FunctionPlace,
  action: string,
  send: (options: { abortSignal: AbortSignal }) => Promise<Answer>,
): Promise<Answer> {
  const resource = name.startsWith('arn:') ? name : `arn:*:lambda:${region}:*:function:${name}`;
  return aws.ask({ action, resource, region }, send);
}

async function look(place: FunctionPlace): Promise<GetFunctionCommandOutput> {
  try {
    return await call(place, 'lambda:GetFunction', (options) =>
      place.client.send(new GetFunctionCommand({ FunctionName: place.name }), options),
    );
  } catch (error) {
    if (awsErrorName(error) !== 'ResourceNotFoundException') throw error;
    throw new MakeRuntimeError('FUNCTION_NOT_UPDATED', `There is no function ${place.name} in ${place.region}.`, {
      remedy: 'Check name and region; an image can only be used in the region of its registry.',
      cause: error,
    });
  }
}

interface State {
  readonly State?: string | undefined;
  readonly StateReason?: string | undefined;
  readonly LastUpdateStatus?: string | undefined;
  readonly LastUpdateStatusReason?: string | undefined;
  readonly LastUpdateStatusReasonCode?: string | undefined;
}

async function settled(
  place: FunctionPlace,
  ctx: Pick<Context, 'report' | 'signal'>,
  { interval, longest }: Waiting,
  version?: string,
): Promise<State> {
  const start = Date.now();
  for (;;) {
    throwIfCancelled(ctx.signal);
    const state = await call(place, 'lambda:GetFunctionConfiguration', (options) =>
      place.client.send(
        new GetFunctionConfigurationCommand({
          FunctionName: place.name,
          ...(version === undefined ? {} : { Qualifier: version }),
        }),
        options,
      ),
    );
    const busy = state.State === 'Pending' || state.LastUpdateStatus === 'InProgress';
    if (!busy) return state;
    if (Date.now() - start > longest) {
      throw new MakeRuntimeError('FUNCTION_NOT_UPDATED', `${place.name} is still being updated.`, {
        remedy: 'Look at it in the console, and run the same command again.',
        detail: `waited ${Math.round(longest / 1000)} s; it is ${state.LastUpdateStatus ?? state.State}`,
      });
    }
    ctx.report({
      type: 'progress',
      stage: 'function',
      text: `${place.name} is ${state.LastUpdateStatus ?? state.State}`,
    });
    await pause(interval, ctx.signal);
  }
}

/** Lambda API Reference, FunctionConfiguration: LastUpdateStatusReasonCode. */
const remedies: Readonly<Record<string, string>> = {
  ImageAccessDenied:
    'Let Lambda pull: --create puts the statement into the policy of the repository, --share account:ID that for another account.',
  ImageDeleted: 'The image is gone from the repository: push it again.',
  InvalidImage: 'Lambda does not take the image: `make-runtime push --dry-run` checks it.',
};

function notUpdated(name: string, state: State): MakeRuntimeError {
  const code = state.LastUpdateStatusReasonCode ?? '';
  const reason = [code, state.LastUpdateStatusReason ?? state.StateReason].filter(Boolean).join(': ');
  return new MakeRuntimeError('FUNCTION_NOT_UPDATED', `${name} could not be pointed at the image.`, {
    remedy: remedies[code] ?? 'See what Lambda says, and run the same command again.',
    ...(reason === '' ? {} : { detail: `Lambda says: ${reason}` }),
  });
}
