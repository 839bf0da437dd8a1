// What building takes beside a C compiler and make, and which distributions have it: the JIT's tools as data for the plan,
// and the words for any tool and where to get it. Knows nothing of any machine.
//
// Sources: Tools/jit/_llvm.py and Tools/jit/README.md of each version; the package indexes of Debian 12 (bookworm),
// 13 (trixie) and 14 (forky) in 2026-11; for Amazon Linux 2023 its package lists of 2025-08 and 2025-10 and what public
// CI installs there: clang18 to clang20 have been seen, clang21 has not.
import type { Requirement, RequirementPackages } from './model.ts';

const al2023 = 'Amazon Linux 2023';

const llvmPackages: Readonly<Record<string, RequirementPackages>> = {
  '18': {
    apt: { names: ['clang-18', 'llvm-18'], releases: 'Debian 13', image: 'debian:trixie' },
    dnf: { names: ['clang18', 'llvm18'], releases: al2023 },
  },
  '19': {
    apt: { names: ['clang-19', 'llvm-19'], releases: 'Debian 12 and 13', image: 'debian:trixie' },
    dnf: { names: ['clang19', 'llvm19'], releases: al2023 },
  },
  '21': {
    // Debian 14 has it, with a glibc (2.42) whose termios cannot be bound back (glibc.ts).
    apt: { names: ['clang-21', 'llvm-21'], releases: 'Debian 12 and 13 with the repository of https://apt.llvm.org' },
    dnf: { names: ['clang21', 'llvm21'] },
  },
};

const pythonPackages: RequirementPackages = {
  apt: { names: ['python3'], releases: 'Debian 12 and later' },
  // Its python3 is 3.9.
  dnf: { names: ['python3.12'], releases: al2023 },
};

/**
 * The tools of one version's Tools/jit.
 * @param llvm LLVM's major version
 */
export function jitTools(minor: string, llvm: string): readonly Requirement[] {
  return [
    {
      tool: 'llvm',
      version: llvm,
      exact: true,
      reason: `Tools/jit of CPython ${minor} accepts clang and llvm-readobj of LLVM ${llvm} only; not needed at run time.`,
      packages: llvmPackages[llvm] ?? {
        apt: { names: [`clang-${llvm}`, `llvm-${llvm}`] },
        dnf: { names: [`clang${llvm}`, `llvm${llvm}`] },
      },
    },
    {
      tool: 'python',
      version: '3.11',
      exact: false,
      reason: 'Tools/jit runs on the builder and needs Python 3.11.',
      packages: pythonPackages,
    },
  ];
}

/**
 * Where requirements come from, for every distribution that is known to have them: "apt-get install clang-18 llvm-18
 * (Debian 13), dnf install clang18 llvm18 (Amazon Linux 2023); or build in a container ...".
 */
export function whereToGet(requires: readonly Requirement[]): string {
  const commands = [from(requires, 'apt', 'apt-get install'), from(requires, 'dnf', 'dnf install')];
  const scarce = requires.find(({ packages }) => packages.dnf.releases === undefined);
  const image = requires.map(({ packages }) => packages.apt.image).find((one) => one !== undefined);
  return [
    commands.filter((command) => command !== undefined).join(', '),
    ...(scarce ? [`${al2023} is not known to have ${toolName(scarce)}`] : []),
    ...(image === undefined ? [] : [`or build in a container that has it: --builder ${image}`]),
  ].join('; ');
}

const toolNames: Readonly<Record<Requirement['tool'], string>> = {
  llvm: 'LLVM',
  python: 'Python',
  perl: 'perl',
  autoreconf: 'autoreconf',
  'qemu-aarch64': 'qemu-aarch64',
  'qemu-x86_64': 'qemu-x86_64',
};

/** "LLVM 18", "Python 3.11 or newer" */
export function toolName({ tool, version, exact }: Requirement): string {
  return `${toolNames[tool]} ${version}${exact ? '' : ' or newer'}`;
}

function from(requires: readonly Requirement[], manager: 'apt' | 'dnf', command: string): string | undefined {
  const packages = requires.map((requirement) => requirement.packages[manager]);
  const [first] = packages;
  if (first === undefined || packages.some(({ releases }) => releases === undefined)) return undefined;
  // The first is the rarest: what has the right LLVM has a Python.
  return `${command} ${packages.flatMap(({ names }) => names).join(' ')} (${first.releases})`;
}
