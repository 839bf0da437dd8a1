// What a build machine has, asked by one small program that runs on the host and in a builder image alike: system,
// compiler, tools, static archives, headers, packages. Knows what the answers mean; not where the program runs.
import { createHash } from 'node:crypto';
import { isAbsolute } from 'node:path';
import { MakeRuntimeError } from '../lib/errors.ts';
import { crossPackages } from '../recipe/cross.ts';
import { needsOfArchives } from '../recipe/libraries.ts';
import type { BuilderFacts, Cross, Library, Plan, Requirement } from '../recipe/model.ts';
import { type Gap, gapOf, missingRequirements, requirementCommands } from './requirement.ts';
import { quote } from './script.ts';

export interface PackageManager {
  readonly name: 'apt' | 'dnf';
  readonly install: readonly string[];
  /** Fetches the list of packages; nothing for dnf, which does so by itself. */
  readonly refresh?: readonly string[];
  /** Prints every installed package, one "name version" a line. */
  readonly query: readonly string[];
  /** What provides a compiler, make and the archive tools. */
  readonly toolchain: readonly string[];
}

export const packageManagers: readonly (PackageManager & { readonly probe: string })[] = [
  {
    name: 'apt',
    probe: 'apt-get',
    refresh: ['apt-get', 'update', '-q'],
    install: ['apt-get', 'install', '-y', '--no-install-recommends'],
    query: ['dpkg-query', '-W', '-f', `\${Package} \${Version}\\n`],
    toolchain: ['gcc', 'libc6-dev', 'make', 'xz-utils'],
  },
  {
    name: 'dnf',
    probe: 'dnf',
    install: ['dnf', 'install', '-y'],
    query: ['rpm', '-qa', '--qf', '%{NAME} %{VERSION}-%{RELEASE}\\n'],
    toolchain: ['gcc', 'make', 'xz', 'tar', 'findutils', 'diffutils'],
  },
];

const tools = ['make', 'tar', 'xz', 'ar', 'ld', 'objcopy'];

/** Those of them that are told apart by what they make programs for. */
const crossTools = ['ar', 'ranlib', 'ld', 'objcopy'];

/** What a build will ask of the machine. */
export interface Needs {
  readonly libraries: readonly Library[];
  readonly requires: readonly Requirement[];
  /** Where it compiles for another architecture than its own. */
  readonly cross?: Cross;
}

/** What the plan keeps of a probe, whatever ran it. */
export function factsOf(
  { system, compiler, packages, archivesNeed }: Omit<Probe, 'builder'>,
  { cross }: Pick<Needs, 'cross'> = {},
): BuilderFacts {
  return {
    system,
    compiler,
    packages,
    ...(archivesNeed === undefined ? {} : { archivesNeed }),
    ...(cross ? { cross } : {}),
  };
}

/** What a plan asks of the machine: libraries from pinned source are none of its affair. */
export function needsOf({ libraries, requires, builder }: Pick<Plan, 'libraries' | 'requires' | 'builder'>): Needs {
  return {
    libraries: libraries.filter(({ origin }) => origin === 'system'),
    requires,
    ...(builder.cross ? { cross: builder.cross } : {}),
  };
}

export interface Missing {
  readonly kind: 'tool' | 'header' | 'archive';
  /** "cc", "openssl/ssl.h", "libssl.a" */
  readonly name: string;
  /** Stdlib modules that cannot be built without it; empty for a tool. */
  readonly modules: readonly string[];
  /** The package that provides it with this machine's package manager, when known. */
  readonly packages: readonly string[];
}

export interface Probe {
  readonly system: string;
  /** First line of `cc --version`, or null when there is none. */
  readonly compiler: string | null;
  /** Installed versions of the packages that provide the static archives, by package name. */
  readonly packages: Readonly<Record<string, string>>;
  readonly archivesNeed?: BuilderFacts['archivesNeed'];
  /** sha256 over every installed package and its version: two machines with the same one have the same packages. */
  readonly packagesDigest: string;
  readonly packageManager: PackageManager | undefined;
  readonly missing: readonly Missing[];
  /** Requirements that are not met. */
  readonly gaps: readonly Gap[];
}

/**
 * The probe as text for /bin/sh. Looks without changing anything; needs nothing but the shell itself, because what it
 * looks for may not be there. Every answer is a line "::<key>" and the lines below it.
 * @param cc the builder's own compiler; a cross build asks for the other one as well
 */
