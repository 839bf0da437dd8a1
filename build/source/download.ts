// Gets one pinned file: from the cache, else from the first mirror that has the right bytes. A file is only ever
// handed out after its hash was computed in this run. Knows nothing of recipes beyond the pin.
import { copyFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Context } from '../lib/context.ts';
import { explainSystemError, isMakeRuntimeError, MakeRuntimeError, throwIfCancelled } from '../lib/errors.ts';
import type { Repack, Source } from '../recipe/model.ts';
import { cachePath, digestFile, dropPart, inspectCached, keepPart, leavePart, openPart, sizeOf } from './cache.ts';
import { debianHas, fetchFromDebian } from './debian.ts';
import { answers, download, MirrorFailure, type Patience, patience, TooLarge } from './http.ts';
import { parseMirror } from './mirror.ts';

/** What a mirror answered, for the error that names them all. */
interface Answer {
  readonly mirror: string;
  readonly said: string;
  /** Expected and received, on two lines, when it sent something else. */
  readonly mismatch?: string;
}

/**
 * Fetches a pinned source.
 * @returns the path of the file in the cache; its bytes were hashed just now
 * @throws SOURCE_UNREACHABLE when no mirror has it, SOURCE_HASH_MISMATCH when one sent other bytes and none the right
 *   ones, DISK_FULL, CANCELLED
 */
export async function fetchSource(source: Source, ctx: Context, how: Patience = patience): Promise<string> {
  const repacks = (source.repacks ?? []).map((repack) => asSource(source, repack));
  for (const repack of repacks) {
    // What an earlier run got from a second mirror need not be looked for at the first one again.
    const cached = await sizeOf(cachePath(ctx.cacheDir, source.sha256));
    if (cached === undefined && (await inspectCached(ctx.cacheDir, repack.sha256, ctx.signal)) === 'right') {
      return cachePath(ctx.cacheDir, repack.sha256);
    }
  }
  try {
    return await fetchExactly(source, ctx, how);
  } catch (error) {
    // Other bytes than pinned are a reason to stop, not to look elsewhere.
    if (!isMakeRuntimeError(error) || error.code !== 'SOURCE_UNREACHABLE' || ctx.offline) throw error;
    for (const repack of repacks) {
      try {
        return await fetchExactly(repack, ctx, how);
      } catch (second) {
        if (!isMakeRuntimeError(second) || second.code !== 'SOURCE_UNREACHABLE') throw second;
      }
    }
    throw error;
  }
}

/** A distribution's archive of a release, as a pin of its own. */
function asSource({ repacks: _, ...source }: Source, { mirror, size, sha256 }: Repack): Source {
  return { ...source, mirrors: [mirror], size, sha256 };
}

async function fetchExactly(source: Source, ctx: Context, how: Patience): Promise<string> {
  throwIfCancelled(ctx.signal);
  const cached = await inspectCached(ctx.cacheDir, source.sha256, ctx.signal);
  if (cached === 'right') return cachePath(ctx.cacheDir, source.sha256);
  if (cached === 'wrong') {
    ctx.report({ type: 'warn', message: `The cached ${source.file} was damaged; fetching it again.` });
    await rm(cachePath(ctx.cacheDir, source.sha256), { force: true });
  }
  if (ctx.offline) throw offline(source, ctx);

  const answered: Answer[] = [];
  const part = await openPart(ctx.cacheDir, source.sha256);
  try {
    for (const mirror of source.mirrors) {
      throwIfCancelled(ctx.signal);
      ctx.report({ type: 'progress', stage: 'sources', text: `${source.file} from ${mirror}` });
      const answer = await tryMirror(source, mirror, part, ctx, how);
      if (answer === undefined) return await keepPart(part, ctx.cacheDir, source.sha256);
      answered.push(answer);
    }
  } catch (error) {
    throw explainSystemError(error, `downloading ${source.file}`);
  } finally {
    leavePart(part);
  }
  throw nothingRight(source, answered, ctx);
}

/**
 * Fetches a file that has no pin yet, to make one.
 * @throws SOURCE_UNREACHABLE, CANCELLED
 */
export async function fetchUnpinned(
  wanted: { readonly file: string; readonly mirrors: readonly string[] },
  ctx: Context,
  how: Patience = patience,
): Promise<{ size: number; sha256: string; mirror: string }> {
  const answered: Answer[] = [];
  for (const mirror of ctx.offline ? [] : wanted.mirrors) {
    const part = await openPart(ctx.cacheDir, 'unpinned');
    try {
      // Without a hash to compare with, nothing that an earlier run left may become part of this file.
      await dropPart(part);
      await receive(mirror, part, Number.POSITIVE_INFINITY, ctx, how);
      const { size, sha256 } = await digestFile(part, ctx.signal);
      await keepPart(part, ctx.cacheDir, sha256);
      return { size, sha256, mirror };
    } catch (error) {
      if (!(error instanceof MirrorFailure)) throw explainSystemError(error, `downloading ${wanted.file}`);
      answered.push({ mirror, said: error.message });
    } finally {
      await dropPart(part);
    }
  }
  throw new MakeRuntimeError('SOURCE_UNREACHABLE', `${wanted.file} could not be fetched from any mirror.`, {
    remedy: ctx.offline ? 'Run again without --offline.' : 'Check the version number and the network.',
    detail: printAnswers(answered),
  });
}

