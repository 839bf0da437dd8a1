// Reads a recipe: TOML text -> checked file -> `extends` followed -> Recipe. Every complaint names file, line and key,
// and says what would be valid. Decides nothing about builds.
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { MakeRuntimeError } from '../lib/errors.ts';
import { type Applies, cpython, type Minor, minorsWith } from './cpython.ts';
import { explain, invalidFile, place } from './explain.ts';
import { type Extra, type Flavor, flavors, type PrunePreset, type PruneRule, type Reasoned } from './model.ts';
import { nearest } from './nearest.ts';
import { findPositions, type Positions } from './positions.ts';
import { type PinnedPackage, parseRequirements } from './requirements.ts';
import { type RecipeFile, recipeFile } from './schema.ts';
import { seriesOf } from './version.ts';

export type Rule<T> = T & Applies;

/** A prune rule that may wait for somebody to ask for its preset. */
export type PruneIntent = PruneRule & { readonly preset?: PrunePreset | undefined };

/** What a recipe, or one flavour of it, adds to the facts of cpython.ts. */
export interface Choices {
  readonly configure: readonly Rule<Reasoned>[];
  readonly cflags: readonly Rule<Reasoned>[];
  readonly ldflags: readonly Rule<Reasoned>[];
  readonly without: readonly Rule<Reasoned>[];
  readonly prune: readonly Rule<PruneIntent>[];
  readonly extras: readonly Rule<Extra>[];
  /** Ids of prune rules that do not apply. */
  readonly keep: readonly string[];
}

interface FlavorIntent extends Choices {
  readonly experimental: boolean;
  readonly notes: readonly string[];
}

/** A recipe with everything it inherits; intent only, nothing resolved. */
export interface Recipe extends Choices {
  /** "3.13", or the file's name without .toml for one's own recipe. */
  readonly name: string;
  /** True for the recipes that ship with this package. */
  readonly shipped: boolean;
  readonly python: Minor;
  readonly epoch: number;
  readonly status: {
    readonly firstRelease: string;
    readonly securityOnly: string;
    readonly endOfLife: string;
    readonly notes: readonly string[];
  };
  readonly oldest?: { readonly version: string; readonly reason: string };
  readonly presets: readonly PrunePreset[];
  /** Only the flavours it offers; `default` is always among them. */
  readonly flavors: Readonly<Partial<Record<Flavor, FlavorIntent>>>;
}

/** Where recipes ship: below the package. */
function recipesDir(packageDir: string): string {
  return join(packageDir, 'recipes');
}

/** Names of the shipped recipes, oldest CPython first. */
export async function recipeNames(packageDir: string): Promise<readonly string[]> {
  const files = await readdir(recipesDir(packageDir));
  return files
    .filter((file) => file.endsWith('.toml') && file !== 'base.toml')
    .map((file) => file.slice(0, -'.toml'.length))
    .sort((a, b) => Number(a.split('.')[1]) - Number(b.split('.')[1]) || (a < b ? -1 : 1));
}

/** A shipped recipe by name ("3.13"), or one's own by the path of its .toml file. */
export type RecipeReference =
  | { readonly kind: 'shipped'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string };

/**
 * Loads a recipe.
 * @param packageDir the folder that holds recipes/
 * @throws RECIPE_UNKNOWN, RECIPE_SYNTAX, RECIPE_INVALID
 */
export async function loadRecipe(reference: RecipeReference, packageDir: string): Promise<Recipe> {
  const shipped = reference.kind === 'shipped';
  const path = shipped ? join(recipesDir(packageDir), `${reference.name}.toml`) : resolve(reference.path);
  const chain = await readChain(path, packageDir);
  return assemble(chain, basename(path, '.toml'), shipped);
}

interface Link {
  /** The path as shown in messages. */
  readonly shown: string;
  readonly path: string;
  readonly file: RecipeFile;
  readonly positions: Positions;
  /** What the requirements files hold that the recipe names, by the name it uses. */
  readonly requirements: ReadonlyMap<string, readonly PinnedPackage[]>;
}

/** The recipe file and everything it extends, the recipe itself first. */
async function readChain(path: string, packageDir: string): Promise<readonly Link[]> {
  const chain: Link[] = [];
  let next: string | undefined = path;
  while (next !== undefined) {
    const from: Link | undefined = chain.at(-1);
    const link: Link = await readLink(next, packageDir, from);
    if (chain.some(({ path }) => path === link.path)) {
      const circle = [...chain, link].map(({ shown }) => shown).join(' extends ');
      throw invalid(from ?? link, ['extends'], `goes round in a circle: ${circle}`);
    }
    chain.push(link);
    next = parentPath(link, packageDir);
  }
  return chain;
}

