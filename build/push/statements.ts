// The SBOMs and the provenance that lie beside an image, as artifacts that refer to it. They are only taken along when
// they are about this very image. It knows where the files are, not how they travel.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Artifact } from '../registry/referrers.ts';
import type { ImageSource } from './source.ts';

const files = [
  { name: 'sbom.cdx.json', type: 'application/vnd.cyclonedx+json' },
  { name: 'sbom.spdx.json', type: 'application/spdx+json' },
  { name: 'provenance.json', type: 'application/vnd.in-toto+json' },
] as const;

export interface Found {
  readonly artifacts: readonly Artifact[];
  /** Why there are none, or not all; undefined when all is well. */
  readonly missing: string | undefined;
}

/** The statements in `image-statements/` beside the image. */
export async function findStatements({ beside, manifest }: ImageSource): Promise<Found> {
  const folder = join(beside, 'image-statements');
  const artifacts: Artifact[] = [];
  for (const { name, type } of files) {
    const bytes = await readFile(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
      throw error;
    });
    if (bytes === undefined) return { artifacts: [], missing: `there is no ${name} beside the image` };
    // All three name what they are about by its sha256.
    if (!bytes.includes(manifest.digest.slice('sha256:'.length)))
      return { artifacts: [], missing: `${name} beside the image is about another one` };
    artifacts.push({ type, title: name, bytes });
  }
  return { artifacts, missing: undefined };
}
