// The lock file: which upstream bytes this project trusts. People write recipes, this file holds facts; both are
// reviewed in git. Reads, checks, prints and adds pins; a plan decides which pin is used.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Context } from '../lib/context.ts';
import { MakeRuntimeError } from '../lib/errors.ts';
import { writeWhole } from '../lib/folder.ts';
import type { BuilderPin, Lock, Source } from '../recipe/model.ts';
import { printPath } from '../recipe/positions.ts';
import { compareVersions, parseVersion, seriesOf } from '../recipe/version.ts';
import { fetchSource, fetchUnpinned } from './download.ts';
import { parseMirror } from './mirror.ts';

const source = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]*$/),
  version: z.string().regex(/^\d+(\.\d+)*((a|b|rc)\d+)?$/),
  file: z.string().regex(/^[\w.+~-]+$/),
  size: z.int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  mirrors: z.array(z.string().min(1)).min(1),
  licence: z.string().min(1),
  purl: z.string().regex(/^pkg:/),
  verifiedBy: z.string().min(1),
  cpe: z
    .string()
    .regex(/^cpe:2\.3:a:/)
    .optional(),
  repacks: z
    .array(
      z.strictObject({
        mirror: z.string().min(1),
        size: z.int().positive(),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        difference: z.string().min(1),
      }),
    )
    .min(1)
    .optional(),
});

const builder = z.strictObject({
  reference: z.string().regex(/^[\w.-]+(:\d+)?\/[\w./-]+:[\w.-]+$/),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  verifiedBy: z.string().min(1),
});

const lockFile = z.strictObject({
  $comment: z.string(),
  version: z.literal(1),
  builders: z.array(builder).optional(),
  sources: z.array(source),
});

const comment =
  'Pinned upstream files. Written by `make-runtime lock`, checked by `make-runtime lock --check`; edit mirrors by hand if need be.';

/** Where the lock file is, below the package. */
export function lockPath(packageDir: string): string {
  return join(packageDir, 'recipes', 'sources.lock.json');
}

/**
 * Reads the lock file.
 * @throws LOCK_INVALID
 */
export async function readLock(packageDir: string): Promise<Lock> {
  const path = lockPath(packageDir);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new MakeRuntimeError('LOCK_INVALID', 'The lock file recipes/sources.lock.json cannot be read.', {
      remedy: 'Restore it from git.',
      cause,
    });
  }
  return parseLock(text);
}

/**
 * Parses the text of a lock file.
 * @throws LOCK_INVALID with one line per problem in `detail`
 */
export function parseLock(text: string): Lock {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid([`not JSON: ${(cause as Error).message}`]);
  }
  const result = lockFile.safeParse(value);
  if (!result.success) {
    throw invalid(result.error.issues.map((issue) => `${printPath(issue.path) || '(top level)'}: ${issue.message}`));
  }
  const { sources, builders } = result.data;
  const lock: Lock = { sources: sources as Source[], ...(builders === undefined ? {} : { builders }) };
  const problems = structure(lock);
  if (problems.length > 0) throw invalid(problems);
  return lock;
}

/** The one text of a lock: sorted, two spaces, a final newline. */
export function printLock(lock: Lock): string {
  const sources = lock.sources.toSorted(order).map((one) => ({
    name: one.name,
    version: one.version,
    file: one.file,
    size: one.size,
    sha256: one.sha256,
    mirrors: one.mirrors,
    licence: one.licence,
    purl: one.purl,
    verifiedBy: one.verifiedBy,
    cpe: one.cpe,
    repacks: one.repacks?.map(({ mirror, size, sha256, difference }) => ({ mirror, size, sha256, difference })),
  }));
  return `${JSON.stringify({ $comment: comment, version: 1, ...printedBuilders(lock), sources }, null, 2)}\n`;
}

function printedBuilders({ builders = [] }: Lock): Pick<Lock, 'builders'> {
  if (builders.length === 0) return {};
  const sorted = builders.toSorted((a, b) => (a.reference < b.reference ? -1 : 1));
  return { builders: sorted.map(({ reference, digest, verifiedBy }) => ({ reference, digest, verifiedBy })) };
}

/** Writes the lock file, whole or not at all. */
export async function writeLock(packageDir: string, lock: Lock): Promise<void> {
  await writeWhole(lockPath(packageDir), printLock(lock));
}

/**
 * What is wrong with the lock file's text beside its form: order, layout, series without a pin.
 * @param text the file's content, which parseLock() accepts
 * @param series the CPython series that recipes build
 * @returns one sentence per problem; none when it is fresh
 */
export function checkLock(text: string, series: readonly string[]): readonly string[] {
  const lock = parseLock(text);
  const problems: string[] = [];
  if (text !== printLock(lock))
    problems.push('The file is not in the layout and order that `make-runtime lock` writes.');
  for (const one of series) {
    const pinned = lock.sources.some(({ name, version }) => name === 'cpython' && seriesOf(version) === one);
    if (!pinned) problems.push(`No release of CPython ${one} is pinned, but a recipe builds it.`);
  }
  return problems;
}

/** What became of one pin when its mirrors were asked. */
export interface PinCheck {
  readonly source: Source;
  readonly state: 'verified' | 'unreachable' | 'wrong';
  readonly message: string;
}

