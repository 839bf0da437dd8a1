// `make-runtime push`: sends an image to registries and says what it is called there.

import { isMakeRuntimeError, type MakeRuntimeError } from '../lib/errors.ts';
import { type Pushed, type PushRequest, pushError, pushImage } from '../push-pipeline.ts';
import type { Edge } from './edge.ts';

export async function push(request: PushRequest, edge: Edge): Promise<void> {
  const pushed = await pushImage(request, edge.ctx);
  const failure = pushError(pushed);
  if (edge.json) edge.print(JSON.stringify(forMachines(pushed)));
  else {
    for (const line of forPeople(pushed, edge)) edge.say(line);
    const uris = pushed.results.flatMap(({ delivered }) => delivered?.uri ?? []);
    if (uris.length > 0) edge.print(uris.join('\n'));
  }
  if (failure) throw failure;
}

function forMachines({ image, digest, size, results }: Pushed) {
  return {
    image,
    digest,
    size,
    targets: results.map(({ target, delivered, foreseen, error }) => ({
      target,
      ok: error === undefined,
      ...delivered,
      ...foreseen,
      ...(error === undefined ? {} : failed(error)),
    })),
  };
}

function failed(error: unknown): object {
  if (!isMakeRuntimeError(error)) return { code: 'INTERNAL' };
  const { code, message, remedy } = error as MakeRuntimeError;
  return { code, message, remedy };
}

function forPeople({ digest, results }: Pushed, { colors }: Edge): string[] {
  return results.flatMap(({ target, delivered, foreseen, error }) => {
    if (error !== undefined) {
      // Of a single target, the error is the last word anyhow.
      if (results.length === 1) return [];
      return [`${colors.red('✗')} ${target}  ${(error as Partial<MakeRuntimeError>).code ?? 'INTERNAL'}`];
    }
    const before = (delivered ?? foreseen)!.before;
    const tag = before === undefined ? 'new tag' : before === digest ? 'tag unchanged' : `tag led to ${before}`;
    if (foreseen !== undefined)
      return [`${target}  would send up to ${megabytes(foreseen.missing)}, ${tag.replace('led', 'leads')}`];
    const { blobs, statements } = delivered!;
    const spared = [blobs.mounted > 0 ? `${blobs.mounted} mounted` : '', blobs.found > 0 ? `${blobs.found} there` : ''];
    const stated = statements?.through === undefined ? [] : [`${statements.digests.length} statements`];
    const sent = `${megabytes(blobs.bytes)} sent`;
    return [`${colors.green('✓')} ${target}  ${[sent, ...spared, tag, ...stated].filter(Boolean).join(', ')}`];
  });
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
