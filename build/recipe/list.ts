// The rows of `make-runtime list`. Pure: today's date is an argument.

import type { Recipe } from './load.ts';
import type { Flavor, Lock } from './model.ts';
import { pinsOf } from './plan.ts';
import { compareVersions } from './version.ts';

/** Where a CPython series stands in its life (devguide.python.org/versions). */
type Phase = 'pre-release' | 'bugfix' | 'security' | 'end-of-life';

export interface RecipeRow {
  readonly name: string;
  readonly flavors: readonly Flavor[];
  /** Flavours that CPython calls experimental in this version. */
  readonly experimental: readonly Flavor[];
  /** Version of the newest pinned release that may be built, or null. */
  readonly newest: string | null;
  /** Every pinned version, newest first. */
  readonly pinned: readonly string[];
  readonly phase: Phase;
  /** Last day of support: "2029-10-31". */
  readonly endOfLife: string;
}

/**
 * One row per recipe, in the order given.
 * @param today "2026-11-21"
 */
export function listRecipes(recipes: readonly Recipe[], lock: Lock, today: string): readonly RecipeRow[] {
  return recipes.map((recipe) => {
    const offered = Object.entries(recipe.flavors) as [Flavor, { experimental: boolean }][];
    const pinned = pinsOf(lock, recipe.python)
      .map(({ version }) => version)
      .filter((version) => recipe.oldest === undefined || compareVersions(version, recipe.oldest.version) >= 0);
    return {
      name: recipe.name,
      flavors: offered.map(([flavor]) => flavor),
      experimental: offered.filter(([, { experimental }]) => experimental).map(([flavor]) => flavor),
      newest: pinned[0] ?? null,
      pinned,
      phase: phaseOf(recipe, today),
      endOfLife: recipe.status.endOfLife,
    };
  });
}

function phaseOf({ status }: Recipe, today: string): Phase {
  // Dates of one form compare as text.
  if (today < status.firstRelease) return 'pre-release';
  if (today >= status.endOfLife) return 'end-of-life';
  return today >= status.securityOnly ? 'security' : 'bugfix';
}
