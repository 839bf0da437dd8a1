// Facts about CPython's build system per minor version, as data: what its configure understands and what we ask of it,
// each with its reason. Knows nothing of recipes, machines or downloads.
//
// Sources: configure.ac, Makefile.pre.in and Tools/jit/README.md of the versions named; "Configure Python" in the
// 3.15 documentation; PEP 703/779 (free-threading), PEP 744 (JIT), PEP 768 (remote debugging), PEP 831 (frame pointers);
// python-build-standalone's cpython-unix/build-cpython.sh and its measurements.
import type {
  Arch,
  Flavor,
  Library,
  LibraryOrigin,
  Profile,
  Profiling,
  Reasoned,
  Requirement,
  StaticModules,
} from './model.ts';
import { setupLocal } from './setup-local.ts';
import { jitTools } from './tools.ts';

export const minors = ['3.10', '3.11', '3.12', '3.13', '3.14', '3.15'] as const;
export type Minor = (typeof minors)[number];

/** Where an entry applies; both ends inclusive, absent means everywhere. */
export interface Applies {
  readonly since?: Minor | undefined;
  readonly until?: Minor | undefined;
  readonly flavor?: Flavor | undefined;
  readonly arch?: Arch | undefined;
}

export interface CPythonFacts {
  readonly flavors: readonly Flavor[];
  /** LLVM's major version that Tools/jit accepts (Tools/jit/_llvm.py rejects every other one). */
  readonly llvm?: string;
  /** Whether configure can link the stdlib's extension modules in by itself (Modules/Setup.stdlib, gh-89790). */
  readonly staticModules: StaticModules['mechanism'];
}

export const cpython: Readonly<Record<Minor, CPythonFacts>> = {
  '3.10': { flavors: ['default'], staticModules: 'setup-local' },
  // 3.11 has Modules/Setup.stdlib, but setup.py still builds the modules and some of its lines are commented out.
  '3.11': { flavors: ['default'], staticModules: 'setup-local' },
  '3.12': { flavors: ['default'], staticModules: 'buildtype' },
  '3.13': { flavors: ['default', 'free-threaded', 'jit'], llvm: '18', staticModules: 'buildtype' },
  '3.14': { flavors: ['default', 'free-threaded', 'jit'], llvm: '19', staticModules: 'buildtype' },
  '3.15': { flavors: ['default', 'free-threaded', 'jit'], llvm: '21', staticModules: 'buildtype' },
};

/** True when an entry applies to this version, flavour and architecture. */
export function applies(entry: Applies, minor: Minor, flavor?: Flavor, arch?: Arch): boolean {
  const at = minors.indexOf(minor);
  if (entry.since !== undefined && at < minors.indexOf(entry.since)) return false;
  if (entry.until !== undefined && at > minors.indexOf(entry.until)) return false;
  if (entry.flavor !== undefined && flavor !== undefined && entry.flavor !== flavor) return false;
  return entry.arch === undefined || arch === undefined || entry.arch === arch;
}

/** The versions that have a flavour, for messages. */
export function minorsWith(flavor: Flavor): readonly Minor[] {
  return minors.filter((minor) => cpython[minor].flavors.includes(flavor));
}

/** The prefix every build is configured for. The tree is relocatable afterwards; this is where a layer mounts it. */
export const prefix = '/opt/lang';

type Rule = Reasoned &
  Applies & {
    /** Only where the C libraries come from there. */
    readonly libraries?: LibraryOrigin;
    readonly profile?: Profile;
  };

