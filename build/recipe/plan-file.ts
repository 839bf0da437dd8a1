// A plan that was written to a file: read back only when it is what it says it is. Knows nothing of machines.
import { readFile } from 'node:fs/promises';
import { MakeRuntimeError } from '../lib/errors.ts';
import { shortDigest } from './canonical.ts';
import type { Plan } from './model.ts';

/**
 * Reads a plan.json.
 * @throws PLAN_INVALID when it is no plan, or was edited: its id is the digest of everything else in it
 */
export async function readPlan(path: string): Promise<Plan> {
  const invalid = (why: string, cause?: unknown): MakeRuntimeError =>
    new MakeRuntimeError('PLAN_INVALID', `${path} ${why}.`, {
      remedy: 'Make it again with `make-runtime plan <recipe> --json`.',
      cause,
    });
  let plan: Plan;
  try {
    plan = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw invalid('cannot be read as a plan', cause);
  }
  if (typeof plan !== 'object' || plan === null || typeof plan.id !== 'string') throw invalid('is not a plan');
  const { id, ...content } = plan;
  if (shortDigest(content) !== id) throw invalid('was changed after it was made');
  return plan;
}
