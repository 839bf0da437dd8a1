// The words of this room as types: what a recipe resolves to. A Plan is plain data: printable, hashable, the only
// thing later stages obey. Every choice in it carries its reason.

import type { PinnedPackage } from './requirements.ts';

export const architectures = ['x86_64', 'arm64'] as const;
export type Arch = (typeof architectures)[number];

export const flavors = ['default', 'free-threaded', 'jit'] as const;
export type Flavor = (typeof flavors)[number];

export const profiles = ['fast', 'release'] as const;
export type Profile = (typeof profiles)[number];

/** A choice that explains itself: a configure argument, a compiler flag, a module left out. */
export interface Reasoned {
  readonly value: string;
  readonly reason: string;
}

/** One pinned upstream file, as the lock file has it. */
export interface Source {
  /** Package name and version, for example "cpython" "3.13.15". */
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly size: number;
  readonly sha256: string;
  /** Ordered: first https URLs, then distribution archives ("debian:<suite>/<source package>=<version>/<file>"). */
  readonly mirrors: readonly string[];
  /** SPDX expression. */
  readonly licence: string;
  readonly purl: string;
  /** How the hash was established, in words for a reviewer of the lock file. */
  readonly verifiedBy: string;
  /** Common Platform Enumeration name, for scanners that match vulnerabilities by it. */
  readonly cpe?: string;
  /** Archives of the same release with other bytes, as distributions make them; asked after every mirror. */
  readonly repacks?: readonly Repack[];
}

/** What a distribution made of an upstream archive: files left out, or another layout, of the same release. */
export interface Repack {
  /** As in Source.mirrors. */
  readonly mirror: string;
  readonly size: number;
  readonly sha256: string;
  /** What is different, and why the result is the same. */
  readonly difference: string;
}

/** The lock file as a value: every upstream file this project may use. Sorted by name, then version. */
export interface Lock {
  readonly sources: readonly Source[];
  /** Builder images by digest; none until `make-runtime lock --builder` could ask their registry. */
  readonly builders?: readonly BuilderPin[];
}

/** One builder image as its registry has it: for every architecture when the digest is that of an index. */
export interface BuilderPin {
  /** "public.ecr.aws/lambda/provided:al2023" */
  readonly reference: string;
  /** "sha256:..." */
  readonly digest: string;
  /** How the digest was established. */
  readonly verifiedBy: string;
}

export const libraryOrigins = ['source', 'system'] as const;
export type LibraryOrigin = (typeof libraryOrigins)[number];

/** A C library linked statically into the executable. */
export interface Library {
  readonly name: string;
  /** `system`: the build machine's own archive. `source`: compiled from `source` as `build` says. */
  readonly origin: LibraryOrigin;
  /** The pinned release; only for `origin: source`. */
  readonly source?: Source;
  /** How it is compiled; only for `origin: source`. */
  readonly build?: LibraryBuild;
  /** Static archives by file name, in link order. */
  readonly archives: readonly string[];
  /** An archive of another library, which needs this one and whose part it becomes: CPython does not name it behind it. */
  readonly mergedInto?: string;
  /** One header that must be there, relative to an include folder. */
  readonly header: string;
  /** Stdlib extension modules that need it. */
  readonly modules: readonly string[];
  /** What to install to get headers and archive, per package manager. */
  readonly packages: { readonly apt: string; readonly dnf: string };
  readonly licence: string;
  readonly reason: string;
}

/** How a C library becomes a static archive. */
export interface LibraryBuild {
  /** Compiler flags, in order. */
  readonly cflags: readonly Reasoned[];
  /** What its configuration is asked for, in order: `$OPTIONS` in the commands. */
  readonly options: readonly Reasoned[];
  /**
   * Lines of POSIX shell, run in the unpacked source with CC, CFLAGS and JOBS set. They leave archives in "$OUT/lib"
   * and headers in "$OUT/include".
   */
  readonly commands: readonly string[];
  /** The licence's text, relative to the source; a pattern of the shell may match it. */
  readonly notice: string;
}

/** How the compiler learns which paths of the interpreter matter, and what it does with that. */
export interface Profiling {
  /** sha256 of the program that the instrumented interpreter runs. */
  readonly training: string;
  /** Its arguments. */
  readonly arguments: readonly string[];
  readonly reason: string;
  /** sha256 of a stored profile that takes the training's place, when one was given. */
  readonly data?: string;
  /** Flags of the instrumented build, added to the plan's. */
  readonly generate: readonly Reasoned[];
  /** Flags of the final build, added to the plan's. */
  readonly use: readonly Reasoned[];
}

/** Named sets of prune rules that apply only where somebody asks for them. */
export const prunePresets = ['slim'] as const;
export type PrunePreset = (typeof prunePresets)[number];

/** What leaves the installed tree, and why. Patterns are picomatch globs against paths below the prefix. */
export interface PruneRule {
  readonly id: string;
  readonly patterns: readonly string[];
  readonly reason: string;
  /** Importable top-level modules that leave with it: a verdict must not miss them. */
  readonly modules?: readonly string[];
}

/** Packages baked into the tree's site-packages. */
export interface Extra {
  readonly id: string;
  readonly reason: string;
  readonly packages: readonly PinnedPackage[];
}

