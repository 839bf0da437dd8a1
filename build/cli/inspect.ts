// `make-runtime inspect`: what is in a layer, without judging it.
import { inspectArtifact } from '../verify/artifact.ts';
import { describeInspection } from '../verify/inspect.ts';
import type { Edge } from './edge.ts';

export async function inspect({ artifact }: { artifact: string }, edge: Edge): Promise<void> {
  const inspection = await inspectArtifact(artifact, edge.ctx);
  edge.print(edge.json ? JSON.stringify(inspection) : describeInspection(inspection));
}
