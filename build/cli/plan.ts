// `make-runtime plan`: prints what a build would do, and does none of it.

import { type PlanRequest, resolvePlan } from '../pipeline.ts';
import { stableJson } from '../recipe/canonical.ts';
import { describe } from '../recipe/describe.ts';
import type { Edge } from './edge.ts';

export async function plan(request: PlanRequest, edge: Edge): Promise<void> {
  const plan = await resolvePlan(request, edge.ctx);
  edge.print(edge.json ? stableJson(plan) : describe(plan));
}