/** Downloads every pin that can be reached and compares size and hash; never throws for a single pin. */
export async function verifyPins(lock: Lock, ctx: Context): Promise<readonly PinCheck[]> {
  const checks: PinCheck[] = [];
  for (const source of lock.sources) {
    try {
      await fetchSource(source, ctx);
      checks.push({ source, state: 'verified', message: `${source.file}: size and sha256 as pinned` });
    } catch (error) {
      if (!(error instanceof MakeRuntimeError) || error.code === 'CANCELLED') throw error;
      if (error.code !== 'SOURCE_UNREACHABLE' && error.code !== 'SOURCE_HASH_MISMATCH') throw error;
      const state = error.code === 'SOURCE_UNREACHABLE' ? 'unreachable' : 'wrong';
      checks.push({ source, state, message: [error.message, error.detail].filter(Boolean).join('\n') });
    }
  }
  return checks;
}

/**
 * The error of a lock that `lock --check` finds stale or wrong.
 * @returns undefined when there is nothing to complain of; unreachable mirrors are no complaint
 */
export function lockError(problems: readonly string[], checks: readonly PinCheck[] = []): MakeRuntimeError | undefined {
  const wrong = checks.filter(({ state }) => state === 'wrong');
  if (wrong.length > 0) {
    return new MakeRuntimeError(
      'LOCK_INVALID',
      `${count(wrong.length, 'pin')} in the lock file ${wrong.length === 1 ? 'does' : 'do'} not match what the mirrors have.`,
      {
        remedy: 'Find out which side changed before touching the lock file: a release never changes its bytes.',
        detail: wrong.map(({ message }) => message).join('\n'),
      },
    );
  }
  if (problems.length === 0) return undefined;
  return new MakeRuntimeError('LOCK_STALE', 'The lock file is not up to date.', {
    remedy: 'Run `make-runtime lock` and commit recipes/sources.lock.json.',
    detail: problems.join('\n'),
  });
}

/** Upstream's own address of a CPython release; pre-releases lie in the final version's folder. */
export function pythonOrg(version: string): { readonly file: string; readonly url: string } {
  const parts = parseVersion(version);
  if (!parts) throw new TypeError(`"${version}" is not a full version number`);
  const file = `Python-${version}.tar.xz`;
  const folder = `${parts.major}.${parts.minor}.${parts.patch}`;
  return { file, url: `https://www.python.org/ftp/python/${folder}/${file}` };
}

/**
 * Adds a CPython release to a lock, or checks it again when it is there: downloads it from the first mirror that
 * answers and records size and sha256. The hash of an existing pin is never replaced.
 * @param mirrors where to look beside upstream, in order
 * @throws USAGE for a version that is none; SOURCE_UNREACHABLE; SOURCE_HASH_MISMATCH when a pinned release differs
 */
export async function addPin(
  lock: Lock,
  version: string,
  ctx: Context,
  mirrors: readonly string[] = [],
): Promise<Lock> {
  if (!parseVersion(version)) {
    throw new MakeRuntimeError('USAGE', `"${version}" is not a full CPython version.`, {
      remedy: 'Write it like 3.13.15 or 3.15.0rc1.',
    });
  }
  for (const mirror of mirrors) parseMirror(mirror);
  const { file, url } = pythonOrg(version);
  const pinned = lock.sources.find((one) => one.name === 'cpython' && one.version === version);
  if (pinned) {
    const all = [...pinned.mirrors, ...mirrors.filter((mirror) => !pinned.mirrors.includes(mirror))];
    const refreshed = { ...pinned, mirrors: all };
    await fetchSource(refreshed, ctx);
    return { ...lock, sources: lock.sources.map((one) => (one === pinned ? refreshed : one)) };
  }
  const all = [url, ...mirrors];
  const { size, sha256, mirror } = await fetchUnpinned({ file, mirrors: all }, ctx);
  const added: Source = {
    name: 'cpython',
    version,
    file,
    size,
    sha256,
    mirrors: all,
    licence: 'PSF-2.0',
    purl: `pkg:generic/python@${version}`,
    verifiedBy: `downloaded from ${mirror} when the pin was added; not yet compared with a second source`,
  };
  return { ...lock, sources: [...lock.sources, added].toSorted(order) };
}

/** A lock with a builder image pinned, or its pin moved: unlike a release, a tag is meant to move, and the diff shows it. */
export function withBuilder(lock: Lock, pin: BuilderPin): Lock {
  return { ...lock, builders: [...(lock.builders ?? []).filter(({ reference }) => reference !== pin.reference), pin] };
}

function order(a: Source, b: Source): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return compareVersions(a.version, b.version);
}

function structure(lock: Lock): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const [index, one] of lock.sources.entries()) {
    const id = `${one.name} ${one.version}`;
    if (seen.has(id)) problems.push(`sources[${index}]: ${id} is pinned twice`);
    seen.add(id);
    if (one.name === 'cpython' && !parseVersion(one.version))
      problems.push(`sources[${index}].version: "${one.version}" is not a full version number`);
    for (const [at, mirror] of [...one.mirrors, ...(one.repacks ?? []).map(({ mirror }) => mirror)].entries()) {
      try {
        parseMirror(mirror);
      } catch (error) {
        problems.push(`sources[${index}].mirrors[${at}]: ${(error as Error).message}`);
      }
    }
    if (new Set(one.mirrors).size !== one.mirrors.length)
      problems.push(`sources[${index}].mirrors: one is there twice`);
  }
  return problems;
}

function invalid(problems: readonly string[]): MakeRuntimeError {
  return new MakeRuntimeError('LOCK_INVALID', 'The lock file recipes/sources.lock.json is not valid.', {
    remedy: 'Restore it from git, or correct the places below.',
    detail: problems.join('\n'),
  });
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
