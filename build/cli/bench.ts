// `make-runtime bench` (and `npm run bench`): figures anybody can repeat, with the machine they came from.
import { readFile } from 'node:fs/promises';
import { cpus, loadavg, release } from 'node:os';
import { rewriteBlocks } from '../bench/blocks.ts';
import { compare, comparisonInWords } from '../bench/compare.ts';
import { type Conditions, openShares } from '../bench/conditions.ts';
import { html } from '../bench/html.ts';
import { markdown } from '../bench/markdown.ts';
import { labelOf, type Measured, type Result, readResult } from '../bench/result.ts';
import { measure } from '../bench/run.ts';
import { groups, type Scenario } from '../bench/scenario.ts';
import { scenarios } from '../bench/scenarios/all.ts';
import { prepareWorkbench } from '../bench/workbench.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { writeWhole } from '../lib/folder.ts';
import { buildRuntime, resolvePlan } from '../pipeline.ts';
import { nearest } from '../recipe/nearest.ts';
import { type Edge, packageVersion } from './edge.ts';

export interface BenchOptions {
  /** Layers, or recipes, which are then built. */
  readonly artifacts: readonly string[];
  readonly client: readonly string[];
  readonly image: readonly string[];
  readonly engine: string;
  readonly runs: number;
  /** Names of scenarios and of groups; empty: all. */
  readonly only: readonly string[];
  readonly cold?: boolean;
  readonly memory: readonly number[];
  /** Files of `out`: nothing is measured. */
  readonly from?: string;
  readonly out?: string;
  readonly html?: string;
  readonly markdown?: string;
  /** Documents whose blocks are rewritten. */
  readonly write: readonly string[];
  readonly onAws?: boolean;
  readonly region?: string;
  readonly role?: string;
  readonly profile?: string;
  /** With onAws: measure nothing, remove what earlier runs have left. */
  readonly clean?: boolean;
}

export async function bench(options: BenchOptions, edge: Edge): Promise<void> {
  if (options.clean === true) return clean(options, edge);
  const result = options.from === undefined ? await run(options, edge) : await readResult(options.from);
  if (options.out !== undefined) await writeWhole(options.out, `${JSON.stringify(result)}\n`);
  if (options.html !== undefined) await writeWhole(options.html, html(result));
  if (options.markdown !== undefined) await writeWhole(options.markdown, `${markdown(result)}\n`);
  for (const path of options.write) await rewrite(path, result, edge);
  edge.print(edge.json ? JSON.stringify(result) : markdown(result));
}

async function rewrite(path: string, result: Result, edge: Edge): Promise<void> {
  const before = await readFile(path, 'utf8').catch((error) => {
    throw new MakeRuntimeError('ARTIFACT_NOT_FOUND', `${path} cannot be read.`, { cause: error });
  });
  const { text, written, incomplete } = rewriteBlocks(before, result);
  if (text !== before) await writeWhole(path, text);
  edge.say(`${path}: ${written} ${written === 1 ? 'block' : 'blocks'} written`);
  for (const views of incomplete)
    edge.ctx.report({
      type: 'warn',
      message: `${path}: the block "${views}" is as it was: not all of it was measured.`,
      remedy: 'Run without --only.',
    });
}

/** `bench --compare old new`: exit status of BENCH_REGRESSED when something has become worse. */
export async function compareResults(
  files: readonly string[],
  { tolerance, all }: { readonly tolerance: number; readonly all: boolean },
  edge: Edge,
): Promise<void> {
  const [old, now] = files;
  if (old === undefined || now === undefined || files.length !== 2) {
    throw new MakeRuntimeError('USAGE', '--compare takes two files.', {
      remedy: 'make-runtime bench --compare old.json new.json, each written by bench --out.',
    });
  }
  const comparison = compare(await readResult(old), await readResult(now), tolerance / 100);
  edge.print(edge.json ? JSON.stringify(comparison) : comparisonInWords(comparison, all));
  const worse = comparison.changes.filter(({ verdict }) => verdict === 'worse');
  if (worse.length > 0) {
    throw new MakeRuntimeError(
      'BENCH_REGRESSED',
      `${worse.length} of ${comparison.changes.length} figures are worse.`,
      {
        remedy: 'They are the first rows of the table. Measure both again when the machine was busy.',
      },
    );
  }
}

async function run(options: BenchOptions, edge: Edge): Promise<Result> {
  const { ctx } = edge;
  const chosen = choose(options.only);
  const role = options.onAws === true ? required(options.role) : undefined;
  const artifacts: string[] = [];
  for (const subject of options.artifacts.length === 0 ? ['3.13t'] : options.artifacts) {
    if (subject.endsWith('.zip')) artifacts.push(subject);
    else artifacts.push((await buildRuntime(await resolvePlan({ recipe: subject }, ctx), 'dist/out', ctx)).layer.path);
  }
  const start = Date.now();
  ctx.report({ type: 'stage-start', stage: 'bench', title: 'bench' });
  const loadBefore = loadavg()[0] ?? 0;
  const taken =
    role === undefined ? await here(artifacts, chosen, options, edge) : await there(artifacts, role, options, edge);
  ctx.report({ type: 'stage-end', stage: 'bench', title: 'bench', milliseconds: Date.now() - start, cached: false });
  return {
    format: 'make-runtime-bench/1',
    date: new Date(start).toISOString(),
    command: commandLine(options),
    version: await packageVersion(),
    machine: {
      processor: cpus()[0]?.model.trim() ?? process.arch,
      cores: cpus().length,
      system: await systemName(),
      kernel: release(),
    },
    load: [loadBefore, loadavg()[0] ?? 0],
    ...taken,
  };
}

