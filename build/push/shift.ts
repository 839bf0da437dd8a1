// An alias moved to a new version step by step: a part of the calls goes there, its errors are compared with those of the
// old version, and the alias either follows or returns. The state is the alias itself, so a run that was killed goes on.
// Weights: Lambda Developer Guide, "Implement Lambda canary deployments using a weighted alias".
import { type CloudWatchClient, GetMetricDataCommand, type MetricDataQuery } from '@aws-sdk/client-cloudwatch';
import {
  type AliasConfiguration,
  CreateAliasCommand,
  GetAliasCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-lambda';
import { awsErrorName } from '../aws/failure.ts';
import { AwsSession } from '../aws/session.ts';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import { pause } from '../source/http.ts';
import { call, type FunctionPlace } from './function.ts';

export interface Shift {
  /** Part of the calls that goes to the new version at first, 0 to 1. */
  readonly weight: number;
  /** Milliseconds it is watched for. */
  readonly duration: number;
  /** By how much the new version's error rate may be above the old one's, 0 to 1. */
  readonly tolerance: number;
}

/** Calls of the new version before which a rate is mere chance; when the time is over, fewer have to do. */
const enough = 10;

export interface Watching {
  /** Milliseconds between two looks. */
  readonly interval: number;
  /** Milliseconds after which a metric of a minute can be expected to be there. */
  readonly lag: number;
}

export const watching: Watching = { interval: 15_000, lag: 90_000 };

export interface Shifted {
  readonly alias: string;
  readonly from: string | undefined;
  readonly to: string;
  /** What was counted while both versions were called; undefined when the alias moved at once. */
  readonly counted: { readonly old: Count; readonly new: Count } | undefined;
}

export interface Count {
  readonly invocations: number;
  readonly errors: number;
}

interface Metrics {
  readonly client: CloudWatchClient;
}

/**
 * Leads an alias to a version; creates the alias when there is none.
 * @param shift undefined: at once
 * @throws ALIAS_RETURNED when the new version made more errors; CANCELLED, after the alias has returned
 */
export async function moveAlias(
  place: FunctionPlace,
  metrics: Metrics,
  alias: string,
  version: string,
  shift: Shift | undefined,
  ctx: Context,
  times: Watching = watching,
): Promise<Shifted> {
  const there = await getAlias(place, alias);
  if (there === undefined) {
    await call(place, 'lambda:CreateAlias', (options) =>
      place.client.send(
        new CreateAliasCommand({ FunctionName: place.name, Name: alias, FunctionVersion: version }),
        options,
      ),
    );
    return { alias, from: undefined, to: version, counted: undefined };
  }
  const from = there.FunctionVersion!;
  const others = there.RoutingConfig?.AdditionalVersionWeights ?? {};
  if (from === version && Object.keys(others).length === 0) return { alias, from, to: version, counted: undefined };
  // What a killed run left half-way is taken up; a shift to some third version is not ours to overrule silently.
  const foreign = Object.keys(others).find((one) => one !== version && one !== from);
  if (foreign !== undefined) {
    throw new MakeRuntimeError(
      'FUNCTION_NOT_UPDATED',
      `Alias ${alias} of ${place.name} is being shifted to version ${foreign}.`,
      {
        remedy: `Let that end, or take it back: aws lambda update-alias --function-name ${place.name} --name ${alias} --routing-config AdditionalVersionWeights={}`,
      },
    );
  }
  let counted: Shifted['counted'];
  let revision = there.RevisionId;
  if (shift !== undefined && from !== version) {
    revision = await setAlias(place, alias, from, { [version]: shift.weight }, revision);
    try {
      counted = await watch(place, metrics, alias, from, version, shift, ctx, times);
    } catch (error) {
      // Also for Ctrl-C: nobody watches any longer. The signal has fired by then, so this goes without it.
      const aws = new AwsSession({ ...ctx, signal: new AbortController().signal });
      await setAlias({ ...place, aws }, alias, from, {}, revision).catch((cause) => {
        throw notReturned(place.name, alias, version, shift.weight, cause);
      });
      if (!ctx.signal.aborted) throw error;
      throw new MakeRuntimeError('CANCELLED', `Stopped; alias ${alias} leads to version ${from} again.`);
    }
  }
  await setAlias(place, alias, version, {}, revision);
  return { alias, from, to: version, counted };
}

async function watch(
  place: FunctionPlace,
  metrics: Metrics,
  alias: string,
  old: string,
  fresh: string,
  { weight, duration, tolerance }: Shift,
  ctx: Pick<Context, 'report' | 'signal'>,
  { interval, lag }: Watching,
): Promise<{ old: Count; new: Count }> {
  const start = Date.now();
  const percent = (part: number): string => `${(part * 100).toFixed(1)}%`;
  for (;;) {
    await pause(Math.min(interval, Math.max(0, start + duration + lag - Date.now())), ctx.signal);
    throwIfCancelled(ctx.signal);
    const counts = await count(place, metrics, alias, [old, fresh], start);
    const [before, after] = counts as [Count, Count];
    const text = `${percent(weight)} to version ${fresh}: ${after.errors} errors of ${after.invocations}, version ${old}: ${before.errors} of ${before.invocations}`;
    ctx.report({ type: 'progress', stage: 'alias', text });
    const over = Date.now() - start >= duration + lag;
    if ((over || after.invocations >= enough) && rate(after) > rate(before) + tolerance) {
      throw new MakeRuntimeError(
        'ALIAS_RETURNED',
        `Version ${fresh} of ${place.name} made more errors, so alias ${alias} leads to version ${old} again.`,
        {
          remedy: `Look at its logs; the image stays pushed, and version ${fresh} published.`,
          detail: `version ${fresh}: ${after.errors} errors of ${after.invocations} calls (${percent(rate(after))})\nversion ${old}: ${before.errors} errors of ${before.invocations} calls (${percent(rate(before))})`,
        },
      );
    }
    if (!over) continue;
    if (after.invocations === 0) {
      const message = `Alias ${alias} was not called on version ${fresh} in that time: nothing is known of its errors.`;
      ctx.report({ type: 'warn', message });
    }
    return { old: before, new: after };
  }
}

function notReturned(name: string, alias: string, version: string, weight: number, cause: unknown): MakeRuntimeError {
  const percent = `${(weight * 100).toFixed(1)}%`;
  return new MakeRuntimeError(
    'FUNCTION_NOT_UPDATED',
    `Alias ${alias} of ${name} was to return and could not: ${percent} of its calls still go to version ${version}.`,
    {
      remedy: `Take it back at once: aws lambda update-alias --function-name ${name} --name ${alias} --routing-config AdditionalVersionWeights={}`,
      ...(cause instanceof Error ? { detail: cause.message } : {}),
      cause,
    },
  );
}

function rate({ invocations, errors }: Count): number {
  return invocations === 0 ? 0 : errors / invocations;
}

/** Calls through the alias by the version that took them (Lambda Developer Guide, "Types of metrics": ExecutedVersion). */
async function count(
  { aws, name, region }: FunctionPlace,
  { client }: Metrics,
  alias: string,
  versions: readonly string[],
  since: number,
): Promise<Count[]> {
  const bare = name.startsWith('arn:') ? name.split(':')[6]! : name;
  const query = (id: string, metric: string, version: string): MetricDataQuery => ({
    Id: id,
    MetricStat: {
      Metric: {
        Namespace: 'AWS/Lambda',
        MetricName: metric,
        Dimensions: [
          { Name: 'FunctionName', Value: bare },
          { Name: 'Resource', Value: `${bare}:${alias}` },
          { Name: 'ExecutedVersion', Value: version },
        ],
      },
      Period: 60,
      Stat: 'Sum',
    },
  });
  const queries = versions.flatMap((version, at) => [
    query(`invocations${at}`, 'Invocations', version),
    query(`errors${at}`, 'Errors', version),
  ]);
  // From the minute's beginning, as CloudWatch counts: before the shift, the new version had no calls to be mistaken for.
  const StartTime = new Date(Math.floor(since / 60_000) * 60_000);
  const EndTime = new Date(Math.ceil((Date.now() + 1) / 60_000) * 60_000);
  const sums = new Map<string, number>();
  let NextToken: string | undefined;
  do {
    const answer = await aws.ask({ action: 'cloudwatch:GetMetricData', resource: '*', region }, (options) =>
      client.send(
        new GetMetricDataCommand({ MetricDataQueries: queries, StartTime, EndTime, ...(NextToken && { NextToken }) }),
        options,
      ),
    );
    for (const { Id = '', Values = [] } of answer.MetricDataResults ?? [])
      sums.set(
        Id,
        Values.reduce((one, other) => one + other, sums.get(Id) ?? 0),
      );
    NextToken = answer.NextToken;
  } while (NextToken !== undefined);
  return versions.map((_, at) => ({
    invocations: sums.get(`invocations${at}`) ?? 0,
    errors: sums.get(`errors${at}`) ?? 0,
  }));
}

async function getAlias(place: FunctionPlace, alias: string): Promise<AliasConfiguration | undefined> {
  try {
    return await call(place, 'lambda:GetAlias', (options) =>
      place.client.send(new GetAliasCommand({ FunctionName: place.name, Name: alias }), options),
    );
  } catch (error) {
    if (awsErrorName(error) === 'ResourceNotFoundException') return undefined;
    throw error;
  }
}

/** @param revision the alias as it was last seen: a change by somebody else in between is not overwritten */
async function setAlias(
  place: FunctionPlace,
  alias: string,
  version: string,
  weights: Record<string, number>,
  revision: string | undefined,
): Promise<string | undefined> {
  const command = new UpdateAliasCommand({
    FunctionName: place.name,
    Name: alias,
    FunctionVersion: version,
    RoutingConfig: { AdditionalVersionWeights: weights },
    ...(revision === undefined ? {} : { RevisionId: revision }),
  });
  try {
    return (await call(place, 'lambda:UpdateAlias', (options) => place.client.send(command, options))).RevisionId;
  } catch (error) {
    if (awsErrorName(error) !== 'PreconditionFailedException') throw error;
    // An attempt of ours whose answer was lost looks like somebody else's change.
    const now = await getAlias(place, alias);
    const same = JSON.stringify(now?.RoutingConfig?.AdditionalVersionWeights ?? {}) === JSON.stringify(weights);
    if (now?.FunctionVersion === version && same) return now.RevisionId;
    throw new MakeRuntimeError('FUNCTION_NOT_UPDATED', `Somebody else has changed alias ${alias} of ${place.name}.`, {
      remedy: 'See what it leads to now, and run the same command again.',
      cause: error,
    });
  }
}
