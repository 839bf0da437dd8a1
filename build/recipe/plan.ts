// Resolves a recipe to the one plan that later stages obey. Pure: no file, no clock, no environment. Everything that
// can be known to fail is refused here, not after ten minutes of compiling.
import { MakeRuntimeError } from '../lib/errors.ts';
import { shortDigest } from './canonical.ts';
import {
  applies,
  bytecodeOptions,
  compilerFlags,
  configureArguments,
  cpython,
  linkerFlags,
  minorsWith,
  profiling,
  requirements,
  staticModules,
} from './cpython.ts';
import { crossArguments, crossRequirements } from './cross.ts';
import { glibcFloor, symbolBindings } from './glibc.ts';
import { librariesFor, libraryRequirements, sourceLibraries } from './libraries.ts';
import type { Choices, Recipe, Rule } from './load.ts';
import {
  type Arch,
  architectures,
  type Builder,
  type Cross,
  type Flavor,
  flavors,
  type Library,
  type LibraryOrigin,
  type Lock,
  libraryOrigins,
  type Plan,
  type Profile,
  type PrunePreset,
  type PruneRule,
  profiles,
  prunePresets,
  type Reasoned,
  type Requirement,
  type Source,
} from './model.ts';
import { printRecipeName } from './name.ts';
import { nearest } from './nearest.ts';
import { compareVersions, parseVersion, seriesOf } from './version.ts';

/** What the command line adds to a recipe. */
export interface Choice {
  readonly flavor: Flavor;
  readonly arch: Arch;
  readonly profile: Profile;
  /** A pinned CPython version ("3.13.5"); the newest pinned one when absent. */
  readonly version?: string;
  /** Keep the C headers in the artifact. */
  readonly withHeaders?: boolean;
  /** A preset of prune rules, beside those the recipe asks for. */
  readonly prune?: PrunePreset;
  /** Where the C libraries come from; each profile has a default. */
  readonly libraries?: LibraryOrigin;
  /** sha256 of the training program; only the release profile looks at it. */
  readonly training?: string;
  /** sha256 of a stored profile that takes the training's place. */
  readonly profileData?: string;
  /** Where the builder is of another architecture. */
  readonly cross?: Cross;
}

/**
 * Where the C libraries come from unless the command line says otherwise. A cross build compiles them: that takes a
 * compiler and nothing else, where the archives of a distribution take a second architecture in its package manager.
 */
function defaultLibraries({ profile, cross }: Choice): LibraryOrigin {
  return profile === 'release' || cross ? 'source' : 'system';
}

/** The compressor's bytes are part of an artifact's bytes; a test keeps this equal to the installed version. */
export const deflate = 'fflate@0.8.3/9';

/**
 * Resolves a recipe.
 * @param lock every pinned source
 * @param builder the machine the commands will run on, as far as it shapes the result
 * @param bootstrapDigest sha256 over bootstrap-src/
 * @throws FLAVOR_UNAVAILABLE, FLAVOR_CONFLICT, PYTHON_NOT_PINNED, LOCK_INVALID
 */
