// `make-runtime verify`: the verdict on any layer; the exit status is the verdict's.
import type { Arch } from '../recipe/model.ts';
import { verifyArtifact } from '../verify/artifact.ts';
import { describeVerdict, verdictError } from '../verify/verdict.ts';
import type { Edge } from './edge.ts';

export async function verify(options: { artifact: string; arch?: Arch; code?: string }, edge: Edge): Promise<void> {
  const { artifact, ...request } = options;
  const verdict = await verifyArtifact(artifact, request, edge.ctx);
  edge.print(edge.json ? JSON.stringify(verdict) : describeVerdict(verdict));
  const failure = verdictError(verdict);
  if (failure) throw failure;
}
