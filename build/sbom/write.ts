// Writes the statements about an artifact beside it: two SBOMs and the provenance that names them.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { writeWhole } from '../lib/folder.ts';
import { stableJson } from '../recipe/canonical.ts';
import { cyclonedx, type Described } from './cyclonedx.ts';
import { type Byproduct, provenance } from './provenance.ts';
import { spdx } from './spdx.ts';

/** Paths of what was written. */
export interface Statements {
  readonly cyclonedx: string;
  readonly spdx: string;
  readonly provenance: string;
}

/**
 * Writes sbom.cdx.json, sbom.spdx.json and provenance.json into a folder, each whole. The same plan and the same
 * artifact give the same bytes.
 * @throws DISK_FULL
 */
export async function writeStatements(described: Described, outDir: string): Promise<Statements> {
  const write = async (name: string, value: object): Promise<Byproduct & { path: string }> => {
    const text = stableJson(value);
    const path = join(outDir, name);
    await writeWhole(path, text);
    return { path, name, sha256: createHash('sha256').update(text).digest('hex') };
  };
  const boms = [
    await write('sbom.cdx.json', cyclonedx(described)),
    await write('sbom.spdx.json', spdx(described)),
  ] as const;
  const statement = await write('provenance.json', provenance(described, boms));
  return { cyclonedx: boms[0].path, spdx: boms[1].path, provenance: statement.path };
}
