// The zip inside of a PublishLayerVersion request, once for all regions: the SDK would make a base64 string, a JSON
// string and its bytes for each of them. It knows neither regions nor what the rest of the request says.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { changedError, type Publishable } from './artifact.ts';

/** Stands for the zip in the request that the SDK writes. */
export const marker = Buffer.from('the zip goes here');
const markerText = marker.toString('base64');

/**
 * Lambda's quota is 50 MB, and its refusal names the whole request: "must be smaller than 69905067 bytes for the
 * PublishLayerVersion operation" (amazon-archives/aws-lambda-container-image-converter#60), in 2024 70167211
 * (minorun365/bedrock-book#42). The smaller is 50 MB in base64, so a little is left for name, description and so on.
 */
export const maxInlineZip = 52_428_800 - 3 * 1024;

/** A multiple of 3, so that base64 of the pieces is base64 of the whole. */
const piece = 3 << 18;

/** Request bodies with the zip in them; every region with the same metadata gets the same bytes. */
export class InlineBodies {
  readonly #artifact: Publishable;
  readonly #made = new Map<string, Promise<Buffer>>();

  constructor(artifact: Publishable) {
    this.#artifact = artifact;
  }

  /**
   * @param written the body that the SDK wrote, with the marker in it
   * @throws ARTIFACT_CHANGED when the file is no longer the one that was verified
   */
  bodyFor(written: string): Promise<Buffer> {
    const known = this.#made.get(written);
    if (known !== undefined) return known;
    const made = this.#make(written);
    this.#made.set(written, made);
    made.catch(() => this.#made.delete(written));
    return made;
  }

  async #make(written: string): Promise<Buffer> {
    const { path, size, sha256 } = this.#artifact;
    const [before, after, ...more] = written.split(markerText);
    if (before === undefined || after === undefined || more.length > 0) {
      throw new Error('The SDK writes PublishLayerVersion in another way than this version of make-runtime expects');
    }
    const encoded = Math.ceil(size / 3) * 4;
    const body = Buffer.alloc(Buffer.byteLength(before) + encoded + Buffer.byteLength(after));
    const hash = createHash('sha256');
    let at = body.write(before);
    const file = await open(path);
    try {
      const chunk = Buffer.alloc(piece);
      for (let read = 0; read < size; ) {
        const length = await fill(file, chunk, Math.min(piece, size - read));
        if (length === 0) break;
        hash.update(chunk.subarray(0, length));
        at += body.write(chunk.toString('base64', 0, length), at, 'latin1');
        read += length;
      }
    } finally {
      await file.close();
    }
    const now = hash.digest('hex');
    if (now !== sha256) throw changedError(path, sha256, now);
    body.write(after, at);
    return body;
  }
}

async function fill(file: Awaited<ReturnType<typeof open>>, chunk: Buffer, wanted: number): Promise<number> {
  let have = 0;
  while (have < wanted) {
    const { bytesRead } = await file.read(chunk, have, wanted - have);
    if (bytesRead === 0) break;
    have += bytesRead;
  }
  return have;
}