/** A glibc symbol newer than the floor, bound at link time to an older version of itself. */
export interface SymbolBinding {
  readonly symbol: string;
  /** The older symbol that does the work when it has another name: `strtol` for `__isoc23_strtol`. */
  readonly target?: string;
  /** The version the older implementation carries, for the plan's architecture: "GLIBC_2.2.5". */
  readonly version: string;
  readonly reason: string;
}

/** A tool the builder must have beside a C compiler and make, with the least (or, when `exact`, the only) version. */
export interface Requirement {
  readonly tool: 'llvm' | 'python' | 'perl' | 'autoreconf' | 'qemu-aarch64' | 'qemu-x86_64';
  readonly version: string;
  readonly exact: boolean;
  readonly reason: string;
  readonly packages: RequirementPackages;
}

/** What brings a tool, by package manager. */
export interface RequirementPackages {
  readonly apt: PackageNames & {
    /** An image of the distribution that has them. */
    readonly image?: string;
  };
  readonly dnf: PackageNames;
}

export interface PackageNames {
  readonly names: readonly string[];
  /** The releases that are known to have them: "Debian 13"; absent when none is. */
  readonly releases?: string;
}

/** How the extension modules become part of the executable. */
export interface StaticModules {
  /** `buildtype`: configure does it (MODULE_BUILDTYPE). `setup-local`: the lines below are Modules/Setup.local. */
  readonly mechanism: 'buildtype' | 'setup-local';
  /** Lines of Modules/Setup.local; empty for `buildtype`. */
  readonly lines: readonly string[];
  readonly reason: string;
}

/** The place the commands run in, as far as it shapes the result: the same whichever CLI starts the container. */
export type Builder = HostBuilder | ContainerBuilder;

export interface BuilderFacts {
  /** The system the commands run on, for example "Debian GNU/Linux 12 (bookworm)". */
  readonly system: string;
  /** First line of the (cross) compiler's `--version`, or null when there is none: the plan can still be read. */
  readonly compiler: string | null;
  /** Installed versions of the packages that provide the static archives, by package name. */
  readonly packages: Readonly<Record<string, string>>;
  /** Libraries that the system's own archives need and CPython does not; absent when there are none. */
  readonly archivesNeed?: readonly string[];
  /** Present when the builder's own programs are for another architecture than the plan's. */
  readonly cross?: Cross;
}

/** Compiling on one architecture for another. */
export interface Cross {
  /** Architecture of the builder's own programs. */
  readonly from: Arch;
  /** GNU's name of the builder's system, configure's `--build`: "x86_64-linux-gnu". */
  readonly build: string;
  /** GNU's name of the target's system, configure's `--host`, which the compiler's tools begin with. */
  readonly host: string;
}

export interface HostBuilder extends BuilderFacts {
  readonly engine: 'host';
}

export interface ContainerBuilder extends BuilderFacts {
  readonly engine: 'container';
  readonly image: {
    /** As the lock file or the user names it, with "@sha256:..." when that is exact. */
    readonly reference: string;
    /** sha256 over the digests of its uncompressed layers: what it is, whatever it is called. */
    readonly rootfs: string;
    /** sha256 over every package in it and those that were added, with their versions. */
    readonly packages: string;
  };
}

export interface Plan {
  /** 16 hexadecimal digits: the start of the sha256 of everything below, as canonical JSON. */
  readonly id: string;
  /** Names the output folder: "python3.13t-x86_64-fast". */
  readonly name: string;
  readonly recipe: string;
  readonly python: {
    readonly version: string;
    /** "3.13" */
    readonly minor: string;
    /** "python3.13t": names the executable and the folder below lib/ and include/. */
    readonly executable: string;
  };
  readonly flavor: Flavor;
  readonly arch: Arch;
  readonly profile: Profile;
  readonly builder: Builder;
  /** What a user should know before relying on it: experimental, end of life, restrictions. */
  readonly notes: readonly string[];
  readonly source: Source;
  readonly libraries: readonly Library[];
  /** Arguments of ./configure, in order; "NAME=value" settings among them. */
  readonly configure: readonly Reasoned[];
  readonly cflags: readonly Reasoned[];
  readonly ldflags: readonly Reasoned[];
  readonly staticModules: StaticModules;
  /** Profile-guided optimisation, where the profile asks for it. */
  readonly profiling?: Profiling;
  /** Options of the interpreter that compiles the .pyc files; absent when there are none. */
  readonly bytecode?: readonly Reasoned[];
  readonly requires: readonly Requirement[];
  /** Extension modules that are not built. */
  readonly withoutModules: readonly Reasoned[];
  readonly symbolBindings: readonly SymbolBinding[];
  /** glibc of the target: no symbol may be newer. "2.34" */
  readonly glibcFloor: string;
  /** sha256 over bootstrap-src/, so that a changed bootstrap is a changed plan. */
  readonly bootstrap: string;
  readonly prune: readonly PruneRule[];
  /** Absent when there are none. */
  readonly extras?: readonly Extra[];
  /** SOURCE_DATE_EPOCH, seconds: every date in the artifact. */
  readonly epoch: number;
  /** "fflate@0.8.3/9": the compressor is an input of the artifact's bytes. */
  readonly deflate: string;
}