const configureRules: readonly Rule[] = [
  {
    value: `--prefix=${prefix}`,
    reason: 'A fixed prefix keeps the bytes equal on every builder; it is where a layer lands, and the tree can move.',
  },
  {
    value: '--disable-shared',
    reason: 'One executable: /lib64 comes before /opt/lib on Lambda, and static thread-local access is faster.',
  },
  {
    value: '--disable-gil',
    flavor: 'free-threaded',
    reason: 'This is what free-threaded means (PEP 703).',
  },
  {
    value: '--enable-experimental-jit=yes-off',
    flavor: 'jit',
    reason: 'The JIT is compiled in but off until the function sets PYTHON_JIT=1: cold starts do not pay for it.',
  },
  {
    value: '--disable-test-modules',
    reason: 'The _test* and xx* modules serve only the test suite, which is not shipped.',
  },
  {
    value: '--without-ensurepip',
    reason: 'pip has no place in a read-only runtime, and running it would make the build depend on the network.',
  },
  {
    value: '--enable-loadable-sqlite-extensions',
    reason: 'Functions load extensions such as sqlite-vec; the default build leaves the method out.',
  },
  {
    value: '--with-pkg-config=no',
    since: '3.11',
    reason: 'Whether the builder has pkg-config must not change the result; plain -l flags find the static archives.',
  },
  {
    value: '--with-openssl=..',
    libraries: 'source',
    reason: 'The folder above the one it is built in: headers and archives of the pinned libraries, and nothing else.',
  },
  {
    value: 'LIBSQLITE3_LIBS=-lsqlite3 -lm',
    since: '3.11',
    libraries: 'source',
    reason: "SQLite's mathematical functions need libm, which a static archive cannot say.",
  },
  {
    value: '--with-system-libmpdec',
    since: '3.13',
    libraries: 'source',
    reason: 'The pinned mpdecimal, not the older copy in the source tree (gh-115119).',
  },
  {
    value: '--without-system-libmpdec',
    since: '3.13',
    libraries: 'system',
    reason: 'decimal uses the copy in the source tree; from 3.13 on configure would prefer the system one (gh-115119).',
  },
  {
    value: '--without-remote-debug',
    since: '3.14',
    reason: 'Nothing may attach to a function from outside (PEP 768); less to attack, nothing lost on Lambda.',
  },
  {
    value: '--disable-safety',
    since: '3.14',
    reason:
      '3.14 turns on -fstack-protector-strong, which costs 2-3 % (python-build-standalone); the lighter -fstack-protector is in the compiler flags of every version.',
  },
  {
    value: '--without-frame-pointers',
    since: '3.15',
    reason: '3.15 keeps frame pointers for profilers (PEP 831); none can attach on Lambda, and they cost speed.',
  },
  {
    value: 'MODULE_BUILDTYPE=static',
    since: '3.12',
    reason: 'Extension modules become part of the executable: no lib-dynload, no file to open per import.',
  },
  {
    value: 'OPT=-DNDEBUG -O2 -Wall',
    reason: 'The default adds -g: objects ten times the size, a third more time to compile, and all of it stripped.',
  },
  {
    value: 'ac_cv_func_strlcpy=no',
    reason: 'glibc has strlcpy only since 2.38 and Lambda has 2.34; CPython brings its own when configure finds none.',
  },
];

/**
 * The arguments of ./configure in order.
 * @param withoutModules names of extension modules that are not built
 * @param libraries where the C libraries come from
 */
export function configureArguments(
  minor: Minor,
  flavor: Flavor,
  arch: Arch,
  withoutModules: readonly string[],
  libraries: LibraryOrigin,
): readonly Reasoned[] {
  const rules = configureRules
    .filter((rule) => applies(rule, minor, flavor, arch) && (rule.libraries ?? libraries) === libraries)
    .map(reasoned);
  // PY_STDLIB_MOD() in configure.ac leaves a module alone whose cache variable says n/a. It exists since 3.11; 3.10
  // (and setup.py in 3.11) goes by the *disabled* list of Setup.local instead.
  if (minor === '3.10') return rules;
  return [
    ...rules,
    ...withoutModules.map((name) => ({
      value: `py_cv_module_${name}=n/a`,
      reason: 'See the modules left out.',
    })),
  ];
}

/**
 * For arm64: Lambda's oldest such processor is Graviton2, whose cores are Neoverse N1 (Developer Guide,
 * foundation-arch; https://github.com/aws/aws-graviton-getting-started, c-c++.md).
 */
export const gravitonFlags: readonly Reasoned[] = [
  {
    value: '-march=armv8.2-a',
    reason:
      'What every Graviton that Lambda has can do: atomic operations as single instructions (LSE), which reference counts of free-threaded builds live on, and CRC32. Not +crypto: OpenSSL asks the processor itself.',
  },
  {
    value: '-mtune=neoverse-n1',
    reason: "Graviton2's core, the oldest one; later ones are told apart by nothing here.",
  },
];

const cflagRules: readonly Rule[] = [
  {
    value: '-O2',
    profile: 'fast',
    reason: 'A quarter of a megabyte less to load than -O3; the release profile is where speed is measured and bought.',
  },
  {
    value: '-O2',
    profile: 'release',
    reason: 'With a profile the compiler unrolls and inlines where it pays; -O3 would do it everywhere.',
  },
  {
    value: '-flto -ffat-lto-objects',
    profile: 'release',
    reason:
      'The bootstrap, interpreter and extension modules are optimised as one program. Fat: the programs that the build itself runs are linked the short way.',
  },
  ...gravitonFlags.map((flag) => ({ ...flag, arch: 'arm64' as const })),
  {
    value: '-fno-asynchronous-unwind-tables -fno-unwind-tables',
    reason:
      'C needs no unwind tables; they are 8 % of the executable, and no profiler can attach on Lambda to read them.',
  },
  {
    value: '-fno-pie',
    reason:
      'A position-dependent executable is about 5 % faster (python-build-standalone; Debian builds the same way).',
  },
  {
    value: '-fno-semantic-interposition',
    reason: 'Nobody replaces a function inside the interpreter at run time, so calls may be direct.',
  },
  {
    value: '-fstack-protector',
    reason: 'Light hardening: guards functions with character arrays.',
  },
  {
    value: '-fstack-clash-protection',
    reason: 'Light hardening: a large stack frame cannot jump over the guard page.',
  },
  {
    value: '-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2',
    reason: "Light hardening: glibc's checked string functions. Undefined first, as some compilers predefine it.",
  },
];

