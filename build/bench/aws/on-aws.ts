// The same question asked of Lambda itself: temporary functions for each artifact, for AWS's own runtime of the same
// Python, and for each memory size; the figures are those of Lambda's REPORT lines. Needs an account and costs cents.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { AwsSession } from '../../aws/session.ts';
import type { Context } from '../../lib/context.ts';
import { MakeRuntimeError, throwIfCancelled } from '../../lib/errors.ts';
import { readBuildRecord } from '../../package/build-json.ts';
import { readZip } from '../../package/unzip.ts';
import { zipBytes } from '../../package/zip.ts';
import { fileOf, makeTree } from '../../tree/tree.ts';
import type { Measured, MeasuredSubject, Result } from '../result.ts';
import { judge } from '../run.ts';
import { compute, echo, type Handler } from '../scenarios/handlers.ts';
import { median } from '../statistics.ts';
import { Deployment, largestUpload } from './deployment.ts';
import { type ReportLine, readReportLine } from './report-line.ts';

export interface AwsWanted {
  readonly artifacts: readonly string[];
  readonly memories: readonly number[];
  /** Environments started of each function. */
  readonly runs: number;
  readonly region: string;
  /** The execution role of the functions; one without any permission is enough. */
  readonly role: string;
  readonly profile?: string | undefined;
}

/** Warm invocations of each environment. */
const warm = 20;
const handlers: readonly Handler[] = [echo, compute];

interface Entrant {
  readonly name: string;
  readonly python: string;
  readonly identity: string;
  readonly kind: string;
  readonly runtime: string;
  readonly architecture: 'x86_64' | 'arm64';
  /** A layer.zip. */
  readonly artifact: string | undefined;
}

/**
 * Whatever happens, also on Ctrl-C, everything is removed again.
 * @throws BENCH_LEFTOVERS when that did not work; PACK_TOO_LARGE, ARTIFACT_NOT_A_LAYER, what AwsSession throws, FUNCTION_ERROR
 */
export async function measureOnAws(
  wanted: AwsWanted,
  ctx: Context,
): Promise<Pick<Result, 'scenarios' | 'runtimes' | 'notes'>> {
  const entrants = await findEntrants(wanted.artifacts);
  const id = `${Math.floor(Date.now() / 1000).toString(36)}-${randomBytes(3).toString('hex')}`;
  using aws = new AwsSession(ctx, { profile: wanted.profile });
  const deployment = new Deployment(aws, wanted.region, id, ctx);
  let failed = true;
  try {
    const taken = await run(wanted, entrants, deployment, ctx);
    failed = false;
    return {
      scenarios: taken,
      runtimes: entrants.map(({ name, kind, python, identity }) => ({ name, kind, python, identity })),
      notes: [`Measured by Lambda in ${wanted.region}: REPORT lines. Machine and load are of the machine that asked.`],
    };
  } finally {
    deployment.close();
    await removeAll(wanted, { id, functions: deployment.asked }, ctx).catch((error) => {
      // What went wrong first is what the user wants to know; what is left is said beside it.
      if (!failed) throw error;
      ctx.report({
        type: 'warn',
        message: (error as Error).message,
        remedy: `make-runtime bench --on-aws --clean --region ${wanted.region}`,
      });
    });
  }
}

/**
 * Removes what runs have left in a region, or what one has.
 * @param run absent: all; its functions are removed also where a list does not have them yet
 * @returns names
 * @throws BENCH_LEFTOVERS
 */
export async function removeAll(
  { region, profile }: Pick<AwsWanted, 'region' | 'profile'>,
  run: { readonly id: string; readonly functions: ReadonlySet<string> } | undefined,
  ctx: Context,
): Promise<readonly string[]> {
  // Ctrl-C has stopped the run, and is no reason to leave anything behind.
  const patient: Context = run === undefined ? ctx : { ...ctx, signal: new AbortController().signal };
  using aws = new AwsSession(patient, { profile });
  const deployment = new Deployment(aws, region, run?.id ?? 'clean', patient);
  try {
    const { functions, layers } = await deployment.leftovers(run?.id);
    return await deployment.remove({ functions: [...new Set([...functions, ...(run?.functions ?? [])])], layers });
  } finally {
    deployment.close();
  }
}

async function findEntrants(artifacts: readonly string[]): Promise<readonly Entrant[]> {
  const entrants: Entrant[] = [];
  for (const artifact of artifacts) {
    const record = await readBuildRecord(await readZip(artifact));
    if (record === undefined) {
      throw new MakeRuntimeError('ARTIFACT_NOT_A_LAYER', `${artifact} is not a layer that this tool has built.`, {
        remedy: 'Build one: make-runtime build <recipe>.',
      });
    }
    const { plan } = record;
    const free = plan.python.executable.endsWith('t') ? 't' : '';
    const architecture = plan.arch === 'arm64' ? 'arm64' : 'x86_64';
    const common = { python: `${plan.python.version}${free}`, architecture } as const;
    const name = artifacts.length === 1 ? 'make-runtime' : `${plan.name}, ${plan.id.slice(0, 8)}`;
    const identity = `${plan.name}, plan ${plan.id}`;
    entrants.push({ ...common, name, identity, kind: 'artifact', runtime: 'provided.al2023', artifact });
    const series = `python${plan.python.version.split('.').slice(0, 2).join('.')}`;
    if (entrants.some((one) => one.runtime === series && one.architecture === architecture)) continue;
    const managed = { name: `AWS’s ${series}`, identity: `the managed runtime ${series}`, kind: 'awslambdaric' };
    entrants.push({ ...common, ...managed, python: series.slice(6), runtime: series, artifact: undefined });
  }
  return entrants;
}

