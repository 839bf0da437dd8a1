// The verdict on the runtime in an image, kept beside the image: an image is made of a layer that was verified, and who
// pushes it later wants to know that of this very image. It knows nothing of registries.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeWhole } from '../lib/folder.ts';
import { stableJson } from '../recipe/canonical.ts';
import type { Verdict } from './verdict.ts';

const file = 'image-verdict.json';

const shape = z.looseObject({
  image: z.string(),
  artifact: z.string(),
  ok: z.boolean(),
  findings: z.array(z.looseObject({ check: z.string(), level: z.string(), message: z.string() })),
});

/** Of the layer that the image was made of, and the digest of the image's manifest. */
export type ImageVerdict = Verdict & { readonly image: string };

/** Writes it into the folder that the layout's folder is in. Throws DISK_FULL. */
export async function writeImageVerdict(folder: string, verdict: ImageVerdict): Promise<void> {
  await writeWhole(join(folder, file), stableJson(verdict));
}

/** Undefined where there is none: the image was made by something else, or was moved alone. 'damaged' when unreadable. */
export async function readImageVerdict(folder: string): Promise<z.output<typeof shape> | 'damaged' | undefined> {
  const text = await readFile(join(folder, file), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return shape.parse(JSON.parse(text));
  } catch {
    return 'damaged';
  }
}
