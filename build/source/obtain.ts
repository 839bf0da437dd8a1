// The source of a plan, and what to say when the newest release cannot be had but an older pinned one can.
import type { Context } from '../lib/context.ts';
import { isMakeRuntimeError, MakeRuntimeError } from '../lib/errors.ts';
import type { Lock, Plan, Source } from '../recipe/model.ts';
import { printRecipeName } from '../recipe/name.ts';
import { pinsOf } from '../recipe/plan.ts';
import { compareVersions } from '../recipe/version.ts';
import { fetchSource, isObtainable } from './download.ts';

type Wanted = Pick<Plan, 'source' | 'recipe' | 'flavor' | 'python'>;

/** Fetches the archives of the libraries that a plan compiles itself; paths in the cache by library name. */
export async function fetchLibrarySources(
  plan: Pick<Plan, 'libraries'>,
  ctx: Context,
): Promise<ReadonlyMap<string, string>> {
  const paths = new Map<string, string>();
  for (const { name, source } of plan.libraries) if (source) paths.set(name, await fetchSource(source, ctx));
  return paths;
}

/**
 * Fetches the source a plan names.
 * @returns its path in the cache
 * @throws SOURCE_OLDER_AVAILABLE when no mirror has it but an older pin of the same series is obtainable, with the
 *   command that takes that one; otherwise as fetchSource()
 */
export async function fetchPlanSource(plan: Wanted, lock: Lock, ctx: Context): Promise<string> {
  try {
    return await fetchSource(plan.source, ctx);
  } catch (error) {
    if (!isMakeRuntimeError(error) || error.code !== 'SOURCE_UNREACHABLE') throw error;
    const older = await olderObtainable(plan.source, lock, ctx);
    if (!older) throw error;
    throw new MakeRuntimeError(
      'SOURCE_OLDER_AVAILABLE',
      `CPython ${plan.source.version} cannot be had from any mirror, but ${older.version} can.`,
      {
        remedy: `make-runtime build ${printRecipeName(plan.recipe, plan.flavor)} --python ${older.version}`,
        ...(error.detail === undefined ? {} : { detail: error.detail }),
        cause: error,
      },
    );
  }
}

/** The newest pin of the same series that is older than `source` and that the cache or a mirror has. */
export async function olderObtainable(source: Source, lock: Lock, ctx: Context): Promise<Source | undefined> {
  const series = source.version.split('.').slice(0, 2).join('.');
  for (const pin of pinsOf(lock, series)) {
    if (compareVersions(pin.version, source.version) < 0 && (await isObtainable(pin, ctx))) return pin;
  }
  return undefined;
}
