// What the build machine has: its system, compiler, static archives and headers, and what to install when something
// is missing. Asked by plan (to record the builder), by compile (to refuse early), by doctor and by quickstart.
import { readFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { execa } from 'execa';
import { MakeRuntimeError } from '../lib/errors.ts';
import type { Builder, Library, Requirement } from '../recipe/model.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface PackageManager {
  readonly name: 'apt' | 'dnf';
  readonly install: readonly string[];
  /** Lists installed versions, one "name version" a line. */
  readonly query: readonly string[];
  /** What provides a compiler, make and the archive tools. */
  readonly toolchain: readonly string[];
}

const packageManagers: readonly (PackageManager & { probe: string })[] = [
  {
    name: 'apt',
    probe: 'apt-get',
    install: ['apt-get', 'install', '-y', '--no-install-recommends'],
    query: ['dpkg-query', '-W', '-f', `\${Package} \${Version}\\n`],
    toolchain: ['gcc', 'libc6-dev', 'make', 'xz-utils'],
  },
  {
    name: 'dnf',
    probe: 'dnf',
    install: ['dnf', 'install', '-y'],
    query: ['rpm', '-q', '--qf', '%{NAME} %{VERSION}-%{RELEASE}\\n'],
    toolchain: ['gcc', 'make', 'xz', 'tar', 'findutils', 'diffutils'],
  },
];

export interface Missing {
  readonly kind: 'tool' | 'header' | 'archive' | 'requirement';
  /** "cc", "openssl/ssl.h", "libssl.a" */
  readonly name: string;
  /** Stdlib modules that cannot be built without it; empty for a tool. */
  readonly modules: readonly string[];
  /** The package that provides it with this machine's package manager, when known. */
  readonly packages: readonly string[];
  readonly reason?: string;
}

export interface HostProbe {
  readonly builder: Builder;
  readonly packageManager: PackageManager | undefined;
  readonly missing: readonly Missing[];
}

/** Looks at the machine without changing it, for the C libraries that will be linked and what else a build needs. */
export async function probeHost(
  libraries: readonly Library[],
  env: Environment,
  requirements: readonly Requirement[] = [],
): Promise<HostProbe> {
  const cc = env['CC'] ?? 'cc';
  const [system, compiler, packageManager] = await Promise.all([
    systemName(),
    firstLine(cc, ['--version'], env),
    findPackageManager(env),
  ]);
  const toolchain = packageManager?.toolchain ?? [];
  const tools = ['make', 'tar', 'xz', 'ar', 'ld', 'objcopy'];
  const found = await Promise.all(tools.map((tool) => firstLine(tool, ['--version'], env)));
  const missing: Missing[] = tools
    .filter((_, index) => found[index] === undefined)
    .map((name) => ({ kind: 'tool', name, modules: [], packages: toolchain }));
  const packages = packageManager ? await installedVersions(libraries, packageManager, env) : {};
  if (compiler === undefined) {
    missing.unshift({ kind: 'tool', name: cc, modules: [], packages: toolchain });
    missing.push(...missingByPackage(libraries, packageManager, packages));
  } else missing.push(...(await missingFromLibraries(libraries, cc, packageManager, env)));
  for (const requirement of requirements) {
    if (!(await satisfied(requirement, env))) missing.push(missingRequirement(requirement, packageManager));
  }
  return {
    builder: {
      engine: 'host',
      system,
      compiler: compiler ?? null,
      packages,
    },
    packageManager,
    missing,
  };
}

/** Throws COMPILER_MISSING, HEADER_MISSING or LLVM_MISSING, naming everything that is missing and the one command that cures it. */
export function requireComplete(probe: HostProbe): void {
  if (probe.missing.length === 0) return;
  const install = installCommand(probe);
  const remedy = install
    ? `Run: ${install.join(' ')}`
    : 'Install a C compiler, make and the development files named above with your package manager.';
  const tools = probe.missing.filter(({ kind }) => kind === 'tool');
  if (tools.length > 0) {
    const names = tools.map(({ name }) => name).join(', ');
    throw new MakeRuntimeError('COMPILER_MISSING', `Compiling CPython needs ${names}, not found on this machine.`, {
      remedy,
    });
  }
  const required = probe.missing.filter(({ kind }) => kind === 'requirement');
  if (required.length > 0) {
    const names = required.map(({ name }) => name).join(' and ');
    throw new MakeRuntimeError('LLVM_MISSING', `Building the JIT needs ${names}, not found on this machine.`, {
      remedy:
        'apt-get install clang-18 llvm-18 python3 (Debian 13), dnf install clang18 llvm18 python3.12 (Amazon Linux).',
      detail: required.map(({ reason }) => reason).join('\n'),
    });
  }
  throw new MakeRuntimeError(
    'HEADER_MISSING',
    `Compiling CPython needs ${probe.missing.map(({ name }) => name).join(', ')}, not found on this machine.`,
    {
      remedy,
      detail: probe.missing
        .map(({ name, modules }) => `${name}: without it there is no ${modules.join(', ')}`)
        .join('\n'),
    },
  );
}

/** The one command that installs everything missing, or undefined when the package manager is not known. */
export function installCommand(probe: HostProbe): readonly string[] | undefined {
  const packages = [...new Set(probe.missing.flatMap((missing) => missing.packages))];
  return probe.packageManager && packages.length > 0 ? [...probe.packageManager.install, ...packages] : undefined;
}