type Taken = Pick<Result, 'runtimes' | 'scenarios' | 'notes'>;

async function here(
  artifacts: readonly string[],
  chosen: readonly Scenario[],
  options: BenchOptions,
  edge: Edge,
): Promise<Taken> {
  const { ctx } = edge;
  const workbench = await prepareWorkbench(
    {
      artifacts,
      sameClient: !options.client.includes('none'),
      clients: options.client.filter((one) => one !== 'none' && one !== 'same'),
      images: options.image,
      engine: options.engine,
    },
    ctx,
  );
  const measured: Measured[] = [];
  const shares = options.memory.length === 0 ? undefined : await openShares(options.memory);
  try {
    for (const memory of options.memory.length === 0 ? [undefined] : options.memory) {
      const conditions: Conditions = { cold: options.cold === true, ...(memory === undefined ? {} : { memory }) };
      const group = memory === undefined ? undefined : shares?.folder(memory);
      for (const scenario of chosen) {
        const one = await measure(scenario, workbench, options.runs, { conditions, group }, ctx);
        if (one === undefined) edge.say(`${scenario.name}: not for this build.`);
        else measured.push(one);
        for (const line of one?.left ?? [])
          ctx.report({ type: 'warn', message: `${labelOf(one as Measured)}: ${line}` });
      }
    }
  } finally {
    await shares?.close();
  }
  return {
    runtimes: workbench.runtimes.map(({ name, kind, python, identity }) => ({ name, kind, python, identity })),
    scenarios: measured,
    notes: workbench.notes,
  };
}

function required(role: string | undefined): string {
  if (role !== undefined) return role;
  throw new MakeRuntimeError('USAGE', '--on-aws needs --role, the execution role of the temporary functions.', {
    remedy: 'Any role that Lambda may assume; one without permissions is enough, and leaves no log groups behind.',
  });
}

async function there(artifacts: readonly string[], role: string, options: BenchOptions, edge: Edge): Promise<Taken> {
  const [{ measureOnAws }, region] = await Promise.all([import('../bench/aws/on-aws.ts'), oneRegion(options, edge)]);
  const memories = options.memory.length === 0 ? [128, 512, 1769] : options.memory;
  return measureOnAws({ artifacts, memories, runs: options.runs, region, role, profile: options.profile }, edge.ctx);
}

async function clean(options: BenchOptions, edge: Edge): Promise<void> {
  const [{ removeAll }, region] = await Promise.all([import('../bench/aws/on-aws.ts'), oneRegion(options, edge)]);
  const removed = await removeAll({ region, profile: options.profile }, undefined, edge.ctx);
  edge.print(
    edge.json ? JSON.stringify({ region, removed }) : [...removed, `${removed.length} removed in ${region}`].join('\n'),
  );
}

async function oneRegion({ region, profile }: BenchOptions, edge: Edge): Promise<string> {
  const { AwsSession } = await import('../aws/session.ts');
  const { chooseRegions } = await import('../aws/regions.ts');
  using aws = new AwsSession(edge.ctx, { profile });
  const [chosen, more] = await chooseRegions(region === undefined ? [] : [region], aws);
  if (chosen === undefined || more !== undefined) {
    throw new MakeRuntimeError('USAGE', 'A benchmark runs in one region.', { remedy: 'Give one: --region eu-west-1.' });
  }
  return chosen;
}

/** What somebody else has to type. Paths are theirs, so artifacts are named by what they are in the line behind it. */
function commandLine({ runs, only, client, image, cold, memory, onAws }: BenchOptions): string {
  return [
    'make-runtime bench',
    `--runs ${runs}`,
    ...only.map((name) => `--only ${name}`),
    ...client.map((one) => `--client ${one.split('/').at(-1)}`),
    ...image.map((one) => `--image ${one}`),
    ...(cold === true ? ['--cold'] : []),
    ...(onAws === true ? ['--on-aws'] : []),
    ...(memory.length === 0 ? [] : [`--memory ${memory.join(',')}`]),
  ].join(' ');
}

async function systemName(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? process.platform;
}

function choose(only: readonly string[]): readonly Scenario[] {
  const names = scenarios.map(({ name }) => name);
  const known = [...names, ...groups];
  for (const wanted of only) {
    if (known.includes(wanted)) continue;
    const like = nearest(wanted, known);
    throw new MakeRuntimeError('USAGE', `There is no benchmark called ${wanted}.`, {
      remedy: like === undefined ? `There are: ${known.join(', ')}.` : `Did you mean ${like}?`,
    });
  }
  return only.length === 0
    ? scenarios
    : scenarios.filter(({ name, group }) => only.includes(name) || only.includes(group));
}
