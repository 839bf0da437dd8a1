// Compiling for a processor that the builder is not: GNU names of systems, the compiler's tools, and what CPython's
// configure finds out by running programs, which it then cannot run. Data with reasons; knows no machine.
//
// Sources: configure.ac of 3.10 to 3.15 (every AC_RUN_IFELSE and its answer "when cross-compiling"); "Cross Compiling
// Options" in the documentation of configure. The answers were compared with what configure found when its programs
// did run, under qemu-aarch64: with them pyconfig.h is the same, byte for byte (3.13.15, glibc 2.36).
import { type Applies, applies, type Minor } from './cpython.ts';
import type { Arch, Cross, Profile, Reasoned, Requirement } from './model.ts';

/** Names of Debian's cross compilers and of its folders; config.sub knows them too. */
const triplets: Readonly<Record<Arch, string>> = { x86_64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/** A package's name may have no underscore. */
const debianNames: Readonly<Record<Arch, { readonly triplet: string; readonly arch: string }>> = {
  x86_64: { triplet: 'x86-64-linux-gnu', arch: 'amd64' },
  arm64: { triplet: 'aarch64-linux-gnu', arch: 'arm64' },
};

/** How a builder of one architecture compiles for another; undefined when they are the same. */
export function crossFor(from: Arch, to: Arch): Cross | undefined {
  return from === to ? undefined : { from, build: triplets[from], host: triplets[to] };
}

/** qemu's name of the program that runs an architecture's programs. */
export const emulators = { x86_64: 'qemu-x86_64', arm64: 'qemu-aarch64' } as const satisfies Record<Arch, string>;

/** Packages of Debian and Ubuntu that compile for an architecture; dnf's distributions have no glibc for theirs. */
export function crossPackages({ host }: Cross): readonly string[] {
  const { triplet, arch } = debianNames[host === triplets.arm64 ? 'arm64' : 'x86_64'];
  return [`gcc-${triplet}`, `libc6-dev-${arch}-cross`];
}

/** Packages of Debian and Ubuntu that run an architecture's programs: qemu, and a glibc for it to start them with. */
export function emulationPackages(of: Arch): readonly string[] {
  return ['qemu-user', `libc6-${debianNames[of].arch}-cross`];
}

/** Where those packages put glibc. */
export function emulatedLibraries(of: Arch): string {
  return `/usr/${triplets[of]}/lib`;
}

type Answer = Reasoned & Applies;

const answers: readonly Answer[] = [
  { value: 'ac_cv_file__dev_ptmx=yes', reason: 'Every Linux has it; configure looks at the machine it runs on.' },
  { value: 'ac_cv_file__dev_ptc=no', reason: 'No Linux has it.' },
  { value: 'ac_cv_buggy_getaddrinfo=no', reason: "glibc's is not; configure would refuse IPv6." },
  { value: 'ac_cv_aligned_required=no', reason: 'Unaligned reads work; else hashes would be FNV instead of SipHash.' },
  { value: 'ac_cv_computed_gotos=yes', reason: 'gcc and clang have them, and the interpreter is faster with them.' },
  { value: 'ac_cv_pthread_is_default=yes', reason: "glibc 2.34's libc has the threads." },
  { value: 'ac_cv_kpthread=no', reason: 'So no option is needed for them.' },
  { value: 'ac_cv_kthread=no', reason: 'So no option is needed for them.' },
  { value: 'ac_cv_pthread=no', reason: 'So no option is needed for them.' },
  { value: 'ac_cv_pthread_system_supported=yes', reason: 'Linux schedules threads system-wide.' },
  { value: 'ac_cv_broken_sem_getvalue=no', reason: "glibc's works." },
  { value: 'ac_cv_working_tzset=yes', reason: "glibc's works." },
  { value: 'ac_cv_wchar_t_signed=no', arch: 'arm64', reason: 'It is unsigned there (AAPCS64), which CPython can use.' },
  { value: 'ac_cv_wchar_t_signed=yes', arch: 'x86_64', reason: 'It is signed there (System V ABI).' },
];

/** What configure is told beside its own arguments. `--with-build-python` has a path, so the script adds it. */
export function crossArguments(minor: Minor, arch: Arch, { build, host }: Cross): readonly Reasoned[] {
  return [
    ...crossTarget({ build, host }),
    ...answers
      .filter((answer) => applies(answer, minor, undefined, arch))
      .map(({ value, reason }) => ({ value, reason })),
  ];
}

/** For any configure that autoconf made. */
export function crossTarget({ build, host }: Pick<Cross, 'build' | 'host'>): readonly Reasoned[] {
  const reason = 'Compiled on the one for the other: nothing that was compiled is run.';
  return [
    { value: `--build=${build}`, reason },
    { value: `--host=${host}`, reason },
  ];
}

/** What a cross build needs beside compilers and make. */
export function crossRequirements(arch: Arch, profile: Profile, stored: boolean): readonly Requirement[] {
  if (profile !== 'release' || stored) return [];
  return [
    {
      tool: emulators[arch],
      version: '5.2',
      exact: false,
      reason: 'The interpreter with counters has to run for training; or give the profile of an earlier build.',
      packages: {
        apt: { names: emulationPackages(arch), releases: 'Debian 11 and later' },
        dnf: { names: ['qemu-user-static'] },
      },
    },
  ];
}
