// What the target's glibc allows: the floor, and newer symbols that are bound to an older version of themselves at link
// time. Knows symbols, not linkers.
import type { Arch, SymbolBinding } from './model.ts';

/** glibc of provided.al2023, for its whole life. */
export const glibcFloor = '2.34';

// First version of each architecture's glibc port, which its oldest symbols carry.
const baseVersion: Readonly<Record<Arch, string>> = { x86_64: 'GLIBC_2.2.5', arm64: 'GLIBC_2.17' };
// C99's scanf family came with glibc 2.7, after the x86_64 port and before the arm64 one.
const c99Version: Readonly<Record<Arch, string>> = { x86_64: 'GLIBC_2.7', arm64: 'GLIBC_2.17' };

interface NewerSymbol {
  readonly symbol: string;
  readonly target?: string;
  readonly glibc: string;
  readonly version: Readonly<Record<Arch, string>>;
  readonly why: string;
}

// Symbols that a newer glibc's headers or linker pick and that have an older equivalent. From glibc's NEWS and
// sysdeps/unix/sysv/linux/x86_64/64/{libc,libm}.abilist up to 2.43. Functions that are new altogether (strlcpy 2.38,
// arc4random and process_madvise 2.36, epoll_pwait2 2.35) have none: configure must not find those. tcgetattr, cfsetispeed
// and their kin of 2.42 have an older version, but headers whose baud rates mean something else: not bound, verify
// refuses them.
const newerSymbols: readonly NewerSymbol[] = [
  ...math('2.35', ['hypot', 'hypotf']),
  ...math('2.38', ['fmod', 'fmodf']),
  ...math('2.39', ['exp10']),
  ...math('2.43', ['acosf', 'acoshf', 'asinf', 'atanhf', 'coshf', 'log10f']),
  ...c23(['strtol', 'strtoul', 'strtoll', 'strtoull', 'strtoimax', 'strtoumax'], baseVersion),
  ...c23(['wcstol', 'wcstoul', 'wcstoll', 'wcstoull', 'wcstoimax', 'wcstoumax'], baseVersion),
  ...c23(['sscanf', 'fscanf', 'scanf', 'vsscanf', 'vfscanf', 'vscanf'], c99Version, '__isoc99_'),
];

function math(glibc: string, names: readonly string[]): NewerSymbol[] {
  return names.map((symbol) => ({
    symbol,
    glibc,
    version: baseVersion,
    why: 'a new version without the SVID error wrapper',
  }));
}

function c23(names: readonly string[], version: NewerSymbol['version'], olderPrefix = ''): NewerSymbol[] {
  return names.map((name) => ({
    symbol: `__isoc23_${name}`,
    target: `${olderPrefix}${name}`,
    glibc: '2.38',
    version,
    why: `${name} under _GNU_SOURCE, which also reads C23's 0b101`,
  }));
}

/** Symbols newer than the floor with the version (and, for C23's, the name) they are bound to at link time. */
export function symbolBindings(arch: Arch): readonly SymbolBinding[] {
  return newerSymbols.map(({ symbol, target, glibc, version, why }) => ({
    symbol,
    ...(target === undefined ? {} : { target }),
    version: version[arch],
    reason: `${symbol} of glibc ${glibc} and later is ${why}. Lambda has ${glibcFloor}.`,
  }));
}
