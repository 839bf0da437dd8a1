// A function's code as GetFunction describes it: size and hash over all files. Lambda hashes the zip that was uploaded;
// here there is none, so names and contents are hashed, which also changes exactly when the code does.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface CodeFacts {
  readonly sha256: string;
  readonly size: number;
}

/** Of all files below a folder; symbolic links and what Python compiles by itself do not count. */
export async function codeFacts(folder: string): Promise<CodeFacts> {
  const hash = createHash('sha256');
  let size = 0;
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.includes('/__pycache__/'))
    .sort();
  for (const path of files) {
    const content = await readFile(path).catch(() => Buffer.alloc(0));
    size += content.length;
    hash.update(`${path.slice(folder.length)}\0${content.length}\0`).update(content);
  }
  return { sha256: hash.digest('base64'), size };
}
