// A small file over HTTP as bytes in memory: an index, a signature, metadata. Bounded, because whoever answers may
// send anything. The same proxies, patience and words as for tarballs: it is the same download.
import { readFile } from 'node:fs/promises';
import type { Context } from '../lib/context.ts';
import { explainSystemError } from '../lib/errors.ts';
import { dropPart, openPart } from './cache.ts';
import { download, type Patience, patience } from './http.ts';

/**
 * @param limit bytes it may have at most
 * @throws MirrorFailure, TooLarge; DISK_FULL, CANCELLED
 */
export async function fetchSmall(url: string, limit: number, ctx: Context, how: Patience = patience): Promise<Buffer> {
  const part = await openPart(ctx.cacheDir, 'small');
  try {
    // Nothing that an earlier run left may become part of this file.
    await dropPart(part);
    await download(url, part, limit, ctx, how);
    return await readFile(part);
  } catch (error) {
    throw explainSystemError(error, `downloading ${url}`);
  } finally {
    await dropPart(part);
  }
}
