// A stored profile: the tar of .gcda files that a release build's training leaves, kept so that the same plan gives the
// same bytes again. Knows what such a file looks like; what the counters say is the compiler's affair.
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { MakeRuntimeError } from '../lib/errors.ts';
import { digestFile } from '../source/cache.ts';

/**
 * Looks at a stored profile.
 * @returns its sha256
 * @throws PROFILE_DATA_INVALID when it cannot be read or is something else
 */
export async function profileDigest(path: string, signal: AbortSignal): Promise<string> {
  let first: Buffer;
  try {
    const file = await open(path);
    try {
      first = Buffer.alloc(512);
      await file.read(first, 0, 512, 0);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw invalid(`The profile ${path} cannot be read.`, cause);
  }
  // POSIX ustar: the name comes first, the magic at 257.
  const name = first.toString('latin1', 0, 100).replace(/\0.*$/s, '');
  if (first.toString('latin1', 257, 262) !== 'ustar' || !name.endsWith('.gcda')) {
    throw invalid(`${path} is not a profile: it is no tar of .gcda files.`);
  }
  return (await digestFile(path, signal)).sha256;
}

/**
 * The stored profile that a plan names.
 * @returns its absolute path
 * @throws PROFILE_DATA_INVALID when none or another one was given
 */
export async function requireProfile(
  path: string | undefined,
  sha256: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  if (path === undefined) throw invalid('The plan names a stored profile, and none was given.');
  if ((await profileDigest(path, signal)) === sha256) return resolve(path);
  throw invalid(`The profile ${path} is not the one that the plan was made with.`);
}

function invalid(sentence: string, cause?: unknown): MakeRuntimeError {
  return new MakeRuntimeError('PROFILE_DATA_INVALID', sentence, {
    remedy: 'Give the profile.tar that an earlier release build left beside its layer.zip.',
    ...(cause === undefined ? {} : { cause }),
  });
}
