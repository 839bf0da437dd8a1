// The tables of docs/differences.md: which differences are listed there. Refuses to know what they are.
import { readFile } from 'node:fs/promises';
import path from 'node:path';

/** The ids in the first column, in order. */
export async function listedRows(): Promise<string[]> {
  const file = path.resolve(import.meta.dirname, '../../../docs/differences.md');
  const text = await readFile(file, 'utf8');
  return [...text.matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map(([, id]) => id!);
}
