// `make-runtime build`: runs the flow to a verified layer and says where it is.
import { buildRuntime, type PlanRequest, resolvePlan } from '../pipeline.ts';
import { verdictError } from '../verify/verdict.ts';
import type { Edge } from './edge.ts';

export async function build(request: PlanRequest & { output: string }, edge: Edge): Promise<void> {
  const plan = await resolvePlan(request, edge.ctx);
  for (const note of plan.notes) edge.ctx.report({ type: 'note', message: note });
  const { layer, verdict } = await buildRuntime(plan, request.output, edge.ctx, request);
  const failure = verdictError(verdict);
  if (failure) throw failure;
  edge.say(
    `${(layer.size / 1e6).toFixed(1)} MB zipped, ${(layer.unpacked / 1e6).toFixed(1)} MB unpacked, ${layer.files} files, plan ${plan.id}`,
  );
  edge.print(
    edge.json
      ? JSON.stringify({ plan: plan.id, name: plan.name, python: plan.python.version, ...layer, ok: verdict.ok })
      : layer.path,
  );
}