export function probeProgram({ libraries, requires, cross }: Needs, cc: string): string {
  const compiler = quote(compilerOf(cc, cross));
  const headers = libraries.flatMap(({ header, name }) => [
    `#if !__has_include(<${header}>)`,
    `missing:${name}`,
    '#endif',
  ]);
  // A cross compiler may come without the C library that it compiles for.
  const libc = cross ? ['#if !__has_include(<stdio.h>)', 'missing:libc', '#endif'] : [];
  const needs = needsOfArchives(libraries);
  const archives = [...libraries, ...needs.map(({ library }) => library)].flatMap((library) => library.archives);
  return `${[
    'export LC_ALL=C',
    '# Announces a key and shows what a command prints, when it can be run and succeeds.',
    'show() { key=$1; shift; if text=$("$@" 2>&1 </dev/null); then printf \'::%s\\n%s\\n\' "$key" "$text"; fi; }',
    'show system eval ". /etc/os-release && printf %s \\"\\$PRETTY_NAME\\""',
    `show cc ${compiler} --version`,
    ...toolsOf(cc, cross).map((tool) => `show 'tool ${tool}' ${quote(tool)} --version`),
    ...packageManagers.map(({ name, probe, query }) => {
      const list = `printf '::packages ${name}\\n'; ${query.map(quote).join(' ')} 2>/dev/null </dev/null`;
      return `if command -v ${probe} >/dev/null; then ${list}; fi`;
    }),
    '# Whether an archive has undefined symbols that begin like this.',
    'needs() { nm -u "$("$1" -print-file-name="$2")" 2>/dev/null | grep -m 1 " U $3"; }',
    ...needs.map(
      ({ archive, symbols, library }) => `show 'needs ${library.name}' needs ${compiler} ${archive} ${symbols}`,
    ),
    ...[...new Set(archives)].map((archive) => `show 'archive ${archive}' ${compiler} -print-file-name=${archive}`),
    ...requires.flatMap((requirement) =>
      requirementCommands(requirement).map(
        (command, index) => `show 'requirement ${requirement.tool} ${index}' ${command}`,
      ),
    ),
    '# One run of the preprocessor answers for every header.',
    "printf '::headers\\n'",
    `${compiler} -E -P -x c - 2>/dev/null <<'HEADERS'`,
    ...headers,
    ...libc,
    'HEADERS',
    'exit 0',
  ].join('\n')}\n`;
}

/** The compiler that the target's programs are compiled with. */
function compilerOf(cc: string, cross: Cross | undefined): string {
  return cross ? `${cross.host}-gcc` : cc;
}

/** What must be there beside it. */
function toolsOf(cc: string, cross: Cross | undefined): readonly string[] {
  return cross ? [cc, ...tools, ...crossTools.map((tool) => `${cross.host}-${tool}`)] : tools;
}

/** Reads what the probe printed. */
export function readProbe(output: string, needs: Needs, cc: string): Probe {
  const { libraries, requires, cross } = needs;
  const answers = new Map<string, readonly string[]>();
  for (const block of output.split(/^::/m).slice(1)) {
    const [key = '', ...lines] = block.replace(/\n$/, '').split('\n');
    answers.set(key, lines);
  }
  const first = (key: string): string | undefined => answers.get(key)?.find((line) => line.trim() !== '');
  const beside = needsOfArchives(libraries).flatMap(({ library }) =>
    first(`needs ${library.name}`) === undefined ? [] : [library],
  );
  const all = [...libraries, ...beside.filter(({ name }) => !libraries.some((library) => library.name === name))];
  const packageManager = packageManagers.find(({ name }) => answers.has(`packages ${name}`));
  const list = (answers.get(`packages ${packageManager?.name}`) ?? []).filter((line) => /^[^ ]+ [^ ]+$/.test(line));
  const installed = Object.fromEntries(list.map((line) => line.split(' ') as [string, string]));
  const packageOf = (library: Library): string[] => (packageManager ? [library.packages[packageManager.name]] : []);
  const toolchain = packageManager ? toolchainOf(packageManager, cross) : [];
  const compiler = first('cc') ?? null;
  const missing: Missing[] = toolsOf(cc, cross)
    .filter((name) => first(`tool ${name}`) === undefined)
    .map((name) => ({ kind: 'tool', name, modules: [], packages: toolchain }));
  if (compiler === null) {
    missing.unshift({ kind: 'tool', name: compilerOf(cc, cross), modules: [], packages: toolchain });
    // Without a compiler to ask, what the package manager does not list as installed is taken to be missing.
    for (const library of packageManager ? libraries : []) {
      const { header: name, modules } = library;
      const packages = packageOf(library);
      if (packages.some((one) => installed[one] === undefined))
        missing.push({ kind: 'header', name, modules, packages });
    }
  } else {
    const lacking = new Set(answers.get('headers') ?? []);
    if (cross && lacking.has('missing:libc'))
      missing.push({ kind: 'tool', name: `the C library of ${cross.host}`, modules: [], packages: toolchain });
    for (const library of libraries) {
      const { modules } = library;
      const packages = packageOf(library);
      if (lacking.has(`missing:${library.name}`))
        missing.push({ kind: 'header', name: library.header, modules, packages });
    }
    for (const library of all) {
      for (const name of library.archives) {
        // A full path when the linker would find the file, and the bare name when not.
        if (isAbsolute(first(`archive ${name}`) ?? '')) continue;
        missing.push({ kind: 'archive', name, modules: library.modules, packages: packageOf(library) });
      }
    }
  }
  const gaps = requires.flatMap((requirement) => {
    const texts = requirementCommands(requirement).map((_, index) =>
      answers.get(`requirement ${requirement.tool} ${index}`)?.join('\n'),
    );
    return gapOf(requirement, texts) ?? [];
  });
  const wanted = packageManager ? all.flatMap(packageOf) : [];
  return {
    system: first('system') ?? `${process.platform} ${process.arch}`,
    compiler,
    packages: Object.fromEntries(
      [...new Set(wanted)].sort().flatMap((name) => (installed[name] === undefined ? [] : [[name, installed[name]]])),
    ),
    // As `list | sort | sha256sum` gives it in the C locale: bake checks it with those.
    packagesDigest: createHash('sha256')
      .update(
        list
          .sort()
          .map((line) => `${line}\n`)
          .join(''),
      )
      .digest('hex'),
    ...(beside.length > 0 ? { archivesNeed: beside.map(({ name }) => name) } : {}),
    packageManager,
    missing,
    gaps,
  };
}

