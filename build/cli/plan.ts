// `make-runtime plan`: prints what a build would do, and does none of it; says what a build here would lack.

import { missingRequirements } from '../compile/requirement.ts';
import { type PlanRequest, surveyPlan } from '../pipeline.ts';
import { stableJson } from '../recipe/canonical.ts';
import { describe } from '../recipe/describe.ts';
import type { Edge } from './edge.ts';

export async function plan(request: PlanRequest, edge: Edge): Promise<void> {
  const { plan, gaps } = await surveyPlan(request, edge.ctx);
  if (gaps.length > 0) {
    const where = plan.builder.engine === 'host' ? 'on this machine' : 'in the builder image';
    const { message, remedy } = missingRequirements(gaps, where);
    edge.ctx.report({ type: 'warn', message, ...(remedy === undefined ? {} : { remedy }) });
  }
  edge.print(edge.json ? stableJson(plan) : describe(plan));
}
