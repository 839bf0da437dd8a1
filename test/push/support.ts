// An image beside which make-runtime's own files lie, for tests of what is done with them.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LayoutImage, writeLayout } from '../image/support/layouts.ts';

export interface MadeImage {
  /** The layout's folder. */
  readonly path: string;
  readonly digest: string;
}

/** A small image in `<folder>/image`, with verdict and statements as `make-runtime image` leaves them. */
export async function makeImage(
  folder: string,
  { beside = true, ok = true, ...options }: LayoutImage & { beside?: boolean; ok?: boolean } = {},
): Promise<MadeImage> {
  const path = join(folder, 'image');
  await writeLayout(path, [{ ...options }]);
  const digest: string = JSON.parse(await readFile(join(path, 'index.json'), 'utf8')).manifests[0].digest;
  if (beside) {
    const fail = { check: 'elf.glibc', level: 'fail', message: 'It needs glibc 2.99.' };
    const verdict = { image: digest, artifact: 'layer.zip', ok, findings: ok ? [] : [fail] };
    await writeFile(join(folder, 'image-verdict.json'), JSON.stringify(verdict));
    await mkdir(join(folder, 'image-statements'), { recursive: true });
    for (const name of ['sbom.cdx.json', 'sbom.spdx.json', 'provenance.json'])
      await writeFile(join(folder, 'image-statements', name), JSON.stringify({ name, about: digest.slice(7) }));
  }
  return { path, digest };
}
