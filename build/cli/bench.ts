// `make-runtime bench` (and `npm run bench`): figures anybody can repeat, with the machine they came from.
import { cpus } from 'node:os';
import { measure } from '../bench/measure.ts';
import { describe, targets } from '../bench/report.ts';
import { prepareSubjects } from '../bench/subjects.ts';
import { buildRuntime, resolvePlan } from '../pipeline.ts';
import type { Edge } from './edge.ts';

export async function bench(options: { artifact?: string; runs: number }, edge: Edge): Promise<void> {
  const { ctx } = edge;
  const artifact =
    options.artifact ?? (await buildRuntime(await resolvePlan({ recipe: '3.13t' }, ctx), 'dist/out', ctx)).layer.path;
  const start = Date.now();
  ctx.report({ type: 'stage-start', stage: 'bench', title: 'bench' });
  const subjects = await prepareSubjects(artifact, ctx);
  const measured = await measure(subjects, options.runs, ctx);
  ctx.report({ type: 'stage-end', stage: 'bench', title: 'bench', milliseconds: Date.now() - start, cached: false });
  const machine = `${cpus()[0]?.model.trim() ?? process.arch}, ${cpus().length} cores, ${subjects.plan.builder.system}`;
  const heading = `${subjects.plan.name} (CPython ${subjects.plan.python.version}, plan ${subjects.plan.id}) on ${machine}, ${new Date().toISOString().slice(0, 10)}`;
  edge.print(
    edge.json ? JSON.stringify({ heading, targets: targets(measured), ...measured }) : describe(measured, heading),
  );
}
