// One layer into many regions: a few at a time, each failure noted and passed over. What happens in one region is survey.ts
// and apply.ts; this file knows only that they are independent.
import type { AwsSession } from '../aws/session.ts';
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError, joinFailures, MakeRuntimeError } from '../lib/errors.ts';
import { applyPlan, type Done } from './apply.ts';
import type { Publishable } from './artifact.ts';
import { InlineBodies, maxInlineZip } from './inline-body.ts';
import { LayerRegion } from './layer-region.ts';
import type { LayerRequest } from './request.ts';
import { type RegionPlan, surveyRegion } from './survey.ts';

export interface PublishInput {
  readonly artifact: Publishable;
  readonly request: LayerRequest;
  readonly regions: readonly string[];
  /** Regions at a time. */
  readonly concurrency: number;
  /** Only look. */
  readonly dryRun: boolean;
  /** For tests; see ApplyTask. */
  readonly settle?: number;
}

export interface RegionResult {
  readonly region: string;
  /** Absent when not even looking succeeded. */
  readonly plan?: RegionPlan;
  readonly done: Done;
  readonly error?: unknown;
  readonly milliseconds: number;
}

/** How long Lambda may take to list what it has just taken. */
const settle = 3000;

/**
 * Publishes into every region. One that fails is a result like the others, and so is one that Ctrl-C kept from being
 * done (CANCELLED); what throws is what concerns all of them: credentials, or a bucket for several regions.
 * @returns in the order of `regions`
 */
export async function publishLayer(
  input: PublishInput,
  aws: AwsSession,
  ctx: Context,
): Promise<readonly RegionResult[]> {
  const { artifact, request, regions } = input;
  if (artifact.size > maxInlineZip && regions.length > 1 && !request.bucket.name.includes('{region}')) {
    throw new MakeRuntimeError('USAGE', `One bucket cannot serve ${regions.length} regions.`, {
      remedy: `Lambda takes a layer from its own region's bucket: say --s3-bucket '${request.bucket.name}-{region}'.`,
    });
  }
  const identity = await aws.identity(regions[0] ?? 'us-east-1');
  const bodies = new InlineBodies(artifact);
  const one = async (region: string): Promise<RegionResult> => {
    const start = Date.now();
    const done: Done = { published: false, granted: [], pruned: [] };
    const title = input.dryRun ? 'look' : 'publish';
    const own: Context = { ...ctx, report: (event) => ctx.report({ ...event, build: region }) };
    own.report({ type: 'stage-start', stage: 'publish', title });
    let plan: RegionPlan | undefined;
    try {
      using layers = new LayerRegion(region, identity, aws);
      const task = { artifact, request, layers, identity, aws };
      plan = await surveyRegion(task);
      if (!input.dryRun) await applyPlan(plan, { ...task, bodies, settle: input.settle ?? settle }, done, own);
      const milliseconds = Date.now() - start;
      own.report({ type: 'stage-end', stage: 'publish', title, milliseconds, cached: plan.publish === undefined });
      return { region, plan, done, milliseconds };
    } catch (error) {
      const milliseconds = Date.now() - start;
      own.report({ type: 'stage-failed', stage: 'publish', title, milliseconds });
      return { region, ...(plan ? { plan } : {}), done, error, milliseconds };
    }
  };
  const results = new Map<string, RegionResult>();
  const waiting = [...regions];
  const worker = async (): Promise<void> => {
    for (let region = waiting.shift(); region !== undefined; region = waiting.shift()) {
      results.set(region, await one(region));
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, input.concurrency) }, worker));
  return regions.flatMap((region) => results.get(region) ?? []);
}

/** The error of a run in which regions failed: what they have in common, or PUBLISH_FAILED; undefined when none did. */
export function publishError(results: readonly RegionResult[], name: string): Error | undefined {
  const failed = results.flatMap(({ region, error }) => (error === undefined ? [] : [{ name: region, error }]));
  const fine = results.length - failed.length;
  const explained = failed.every(({ error }) => isMakeRuntimeError(error));
  if (explained && failed.some(({ error }) => (error as MakeRuntimeError).code === 'CANCELLED')) {
    return new MakeRuntimeError(
      'CANCELLED',
      `Stopped: ${name} is done in ${fine} of ${count(results.length)}; a re-run does the rest.`,
    );
  }
  return joinFailures(failed, results.length, {
    message: `${failed.length} of ${count(results.length)} failed; ${fine === 1 ? 'the other is' : `the other ${fine} are`} done.`,
    code: 'PUBLISH_FAILED',
    remedy: 'Cure them and run the same command again: it does only what is missing.',
    below: ({ detail, remedy }) => [detail, remedy && `→ ${remedy}`],
  });
}

function count(regions: number): string {
  return `${regions} region${regions === 1 ? '' : 's'}`;
}
