// `make-runtime inspect`: what is in a layer, without judging it; with --licenses, whose work it is.
import { artifactLicences, inspectArtifact } from '../verify/artifact.ts';
import { describeInspection } from '../verify/inspect.ts';
import { describeLicences } from '../verify/licences.ts';
import type { Edge } from './edge.ts';

export async function inspect(
  { artifact, licenses = false }: { artifact: string; licenses?: boolean },
  edge: Edge,
): Promise<void> {
  if (licenses) {
    const found = await artifactLicences(artifact, edge.ctx);
    edge.print(edge.json ? JSON.stringify(found) : describeLicences(found));
    return;
  }
  const inspection = await inspectArtifact(artifact, edge.ctx);
  edge.print(edge.json ? JSON.stringify(inspection) : describeInspection(inspection));
}
