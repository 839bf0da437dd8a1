// `make-runtime bench` (and `npm run bench`): figures anybody can repeat, with the machine they came from.
import { cpus, loadavg } from 'node:os';
import { describe, summary } from '../bench/report.ts';
import { type Measured, measure } from '../bench/run.ts';
import { scenarios } from '../bench/scenarios/all.ts';
import { prepareWorkbench } from '../bench/workbench.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { buildRuntime, resolvePlan } from '../pipeline.ts';
import { nearest } from '../recipe/nearest.ts';
import type { Edge } from './edge.ts';

export interface BenchOptions {
  readonly artifact: string | undefined;
  readonly runs: number;
  /** Names of scenarios; empty: all. */
  readonly only: readonly string[];
}

export async function bench(options: BenchOptions, edge: Edge): Promise<void> {
  const { ctx } = edge;
  const chosen = choose(options.only);
  const artifact =
    options.artifact ?? (await buildRuntime(await resolvePlan({ recipe: '3.13t' }, ctx), 'dist/out', ctx)).layer.path;
  const start = Date.now();
  ctx.report({ type: 'stage-start', stage: 'bench', title: 'bench' });
  const workbench = await prepareWorkbench(artifact, ctx);
  const loadBefore = loadavg()[0] ?? 0;
  const measured: Measured[] = [];
  for (const scenario of chosen) {
    const one = await measure(scenario, workbench, options.runs, ctx);
    if (one !== undefined) measured.push(one);
    else edge.say(`${scenario.name}: not for this build.`);
  }
  ctx.report({ type: 'stage-end', stage: 'bench', title: 'bench', milliseconds: Date.now() - start, cached: false });
  const { plan } = workbench;
  const machine = `${cpus()[0]?.model.trim() ?? process.arch}, ${cpus().length} cores, built on ${plan.builder.system}`;
  // The runs themselves are one busy core and a bit; more than that is other people's work, and noise in the figures.
  const load = `load average ${loadBefore.toFixed(1)} before and ${(loadavg()[0] ?? 0).toFixed(1)} after`;
  const heading = `${plan.name} (CPython ${plan.python.version}, plan ${plan.id}) on ${machine}, ${new Date().toISOString().slice(0, 10)}, ${load}`;
  edge.print(
    edge.json
      ? JSON.stringify({ heading, scenarios: measured })
      : [heading, '### Targets', summary(measured), ...measured.map(describe)].join('\n\n'),
  );
}

function choose(only: readonly string[]): typeof scenarios {
  const names = scenarios.map(({ name }) => name);
  for (const wanted of only) {
    if (names.includes(wanted)) continue;
    const like = nearest(wanted, names);
    throw new MakeRuntimeError('USAGE', `There is no benchmark called ${wanted}.`, {
      remedy: like === undefined ? `There are: ${names.join(', ')}.` : `Did you mean ${like}?`,
    });
  }
  return only.length === 0 ? scenarios : scenarios.filter(({ name }) => only.includes(name));
}