/** Tools/jit looks for `clang` on PATH first, then for `clang-18` (Tools/jit/_llvm.py). */
async function satisfied({ tool, version }: Requirement, env: Environment): Promise<boolean> {
  if (tool === 'perl' || tool === 'autoreconf') return (await firstLine(tool, ['--version'], env)) !== undefined;
  if (tool === 'python') {
    const program = `import sys; print(sys.version_info >= (${version.replace('.', ', ')}))`;
    return (await firstLine('python3', ['-c', program], env)) === 'True';
  }
  const major = new RegExp(`version ${version}\\.`);
  for (const name of ['clang', 'llvm-readobj']) {
    const candidates = [name, `${name}-${version}`].map((candidate) => firstMatch(candidate, major, env));
    if (!(await Promise.all(candidates)).includes(true)) return false;
  }
  return true;
}

async function firstMatch(command: string, pattern: RegExp, env: Environment): Promise<boolean> {
  const result = await execa(command, ['--version'], {
    reject: false,
    env: clean(env),
    extendEnv: false,
    stdin: 'ignore',
  });
  return !result.failed && pattern.test(result.stdout);
}

function missingRequirement(
  { tool, version, reason, packages }: Requirement,
  packageManager: PackageManager | undefined,
): Missing {
  if (tool === 'perl' || tool === 'autoreconf') {
    const provider = packages && packageManager ? packages[packageManager.name] : [];
    return { kind: 'tool', name: tool, modules: [], packages: provider, reason };
  }
  const name = tool === 'llvm' ? `LLVM ${version} (clang and llvm-readobj)` : `Python ${version} or newer (python3)`;
  return { kind: 'requirement', name, modules: [], packages: [], reason };
}

/** Without a compiler to ask, what the package manager does not list as installed is taken to be missing. */
function missingByPackage(
  libraries: readonly Library[],
  packageManager: PackageManager | undefined,
  installed: Readonly<Record<string, string>>,
): Missing[] {
  if (!packageManager) return [];
  return libraries
    .map(({ header, modules, packages }) => ({ header, modules, name: packages[packageManager.name] }))
    .filter(({ name }) => installed[name] === undefined)
    .map(({ header, modules, name }) => ({ kind: 'header', name: header, modules, packages: [name] }));
}

async function missingFromLibraries(
  libraries: readonly Library[],
  cc: string,
  packageManager: PackageManager | undefined,
  env: Environment,
): Promise<Missing[]> {
  const packagesOf = (library: Library): string[] => (packageManager ? [library.packages[packageManager.name]] : []);
  // One run of the preprocessor answers for every header.
  const program = libraries
    .map(({ header, name }) => `#if !__has_include(<${header}>)\nmissing:${name}\n#endif`)
    .join('\n');
  const { stdout } = await execa(cc, ['-E', '-P', '-x', 'c', '-'], { input: program, env: clean(env), reject: false });
  const headers = libraries
    .filter(({ name }) => stdout.split('\n').includes(`missing:${name}`))
    .map(
      (library): Missing => ({
        kind: 'header',
        name: library.header,
        modules: library.modules,
        packages: packagesOf(library),
      }),
    );
  const archives = await Promise.all(
    libraries.flatMap((library) =>
      library.archives.map(async (archive): Promise<Missing | undefined> => {
        // Prints a full path when the linker would find the file, and the bare name when not.
        const path = await firstLine(cc, [`-print-file-name=${archive}`], env);
        if (path !== undefined && isAbsolute(path)) return undefined;
        return { kind: 'archive', name: archive, modules: library.modules, packages: packagesOf(library) };
      }),
    ),
  );
  return [...headers, ...archives.filter((missing) => missing !== undefined)];
}

async function installedVersions(
  libraries: readonly Library[],
  packageManager: PackageManager,
  env: Environment,
): Promise<Record<string, string>> {
  const names = [...new Set(libraries.map(({ packages }) => packages[packageManager.name]))].sort();
  const [command, ...options] = packageManager.query as [string, ...string[]];
  const { stdout = '' } = await execa(command, [...options, ...names], { reject: false, env: clean(env) });
  const versions = stdout
    .split('\n')
    .map((line) => line.split(' '))
    .filter(
      (words): words is [string, string] => words.length === 2 && names.includes(words[0] as string) && words[1] !== '',
    );
  return Object.fromEntries(versions);
}

async function findPackageManager(env: Environment): Promise<PackageManager | undefined> {
  for (const manager of packageManagers) {
    if ((await firstLine(manager.probe, ['--version'], env)) !== undefined) return manager;
  }
  return undefined;
}

async function systemName(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(release)?.[1] ?? `${process.platform} ${process.arch}`;
}

/** The first line a command prints, or undefined when it cannot be run. */
export async function firstLine(
  command: string,
  args: readonly string[],
  env: Environment,
): Promise<string | undefined> {
  const result = await execa(command, args, { reject: false, env: clean(env), extendEnv: false, stdin: 'ignore' });
  return result.failed ? undefined : `${result.stdout}\n${result.stderr}`.trim().split('\n')[0];
}

function clean(env: Environment): Record<string, string> {
  return { LC_ALL: 'C', PATH: env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin' };
}
