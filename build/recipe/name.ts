// What a user types for a recipe: "3.13", "3.13t", "python3.13t", "cpython-3.13", "3.13.5", "./mine.toml".
// Turns the text into a reference; reads no file.
import { MakeRuntimeError } from '../lib/errors.ts';
import type { RecipeReference } from './load.ts';
import type { Flavor } from './model.ts';
import { nearest } from './nearest.ts';

export interface NamedRecipe {
  readonly reference: RecipeReference;
  /** Set when the name says it: a final "t" means free-threaded. */
  readonly flavor?: Flavor;
  /** Set when the name is a full version number: "3.13.5". */
  readonly version?: string;
}

const shape = /^(?:c?python[ -]?|py)?(3\.\d+)(\.\d+(?:(?:a|b|rc)\d+)?)?(t)?$/i;

/**
 * Reads a recipe's name.
 * @param known names of the shipped recipes
 * @throws RECIPE_UNKNOWN with the nearest name and the list
 */
export function parseRecipeName(text: string, known: readonly string[]): NamedRecipe {
  const typed = text.trim();
  if (typed.endsWith('.toml')) return { reference: { kind: 'file', path: typed } };
  const match = shape.exec(typed);
  const [, series = typed, patch = '', threaded = ''] = match ?? [];
  if (!known.includes(series)) throw unknown(typed, series, known);
  return {
    reference: { kind: 'shipped', name: series },
    ...(threaded === '' ? {} : { flavor: 'free-threaded' as const }),
    ...(patch === '' ? {} : { version: `${series}${patch.toLowerCase()}` }),
  };
}

/** The shortest text that names a recipe and flavour on the command line: "3.13t", "3.13 --flavor jit". */
export function printRecipeName(recipe: string, flavor: Flavor): string {
  if (flavor === 'free-threaded' && /^3\.\d+$/.test(recipe)) return `${recipe}t`;
  return flavor === 'default' ? recipe : `${recipe} --flavor ${flavor}`;
}

function unknown(typed: string, series: string, known: readonly string[]): MakeRuntimeError {
  const near = nearest(series, known);
  const list = `Known recipes: ${known.join(', ')}. A path that ends in .toml names one of your own.`;
  return new MakeRuntimeError('RECIPE_UNKNOWN', `There is no recipe "${typed}".`, {
    remedy: near === undefined ? list : `Did you mean "${near}"? ${list}`,
  });
}