function parentPath(link: Link, packageDir: string): string | undefined {
  const parent = link.file.extends;
  if (parent === undefined) return undefined;
  const isPath = parent.endsWith('.toml') || parent.includes('/');
  return isPath ? resolve(dirname(link.path), parent) : join(recipesDir(packageDir), `${parent}.toml`);
}

async function readLink(path: string, packageDir: string, from: Link | undefined): Promise<Link> {
  const shown = show(path, packageDir);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new MakeRuntimeError('RECIPE_UNKNOWN', `The recipe ${shown} cannot be read.`, {
        remedy: 'Check that it is a readable file.',
        cause,
      });
    }
    if (from) {
      const known = ['base', ...(await recipeNames(packageDir))];
      throw invalid(from, ['extends'], `there is no recipe "${from.file.extends}"; valid here: ${known.join(', ')}`);
    }
    throw new MakeRuntimeError('RECIPE_UNKNOWN', `There is no recipe file ${shown}.`, {
      remedy: 'Check the path, or name a shipped recipe: `make-runtime list` shows them.',
      cause,
    });
  }
  const parsed = { path, shown, ...parseRecipeFile(text, shown) };
  return { ...parsed, requirements: await readRequirements(parsed, packageDir) };
}

/** Every requirements file that a recipe file names, in its own tables and in its flavours'. */
async function readRequirements(
  link: Omit<Link, 'requirements'>,
  packageDir: string,
): Promise<ReadonlyMap<string, readonly PinnedPackage[]>> {
  const found = new Map<string, readonly PinnedPackage[]>();
  const tables: [readonly PropertyKey[], ChoicesAsWritten | undefined][] = [[[], link.file]];
  for (const flavor of flavors) tables.push([['flavor', flavor], link.file.flavor?.[flavor]]);
  for (const [path, table] of tables) {
    for (const [index, { requirements }] of (table?.extras ?? []).entries()) {
      const at = [...path, 'extras', index, 'requirements'];
      found.set(requirements, await readRequirementsFile(requirements, link, at, packageDir));
    }
  }
  return found;
}

async function readRequirementsFile(
  name: string,
  link: Omit<Link, 'requirements'>,
  at: readonly PropertyKey[],
  packageDir: string,
): Promise<readonly PinnedPackage[]> {
  const isPath = name.includes('/') || name.endsWith('.txt');
  const shipped = join(recipesDir(packageDir), 'requirements');
  const file = isPath ? resolve(dirname(link.path), name) : join(shipped, `${name}.txt`);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    const known = (await readdir(shipped).catch(() => [])).map((one) => one.replace(/\.txt$/, ''));
    const ships = isPath ? '' : `; these ship: ${known.join(', ')}`;
    throw invalid(link, at, `there is no readable requirements file ${isPath ? file : `"${name}"`}${ships}`);
  }
  const { packages, problems } = parseRequirements(text);
  if (problems.length === 0) return packages;
  const shown = show(file, packageDir);
  throw invalidFile(
    shown,
    problems.map(({ line, message }) => `${shown}:${line}: ${message}`),
  );
}

/**
 * Parses and checks the text of one recipe file.
 * @param shown the file's name for messages
 * @throws RECIPE_SYNTAX with the parser's frame in `detail`; RECIPE_INVALID with one line per problem in `detail`
 */
export function parseRecipeFile(text: string, shown: string): { file: RecipeFile; positions: Positions } {
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const [what = ''] = cause.message.replace('Invalid TOML document: ', '').split('\n');
    throw new MakeRuntimeError('RECIPE_SYNTAX', `${shown}:${cause.line} is not valid TOML: ${what}.`, {
      remedy: 'Correct the line marked below; https://toml.io shows the format on one page.',
      detail: cause.codeblock.trimEnd(),
      cause,
    });
  }
  const positions = findPositions(text);
  const result = recipeFile.safeParse(value, { reportInput: true });
  if (result.success) return { file: result.data, positions };
  throw invalidFile(
    shown,
    result.error.issues.flatMap((issue) => explain(issue, shown, positions)),
  );
}