/** Every package a build needs with one package manager: the toolchain, the libraries, the requirements. */
export function packagesFor({ libraries, requires, cross }: Needs, manager: PackageManager): readonly string[] {
  const names = [
    ...toolchainOf(manager, cross),
    ...libraries.map(({ packages }) => packages[manager.name]),
    // Only an archive that is there can be asked whether it needs them.
    ...needsOfArchives(libraries).map(({ library }) => library.packages[manager.name]),
    ...requires.flatMap(({ packages }) => packages[manager.name].names),
  ];
  return [...new Set(names)].sort();
}

/** Distributions with dnf have cross compilers and no C library for them: there is nothing to name. */
function toolchainOf({ name, toolchain }: PackageManager, cross: Cross | undefined): readonly string[] {
  return cross && name === 'apt' ? [...toolchain, ...crossPackages(cross)] : toolchain;
}

/**
 * Throws COMPILER_MISSING, HEADER_MISSING or LLVM_MISSING, naming everything that is missing and what cures it.
 * @param where "on this machine", "in the builder image debian:12"
 * @param cure what to do instead of running the package manager, where that is not the user's to run
 */
export function requireComplete(probe: Probe, where = 'on this machine', cure?: string): void {
  if (probe.missing.length + probe.gaps.length === 0) return;
  const install = installCommand(probe);
  const remedy =
    cure ??
    (install
      ? `Run: ${install.join(' ')}`
      : 'Install a C compiler, make and the development files named above with your package manager.');
  const lacking = probe.missing.filter(({ kind }) => kind === 'tool');
  if (lacking.length > 0) {
    const names = lacking.map(({ name }) => name).join(', ');
    throw new MakeRuntimeError('COMPILER_MISSING', `Compiling CPython needs ${names}, not found ${where}.`, { remedy });
  }
  if (probe.gaps.length > 0) throw missingRequirements(probe.gaps, where);
  throw new MakeRuntimeError(
    'HEADER_MISSING',
    `Compiling CPython needs ${probe.missing.map(({ name }) => name).join(', ')}, not found ${where}.`,
    {
      remedy,
      detail: probe.missing
        .map(({ name, modules }) => `${name}: without it there is no ${modules.join(', ')}`)
        .join('\n'),
    },
  );
}

/** The one command that installs everything missing, or undefined when the package manager is not known. */
export function installCommand(probe: Probe): readonly string[] | undefined {
  const { missing, gaps, packageManager: manager } = probe;
  const tools = manager ? gaps.flatMap(({ requirement }) => requirement.packages[manager.name].names) : [];
  const packages = [...new Set([...missing.flatMap((one) => one.packages), ...tools])];
  return manager && packages.length > 0 ? [...manager.install, ...packages] : undefined;
}