export function plan(recipe: Recipe, choice: Choice, lock: Lock, builder: Builder, bootstrapDigest: string): Plan {
  const { flavor, arch, profile } = choice;
  const intent = recipe.flavors[flavor];
  if (!intent) throw flavorUnavailable(recipe, flavor);
  refuseForeignArchives(choice);

  const minor = recipe.python;
  const source = pick(recipe, choice, lock);
  const chosen = <T>(from: (choices: Choices) => readonly Rule<T>[]): readonly Rule<T>[] =>
    [...from(recipe), ...from(intent)].filter((rule) => applies(rule, minor, flavor, arch));

  const withoutModules = chosen((choices) => choices.without).map(reasoned);
  const left = withoutModules.map(({ value }) => value);
  const origin = originOf(choice);
  const libraries = chosenLibraries(recipe, choice, left, lock, builder);
  const bytecode = bytecodeOptions(minor, profile);
  const keep = [...recipe.keep, ...intent.keep, ...(choice.withHeaders ? ['headers'] : [])];
  const configure = [
    ...configureArguments(minor, flavor, arch, left, origin),
    ...(choice.cross ? crossArguments(minor, arch, choice.cross) : []),
    ...chosen((choices) => choices.configure).map(reasoned),
  ];
  refuseJitWithoutGil(configure);
  const extras = chosen((choices) => choices.extras).map(({ id, reason, packages }) => ({ id, reason, packages }));
  const executable = `python${minor}${flavor === 'free-threaded' ? 't' : ''}`;
  const content: Omit<Plan, 'id'> = {
    name: [
      ...(recipe.shipped ? [] : [recipe.name]),
      executable,
      ...(flavor === 'jit' ? ['jit'] : []),
      arch,
      profile,
      ...(origin === defaultLibraries(choice) ? [] : [`${origin}-libraries`]),
      ...(choice.prune === undefined ? [] : [choice.prune]),
    ].join('-'),
    recipe: recipe.name,
    python: { version: source.version, minor, executable },
    flavor,
    arch,
    profile,
    builder: origin === 'system' ? builder : { ...builder, packages: {} },
    notes: notes(recipe, source, intent.notes),
    source,
    libraries,
    configure,
    cflags: [...compilerFlags(minor, flavor, arch, profile), ...chosen((choices) => choices.cflags).map(reasoned)],
    ldflags: [...linkerFlags(minor, flavor, arch, libraries), ...chosen((choices) => choices.ldflags).map(reasoned)],
    staticModules: staticModules(minor, left, libraries),
    ...(profile === 'release' ? { profiling: profiling(choice.training ?? '', choice.profileData) } : {}),
    ...(bytecode.length === 0 ? {} : { bytecode }),
    requires: needed(choice, minor, libraries),
    withoutModules,
    symbolBindings: symbolBindings(arch),
    glibcFloor,
    bootstrap: bootstrapDigest,
    prune: chosen((choices) => choices.prune)
      .filter(({ preset }) => preset === undefined || preset === choice.prune || recipe.presets.includes(preset))
      .filter(({ id }) => !keep.includes(id))
      .map(pruneRule),
    ...(extras.length === 0 ? {} : { extras }),
    epoch: recipe.epoch,
    deflate,
  };
  return { id: shortDigest(content), ...content };
}

/**
 * What the builder must have for a recipe, known before the builder is: a container engine installs it.
 * @throws FLAVOR_UNAVAILABLE, LOCK_INVALID
 */
export function needs(
  recipe: Recipe,
  choice: Choice,
  lock: Lock,
): { readonly libraries: readonly Library[]; readonly requires: readonly Requirement[]; readonly cross?: Cross } {
  const intent = recipe.flavors[choice.flavor];
  if (!intent) throw flavorUnavailable(recipe, choice.flavor);
  const without = [...recipe.without, ...intent.without]
    .filter((rule) => applies(rule, recipe.python, choice.flavor, choice.arch))
    .map(({ value }) => value);
  const libraries = chosenLibraries(recipe, choice, without, lock);
  return {
    libraries: libraries.filter(({ origin }) => origin === 'system'),
    requires: needed(choice, recipe.python, libraries),
    ...(choice.cross ? { cross: choice.cross } : {}),
  };
}

function needed(
  { flavor, arch, profile, profileData, cross }: Choice,
  minor: Recipe['python'],
  libraries: readonly Library[],
): readonly Requirement[] {
  return [
    ...requirements(minor, flavor),
    ...libraryRequirements(libraries),
    ...(cross ? crossRequirements(arch, profile, profileData !== undefined) : []),
  ];
}

function chosenLibraries(
  recipe: Recipe,
  choice: Choice,
  without: readonly string[],
  lock: Lock,
  builder?: Builder,
): readonly Library[] {
  return originOf(choice) === 'source'
    ? sourceLibraries(recipe.python, without, choice.arch, lock, choice.cross)
    : librariesFor(recipe.python, without, builder?.archivesNeed);
}

function originOf(choice: Choice): LibraryOrigin {
  return choice.libraries ?? defaultLibraries(choice);
}