/** Follows the chain from the root down, so that what a recipe says itself comes last and wins. */
function assemble(chain: readonly Link[], name: string, shipped: boolean): Recipe {
  const leaf = chain[0]!;
  const python = first(chain, (file) => file.python);
  if (python === undefined) throw invalid(leaf, ['python'], `is missing; valid here: ${keysOfMinors()}`);
  const status = first(chain, (file) => file.status);
  if (status === undefined) throw invalid(leaf, ['status'], 'is missing; extend a shipped recipe to inherit it');
  const epoch = first(chain, (file) => file.epoch);
  if (epoch === undefined)
    throw invalid(leaf, ['epoch'], 'is missing; extend "base" or a shipped recipe to inherit it');
  const oldest = first(chain, (file) => file.oldest);
  for (const link of chain) {
    if (link.file.oldest && seriesOf(link.file.oldest.version) !== python) {
      throw invalid(link, ['oldest', 'version'], `${link.file.oldest.version} is not a ${python} release`);
    }
  }

  const choices = merge(chain, (file) => file);
  const offered: Partial<Record<Flavor, FlavorIntent>> = {};
  for (const flavor of flavors) {
    const says = chain.filter(({ file }) => file.flavor?.[flavor] !== undefined);
    if (flavor !== 'default' && says.length === 0) continue;
    if (!cpython[python].flavors.includes(flavor)) {
      throw invalid(
        says[0]!,
        ['flavor', flavor],
        `CPython ${python} has no such flavour (${minorsWith(flavor).join(', ')} have it); valid here: ${cpython[python].flavors.join(', ')}`,
      );
    }
    offered[flavor] = {
      experimental: first(chain, (file) => file.flavor?.[flavor]?.experimental) ?? false,
      notes: chain.toReversed().flatMap(({ file }) => file.flavor?.[flavor]?.notes ?? []),
      ...merge(chain, (file) => file.flavor?.[flavor]),
    };
  }

  const ids = new Set([choices, ...Object.values(offered)].flatMap(({ prune }) => prune.map(({ id }) => id)));
  for (const link of chain) checkKeep(link, ids);
  return {
    name,
    shipped,
    python,
    epoch,
    status: {
      firstRelease: status['first-release'],
      securityOnly: status['security-only'],
      endOfLife: status['end-of-life'],
      notes: status.notes ?? [],
    },
    ...(oldest === undefined ? {} : { oldest }),
    presets: first(chain, (file) => file.presets) ?? [],
    ...choices,
    flavors: offered,
  };
}

type ChoicesAsWritten = Pick<RecipeFile, 'configure' | 'cflags' | 'ldflags' | 'without' | 'prune' | 'extras' | 'keep'>;

function merge(chain: readonly Link[], pick: (file: RecipeFile) => ChoicesAsWritten | undefined): Choices {
  const said = chain.toReversed().flatMap(({ file }) => pick(file) ?? []);
  const keep = said.flatMap((choices) => choices.keep ?? []);
  const extras = chain.toReversed().flatMap((link) =>
    (pick(link.file)?.extras ?? []).map(({ requirements, ...rest }) => ({
      ...rest,
      packages: link.requirements.get(requirements) ?? [],
    })),
  ) as Rule<Extra>[];
  const without = said
    .flatMap((choices) => choices.without ?? [])
    .map(({ module, ...rest }) => ({ value: module, ...rest }));
  return {
    configure: said.flatMap((choices) => choices.configure ?? []),
    cflags: said.flatMap((choices) => choices.cflags ?? []),
    ldflags: said.flatMap((choices) => choices.ldflags ?? []),
    without: lastPerKey(without, ({ value }) => value),
    prune: lastPerKey(
      said.flatMap((choices) => (choices.prune ?? []) as Rule<PruneIntent>[]),
      ({ id }) => id,
    ),
    extras: lastPerKey(extras, ({ id }) => id),
    keep,
  };
}

/** A later entry with the same key takes the place of the earlier one. */
function lastPerKey<T>(entries: readonly T[], key: (entry: T) => string): readonly T[] {
  const byKey = new Map<string, T>();
  for (const entry of entries) byKey.set(key(entry), entry);
  return [...byKey.values()];
}

function checkKeep(link: Link, ids: ReadonlySet<string>): void {
  const places: [readonly PropertyKey[], readonly string[]][] = [[['keep'], link.file.keep ?? []]];
  for (const flavor of flavors) places.push([['flavor', flavor, 'keep'], link.file.flavor?.[flavor]?.keep ?? []]);
  for (const [path, kept] of places) {
    for (const id of kept) {
      if (ids.has(id)) continue;
      const near = nearest(id, [...ids]);
      const hint = near === undefined ? '' : `did you mean "${near}"? `;
      throw invalid(link, path, `there is no prune rule "${id}"; ${hint}valid here: ${[...ids].join(', ')}`);
    }
  }
}

function first<T>(chain: readonly Link[], pick: (file: RecipeFile) => T | undefined): T | undefined {
  for (const { file } of chain) {
    const value = pick(file);
    if (value !== undefined) return value;
  }
  return undefined;
}

function invalid(link: Omit<Link, 'requirements'>, path: readonly PropertyKey[], message: string): MakeRuntimeError {
  return invalidFile(link.shown, [`${place(link.shown, link.positions, path)}: ${message}`]);
}

function show(path: string, packageDir: string): string {
  const inside = relative(packageDir, path);
  return inside.startsWith('..') ? path : inside;
}

function keysOfMinors(): string {
  return Object.keys(cpython).join(', ');
}
