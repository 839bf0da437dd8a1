// What a registry has under a tag now, as an entry for the lock file. Pulls the manifest and nothing behind it.
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import type { BuilderPin } from '../recipe/model.ts';
import { fetchManifest } from './pull.ts';
import { parseReference, printReference } from './reference.ts';
import { Registry, type RegistryOptions } from './session.ts';

/**
 * Pins an image. The digest is that of the index where the image is for several architectures: one pin serves all.
 * @throws USAGE for a reference that is a digest already; REFERENCE_INVALID, and as fetchManifest()
 */
export async function builderPin(text: string, ctx: Context, options: RegistryOptions = {}): Promise<BuilderPin> {
  const reference = parseReference(text);
  if (reference.digest !== undefined) {
    throw new MakeRuntimeError('USAGE', `"${text}" is pinned already.`, { remedy: 'Name a tag.' });
  }
  using registry = new Registry(reference, ctx, options);
  const { digest } = await fetchManifest(registry, ctx);
  return {
    reference: printReference(reference),
    digest,
    verifiedBy: `sha256 of the manifest that ${reference.registry} sent when the pin was made`,
  };
}