/** True when a pinned source is in the cache or a mirror says that it has it. Downloads no tarball. */
export async function isObtainable(source: Source, ctx: Context): Promise<boolean> {
  if ((await sizeOf(cachePath(ctx.cacheDir, source.sha256))) === source.size) return true;
  if (ctx.offline) return false;
  const repacked = (source.repacks ?? []).map((repack) => asSource(source, repack));
  for (const repack of repacked) if (await isObtainable(repack, ctx)) return true;
  for (const text of source.mirrors) {
    const mirror = parseMirror(text);
    if (mirror.kind === 'http' && (await answers(mirror.url, ctx))) return true;
    if (mirror.kind === 'file' && (await sizeOf(fileURLToPath(mirror.url))) === source.size) return true;
    if (mirror.kind === 'debian' && (await debianHas(mirror, ctx))) return true;
  }
  return false;
}

/** Undefined when `part` has the right bytes now, else what this mirror answered instead. */
async function tryMirror(
  source: Source,
  mirror: string,
  part: string,
  ctx: Context,
  how: Patience,
): Promise<Answer | undefined> {
  for (let again = false; ; again = true) {
    let resumed: boolean;
    try {
      ({ resumed } = await receive(mirror, part, source.size, ctx, how));
    } catch (error) {
      // What has come so far stays, for the next mirror or the next run.
      if (error instanceof MirrorFailure) return { mirror, said: error.message };
      if (!(error instanceof TooLarge)) throw error;
      await dropPart(part);
      const mismatch = `expected size ${source.size}\nreceived size more than ${source.size}`;
      return { mirror, said: 'sent other bytes', mismatch };
    }
    const got = await digestFile(part, ctx.signal);
    if (got.sha256 === source.sha256 && got.size === source.size) return undefined;
    await dropPart(part);
    // The beginning may have come from elsewhere; only a whole download convicts a mirror.
    if (resumed && !again) continue;
    return { mirror, said: 'sent other bytes', mismatch: differing(source, got) };
  }
}

/** Brings what a mirror has into `part`. */
async function receive(
  text: string,
  part: string,
  limit: number,
  ctx: Context,
  how: Patience,
): Promise<{ resumed: boolean }> {
  const mirror = parseMirror(text);
  switch (mirror.kind) {
    case 'http':
      return download(mirror.url, part, limit, ctx, how);
    case 'debian':
      await fetchFromDebian(mirror, part, ctx);
      return { resumed: false };
    case 'file':
      try {
        await copyFile(fileURLToPath(mirror.url), part);
      } catch (cause) {
        const { code } = cause as NodeJS.ErrnoException;
        if (code === 'ENOENT' || code === 'EACCES' || code === 'EISDIR') {
          throw new MirrorFailure(code === 'ENOENT' ? 'no such file' : 'not a readable file', { cause });
        }
        throw cause;
      }
      return { resumed: false };
  }
}

function differing(source: Source, got: { size: number; sha256: string }): string {
  const lines = [`expected sha256 ${source.sha256}`, `received sha256 ${got.sha256}`];
  if (got.size !== source.size) lines.push(`expected size ${source.size}`, `received size ${got.size}`);
  return lines.join('\n');
}

function nothingRight(source: Source, answered: readonly Answer[], ctx: Context): MakeRuntimeError {
  const detail = printAnswers(answered);
  if (answered.some(({ mismatch }) => mismatch !== undefined)) {
    return new MakeRuntimeError(
      'SOURCE_HASH_MISMATCH',
      `What was received as ${source.file} is not the pinned file, and was thrown away.`,
      {
        remedy:
          'Run again: a broken download heals. If it stays, something between here and the mirror changes the file, or the mirror was tampered with.',
        detail,
      },
    );
  }
  return new MakeRuntimeError('SOURCE_UNREACHABLE', `${source.file} could not be fetched from any mirror.`, {
    remedy: `Check the network and the proxy settings, or put the file at ${cachePath(ctx.cacheDir, source.sha256)}.`,
    detail,
  });
}

function offline(source: Source, ctx: Context): MakeRuntimeError {
  const path = cachePath(ctx.cacheDir, source.sha256);
  const urls = source.mirrors.filter((mirror) => !mirror.startsWith('debian:'));
  return new MakeRuntimeError(
    'SOURCE_UNREACHABLE',
    `${source.file} is not in the cache, and --offline forbids fetching it.`,
    {
      remedy: `Run once without --offline, or download ${urls[0] ?? source.file} elsewhere and save it as ${path}.`,
      detail: `file ${source.file}\nfrom ${source.mirrors.join('\n     ')}\ninto ${dirname(path)}`,
    },
  );
}

function printAnswers(answered: readonly Answer[]): string {
  return answered
    .map(({ mirror, said, mismatch }) => {
      const indented = mismatch === undefined ? '' : `\n${mismatch.replace(/^/gm, '  ')}`;
      return `${mirror}: ${said}${indented}`;
    })
    .join('\n');
}