interface Taken {
  readonly entrant: Entrant;
  readonly function: string;
  readonly cold: ReportLine[];
  readonly warm: number[];
}

async function run(
  { memories, role, runs }: AwsWanted,
  entrants: readonly Entrant[],
  deployment: Deployment,
  ctx: Context,
): Promise<readonly Measured[]> {
  const say = (text: string): void => ctx.report({ type: 'progress', stage: 'bench', text });
  const layers = new Map<string, string>();
  for (const { artifact, name } of entrants) {
    if (artifact === undefined) continue;
    const zip = await readFile(artifact);
    if (zip.byteLength > largestUpload) {
      throw new MakeRuntimeError('PACK_TOO_LARGE', `${artifact} is larger than the 50 MB that can be sent directly.`, {
        remedy: 'Build it with --prune small.',
      });
    }
    say(`publishing ${name} as a temporary layer`);
    layers.set(artifact, await deployment.layer(deployment.nameOf(`${layers.size}`), zip));
  }
  const measured: Measured[] = [];
  for (const memory of memories) {
    for (const handler of handlers) {
      const code = await zipBytes(makeTree([['app.py', fileOf(handler.source)]]), ctx.signal);
      const taken: Taken[] = [];
      for (const entrant of entrants) {
        const name = deployment.nameOf(`${entrants.indexOf(entrant)}-${handler.name}-${memory}`);
        say(`creating ${name}`);
        const { runtime, architecture, artifact } = entrant;
        const layer = artifact === undefined ? undefined : layers.get(artifact);
        await deployment.create({ name, runtime, architecture, layer, code, memory, role });
        taken.push({ entrant, function: name, cold: [], warm: [] });
      }
      // Interleaved, as here: whatever the region does to one it does to all.
      for (let nth = 0; nth < runs; nth += 1) {
        for (const one of taken) {
          throwIfCancelled(ctx.signal);
          await deployment.renew(one.function, String(nth));
          const first = await invoke(deployment, one.function, handler.event());
          if (first.init !== undefined) one.cold.push(first);
          const times: number[] = [];
          for (let again = 0; again < warm; again += 1)
            times.push((await invoke(deployment, one.function, handler.event())).duration);
          one.warm.push(median(times));
        }
        say(`${handler.title}, ${memory} MB: ${nth + 1} of ${runs}`);
      }
      measured.push(scenario(handler, memory, taken, runs));
    }
  }
  return measured;
}

async function invoke(deployment: Deployment, name: string, event: string): Promise<ReportLine> {
  const { log, error } = await deployment.invoke(name, event);
  const line = readReportLine(log);
  if (error !== undefined || line === undefined) {
    throw new MakeRuntimeError('FUNCTION_ERROR', `${name} did not answer as it should.`, {
      remedy: 'The lines below are what it returned and logged.',
      detail: [error ?? '', log].join('\n').trim(),
    });
  }
  return line;
}

function scenario(handler: Handler, memory: number, taken: readonly Taken[], runs: number): Measured {
  const subjects = taken.map(
    ({ entrant, cold, warm: durations }): MeasuredSubject => ({
      name: entrant.name,
      samples: {
        init: cold.map((line) => line.init ?? Number.NaN),
        first: cold.map((line) => line.duration),
        billed: cold.map((line) => line.billed),
        duration: durations,
        used: cold.map((line) => line.used),
      },
    }),
  );
  const [ours] = subjects;
  const goals = subjects.slice(1).flatMap((other) =>
    (['init', 'first', 'duration'] as const).map((figure) =>
      judge(
        {
          what: `${figure} / ${other.name}`,
          of: { subject: ours?.name ?? '', figure },
          to: { subject: other.name, figure },
        },
        ({ subject, figure: key }) => subjects.find(({ name }) => name === subject)?.samples[key] ?? [],
      ),
    ),
  );
  return {
    scenario: `aws-${handler.name}`,
    group: 'aws',
    handler: handler.title,
    overview: ['init', 'duration'],
    conditions: { cold: false, memory },
    title: `On Lambda, ${handler.title} handler`,
    how: `From REPORT lines. Each run changes the function's environment, so that the next invocation starts a new one (\`init\`, \`first\`, \`billed\`, \`used\`), and then takes the median of ${warm} more (\`duration\`).`,
    runs,
    figures: [
      { key: 'init', title: 'init', unit: 'ms' },
      { key: 'first', title: 'first', unit: 'ms' },
      { key: 'billed', title: 'billed', unit: 'ms' },
      { key: 'duration', title: 'duration', unit: 'ms' },
      { key: 'used', title: 'used', unit: 'MB' },
    ],
    subjects,
    goals,
    left: [],
  };
}