/**
 * Settles the flavour from the recipe's name ("3.13t") and from --flavor.
 * @throws FLAVOR_UNAVAILABLE for a word that is no flavour; FLAVOR_CONFLICT when the two disagree
 */
export function chooseFlavor(named: Flavor | undefined, asked: string | undefined): Flavor {
  if (asked === undefined) return named ?? 'default';
  const flavor = oneOf(flavors, asked);
  if (flavor === undefined) {
    const near = nearest(asked, flavors);
    throw new MakeRuntimeError('FLAVOR_UNAVAILABLE', `There is no flavour "${asked}".`, {
      remedy: `${near === undefined ? '' : `Did you mean "${near}"? `}Flavours are ${flavors.join(', ')}.`,
    });
  }
  if (named === undefined || named === flavor) return flavor;
  if (flavor === 'jit') {
    throw jitWithoutGil('Leave out the "t" for the JIT, or leave out `--flavor jit` for free-threading.');
  }
  throw new MakeRuntimeError(
    'FLAVOR_CONFLICT',
    `The recipe's name says ${named}, but the option says --flavor ${flavor}.`,
    { remedy: 'Say one of them.' },
  );
}

// The builder's archives are for its own processor.
function refuseForeignArchives({ arch, libraries, cross }: Choice): void {
  if (!cross || libraries !== 'system') return;
  throw new MakeRuntimeError('USAGE', `The builder's own libraries are for ${cross.from}, the plan is for ${arch}.`, {
    remedy: 'Leave out `--libraries system`: a cross build compiles them from pinned source.',
  });
}

// A recipe's own flags can ask for both too; the last word on one option is what configure obeys.
function refuseJitWithoutGil(configure: readonly Reasoned[]): void {
  const last = (pattern: RegExp): string | undefined =>
    configure.map(({ value }) => value).findLast((value) => pattern.test(value));
  const jit = last(/^--(enable|disable)-experimental-jit(=|$)/);
  const gil = last(/^--(enable|disable)-gil(=|$)/);
  const hasJit = jit?.startsWith('--enable') && !jit.endsWith('=no');
  if (hasJit && gil?.startsWith('--disable')) throw jitWithoutGil(`Leave out ${jit} or ${gil} in the recipe.`);
}

function jitWithoutGil(remedy: string): MakeRuntimeError {
  // gh-133171: configure builds both, but the JIT is never used; gh-141594 would change that.
  return new MakeRuntimeError('FLAVOR_CONFLICT', 'CPython cannot run its JIT in a free-threaded build yet.', {
    remedy,
    detail:
      'Both can be built together, and the JIT then never runs (https://github.com/python/cpython/issues/133171).',
  });
}

/**
 * Reads an architecture, in Lambda's words or in uname's.
 * @throws ARCH_UNSUPPORTED
 */
export function parseArch(text: string): Arch {
  const arch = oneOf(architectures, { aarch64: 'arm64', amd64: 'x86_64', x64: 'x86_64' }[text] ?? text);
  if (arch !== undefined) return arch;
  throw new MakeRuntimeError('ARCH_UNSUPPORTED', `Lambda has no architecture "${text}".`, {
    remedy: `Architectures are ${architectures.join(' and ')}.`,
  });
}

/**
 * Reads a profile.
 * @throws PROFILE_UNSUPPORTED for a word that is no profile
 */
export function parseProfile(text: string): Profile {
  const profile = oneOf(profiles, text);
  if (profile !== undefined) return profile;
  throw new MakeRuntimeError('PROFILE_UNSUPPORTED', `There is no profile "${text}".`, {
    remedy: `Profiles are ${profiles.join(' and ')}.`,
  });
}

/**
 * Reads where the C libraries come from.
 * @throws USAGE
 */
export function parseLibraries(text: string): LibraryOrigin {
  const origin = oneOf(libraryOrigins, text);
  if (origin !== undefined) return origin;
  throw new MakeRuntimeError('USAGE', `Libraries cannot come from "${text}".`, {
    remedy: `They come from ${libraryOrigins.join(' or ')}.`,
  });
}