/** Compiler flags, in order. One entry may hold several words that belong together. */
export function compilerFlags(minor: Minor, flavor: Flavor, arch: Arch, profile: Profile): readonly Reasoned[] {
  return cflagRules
    .filter((rule) => applies(rule, minor, flavor, arch) && (rule.profile ?? profile) === profile)
    .map(reasoned);
}

const ldflagRules: readonly Rule[] = [
  { value: '-no-pie', reason: 'The counterpart of -fno-pie.' },
  { value: '-Wl,-z,relro', reason: 'Hardening: relocated data becomes read-only after start.' },
  { value: '-Wl,-z,now', reason: 'Hardening: completes relro. One executable has few imports, so it costs nothing.' },
  {
    value: '-Wl,-z,noexecstack',
    reason: 'Hardening: an assembler file without a note must not make the stack executable.',
  },
  {
    value: '-Wl,--gc-sections',
    libraries: 'source',
    reason: 'What nothing in the pinned libraries refers to is left out, function by function.',
  },
];

/** Linker flags, in order. */
export function linkerFlags(
  minor: Minor,
  flavor: Flavor,
  arch: Arch,
  libraries: readonly Library[],
): readonly Reasoned[] {
  const origin = libraries.some(({ origin }) => origin === 'source') ? 'source' : 'system';
  const rules = ldflagRules
    .filter((rule) => applies(rule, minor, flavor, arch) && (rule.libraries ?? origin) === origin)
    .map(reasoned);
  return [
    ...rules,
    ...libraries.map(({ archives }) => ({
      value: `-Wl,--exclude-libs,${archives.join(':')}`,
      reason: "The libraries' symbols stay private: a wheel that brings its own OpenSSL or SQLite must not meet ours.",
    })),
  ];
}

/** Tools needed beside a C compiler and make. */
export function requirements(minor: Minor, flavor: Flavor): readonly Requirement[] {
  const llvm = cpython[minor].llvm;
  return flavor === 'jit' && llvm !== undefined ? jitTools(minor, llvm) : [];
}

/** How the release profile trains the compiler. */
export function profiling(training: string, data: string | undefined): Profiling {
  return {
    training,
    arguments: ['40'],
    reason:
      'Imports, JSON, HTTP, signing, XML, logging, SQL, asyncio: what functions do (recipes/training/function.py). What it never runs is optimised for size.',
    ...(data === undefined ? {} : { data }),
    generate: [
      { value: '-fprofile-generate', reason: 'Counts how often each path is taken.' },
      {
        value: '-fprofile-update=prefer-atomic',
        reason: 'Threads that count at once would corrupt the counters (gh-145801).',
      },
    ],
    use: [
      { value: '-fprofile-use', reason: 'Hot paths are inlined and laid out in order, cold ones are made small.' },
      { value: '-fprofile-correction', reason: 'Counters of several threads may not add up exactly.' },
      { value: '-Wno-missing-profile', reason: 'Files that the training never ran have none.' },
    ],
  };
}

const bytecodeRules: readonly Rule[] = [
  {
    value: '-X no_debug_ranges',
    since: '3.11',
    profile: 'release',
    reason:
      "The standard library's .pyc files are a fifth smaller in the zip. Its lines in a traceback lack the ^^^^ marks; a function's own keep them.",
  },
];

/** Options for compiling the standard library's .pyc files. */
export function bytecodeOptions(minor: Minor, profile: Profile): readonly Reasoned[] {
  return bytecodeRules.filter((rule) => applies(rule, minor) && (rule.profile ?? profile) === profile).map(reasoned);
}

/** How extension modules get into the executable. */
export function staticModules(
  minor: Minor,
  withoutModules: readonly string[],
  libraries: readonly Library[],
): StaticModules {
  if (cpython[minor].staticModules === 'buildtype')
    return { mechanism: 'buildtype', lines: [], reason: 'configure links them in itself (MODULE_BUILDTYPE, 3.12+).' };
  return {
    mechanism: 'setup-local',
    lines: setupLocal(minor, withoutModules, libraries),
    reason: 'Before 3.12 only Modules/Setup.local can say which modules are linked in.',
  };
}

function reasoned({ value, reason }: Rule): Reasoned {
  return { value, reason };
}
