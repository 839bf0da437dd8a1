// `make-runtime verify`: the verdict on any layer, and on request whether its plan gives it again; the exit status is theirs.

import { describeRebuild, rebuild, rebuildError } from '../rebuild.ts';
import type { Arch } from '../recipe/model.ts';
import { verifyArtifact } from '../verify/artifact.ts';
import { describeVerdict, verdictError } from '../verify/verdict.ts';
import type { Edge } from './edge.ts';

export async function verify(
  options: { artifact: string; arch?: Arch; code?: string; rebuild?: boolean; base?: string },
  edge: Edge,
): Promise<void> {
  const { artifact, arch, code } = options;
  const verdict = await verifyArtifact(artifact, { ...(arch ? { arch } : {}), ...(code ? { code } : {}) }, edge.ctx);
  const failure = verdictError(verdict);
  if (!options.rebuild || failure) {
    edge.print(edge.json ? JSON.stringify(verdict) : describeVerdict(verdict));
    if (failure) throw failure;
    return;
  }
  const again = await rebuild(artifact, { engine: edge.ctx.env['MAKE_RUNTIME_ENGINE'], base: options.base }, edge.ctx);
  edge.print(
    edge.json
      ? JSON.stringify({ ...verdict, rebuild: again })
      : `${describeVerdict(verdict)}\n\n${describeRebuild(again)}`,
  );
  const difference = rebuildError(again);
  if (difference) throw difference;
}