/**
 * Reads a preset of prune rules.
 * @throws USAGE
 */
export function parsePrune(text: string): PrunePreset {
  const preset = oneOf(prunePresets, text);
  if (preset !== undefined) return preset;
  throw new MakeRuntimeError('USAGE', `There is no prune preset "${text}".`, {
    remedy: `Presets are ${prunePresets.join(', ')}.`,
  });
}

/** The pinned sources of one CPython series, newest first; final releases before pre-releases. */
export function pinsOf(lock: Lock, series: string): readonly Source[] {
  return lock.sources
    .filter(({ name, version }) => name === 'cpython' && seriesOf(version) === series)
    .toSorted((a, b) => {
      const finality = Number(isPreRelease(a.version)) - Number(isPreRelease(b.version));
      return finality || compareVersions(b.version, a.version);
    });
}

/** "3.15.0rc1" and its like. */
function isPreRelease(version: string): boolean {
  return (parseVersion(version)?.pre ?? '') !== '';
}

function pick(recipe: Recipe, choice: Choice, lock: Lock): Source {
  const pins = pinsOf(lock, recipe.python).filter(
    ({ version }) => recipe.oldest === undefined || compareVersions(version, recipe.oldest.version) >= 0,
  );
  const source = choice.version === undefined ? pins[0] : pins.find(({ version }) => version === choice.version);
  if (source) return source;

  const asked = choice.version;
  const list = pins.map(({ version }) => version).join(', ');
  if (asked === undefined) {
    throw new MakeRuntimeError('PYTHON_NOT_PINNED', `The lock file pins no release of CPython ${recipe.python}.`, {
      remedy: `Pin one with \`make-runtime lock --add ${recipe.python}.N\`.`,
    });
  }
  const tooOld =
    recipe.oldest !== undefined &&
    parseVersion(asked) !== undefined &&
    compareVersions(asked, recipe.oldest.version) < 0;
  const why =
    seriesOf(asked) !== recipe.python
      ? `Recipe ${recipe.name} builds CPython ${recipe.python}, not ${asked}.`
      : tooOld
        ? `CPython ${asked} is not offered: ${recipe.oldest.reason}`
        : `CPython ${asked} is not pinned in the lock file.`;
  throw new MakeRuntimeError('PYTHON_NOT_PINNED', why, {
    remedy: list === '' ? `Pin it with \`make-runtime lock --add ${asked}\`.` : `Pinned for this recipe: ${list}.`,
  });
}

function flavorUnavailable(recipe: Recipe, flavor: Flavor): MakeRuntimeError {
  const having = minorsWith(flavor);
  if (cpython[recipe.python].flavors.includes(flavor)) {
    return new MakeRuntimeError('FLAVOR_UNAVAILABLE', `Recipe ${recipe.name} does not offer the flavour ${flavor}.`, {
      remedy: `Add a [flavor.${flavor}] table to it, or use a shipped recipe: ${printRecipeName(recipe.python, flavor)}.`,
    });
  }
  return new MakeRuntimeError('FLAVOR_UNAVAILABLE', `CPython ${recipe.python} has no ${flavor} build.`, {
    remedy: `These versions have one: ${having.join(', ')}. For example: make-runtime build ${printRecipeName(having.at(-1) ?? '', flavor)}`,
  });
}

function notes(recipe: Recipe, source: Source, flavorNotes: readonly string[]): readonly string[] {
  const pre = isPreRelease(source.version)
    ? [`${source.version} is a pre-release: for trying things, not for production.`]
    : [];
  return [...recipe.status.notes, ...pre, ...flavorNotes];
}

function oneOf<T extends string>(words: readonly T[], word: string): T | undefined {
  return words.find((known) => known === word);
}

function reasoned({ value, reason }: Reasoned): Reasoned {
  return { value, reason };
}

function pruneRule({ id, patterns, reason, modules }: PruneRule): PruneRule {
  return { id, patterns, reason, ...(modules === undefined ? {} : { modules }) };
}
