// The C libraries that the standard library needs and CPython does not bring along, linked statically.
// Each is either the build machine's own archive or compiled from pinned source (library-builds.ts).
// Knows nothing of recipes.
import { MakeRuntimeError } from '../lib/errors.ts';
import { type Applies, applies, type Minor } from './cpython.ts';
import { libraryBuilds } from './library-builds.ts';
import type { Arch, Cross, Library, LibraryOrigin, Lock, Requirement } from './model.ts';

type Known = Omit<Library, 'origin' | 'source' | 'build'> &
  Applies & {
    readonly only?: LibraryOrigin;
    /** Why this implementation is pinned and not another. */
    readonly whyThisOne?: string;
  };

// Link order: a library stands before what it needs itself (libssl before libcrypto).
const libraries: readonly Known[] = [
  {
    name: 'openssl',
    archives: ['libssl.a', 'libcrypto.a'],
    header: 'openssl/ssl.h',
    modules: ['_ssl', '_hashlib'],
    packages: { apt: 'libssl-dev', dnf: 'openssl-devel' },
    licence: 'Apache-2.0',
    reason: "TLS and hashes. The image's own copy may differ from the build's headers, so it is never used.",
  },
  {
    name: 'sqlite',
    archives: ['libsqlite3.a'],
    header: 'sqlite3.h',
    modules: ['_sqlite3'],
    packages: { apt: 'libsqlite3-dev', dnf: 'sqlite-devel' },
    licence: 'blessing',
    reason: 'For the module sqlite3.',
  },
  {
    name: 'libffi',
    archives: ['libffi.a'],
    header: 'ffi.h',
    modules: ['_ctypes'],
    packages: { apt: 'libffi-dev', dnf: 'libffi-devel' },
    licence: 'MIT',
    reason: 'For the module ctypes.',
  },
  {
    name: 'bzip2',
    archives: ['libbz2.a'],
    header: 'bzlib.h',
    modules: ['_bz2'],
    packages: { apt: 'libbz2-dev', dnf: 'bzip2-static' },
    licence: 'bzip2-1.0.6',
    reason: 'For the module bz2.',
  },
  {
    name: 'xz',
    archives: ['liblzma.a'],
    header: 'lzma.h',
    modules: ['_lzma'],
    packages: { apt: 'liblzma-dev', dnf: 'xz-static' },
    licence: '0BSD',
    reason: 'For the module lzma.',
  },
  {
    name: 'zstd',
    since: '3.14',
    archives: ['libzstd.a'],
    header: 'zstd.h',
    modules: ['_zstd'],
    packages: { apt: 'libzstd-dev', dnf: 'libzstd-static' },
    licence: 'BSD-3-Clause',
    reason: 'For compression.zstd, new in 3.14 (PEP 784).',
  },
  {
    name: 'mpdecimal',
    since: '3.13',
    only: 'source',
    archives: ['libmpdec.a'],
    header: 'mpdecimal.h',
    modules: ['_decimal'],
    packages: { apt: 'libmpdec-dev', dnf: 'mpdecimal-devel' },
    licence: 'BSD-2-Clause',
    reason: "For decimal. The copy in CPython's source tree is 2.5.1, and leaves with 3.16 (gh-115119).",
  },
  {
    name: 'util-linux',
    archives: ['libuuid.a'],
    header: 'uuid/uuid.h',
    modules: ['_uuid'],
    packages: { apt: 'uuid-dev', dnf: 'libuuid-devel' },
    licence: 'BSD-3-Clause',
    reason: 'For a uuid.uuid1() that is safe across processes.',
  },
  {
    name: 'zlib',
    archives: ['libz.a'],
    header: 'zlib.h',
    modules: ['zlib', 'binascii'],
    packages: { apt: 'zlib1g-dev', dnf: 'zlib-static' },
    licence: 'Zlib',
    reason: 'For zlib, gzip, zipfile and a faster binascii.crc32.',
    whyThisOne: 'zlib and not zlib-ng, whose compressed bytes differ: caches, ETags and tests compare them.',
  },
];

/** A distribution's archive that needs another library; the undefined symbols of the archive say whether it does. */
export interface ArchiveNeed {
  readonly archive: string;
  readonly symbols: string;
  readonly library: Library;
}

// Debian 13 configures OpenSSL with zlib and zstd, Debian 12 with neither. CPython names zlib before OpenSSL.
const archiveNeeds = [
  {
    archive: 'libcrypto.a',
    symbols: 'deflate',
    library: 'zlib',
    reason: "The builder's libcrypto compresses with it (RFC 8879), and cannot be linked without.",
  },
  {
    archive: 'libcrypto.a',
    symbols: 'ZSTD_',
    library: 'zstd',
    reason: "The builder's libcrypto compresses with it (RFC 8879), and cannot be linked without.",
  },
] as const;

/**
 * The build machine's libraries that one version needs, in link order, without those whose every module is left out.
 * @param archivesNeed what the machine's archives were found to need beside
 */
export function librariesFor(
  minor: Minor,
  withoutModules: readonly string[],
  archivesNeed: readonly string[] = [],
): readonly Library[] {
  const own = needed(minor, withoutModules, 'system').map(ofSystem);
  const found = needsOfArchives(own).filter(({ library }) => archivesNeed.includes(library.name));
  const both = own.map((library) => {
    const mergedInto = found.find(({ library: { name } }) => name === library.name)?.archive;
    return mergedInto === undefined ? library : { ...library, mergedInto };
  });
  const only = found.map(({ library }) => library).filter(({ name }) => !own.some((library) => library.name === name));
  return [...both, ...only];
}

/** What archives of these libraries may need, to be asked of the machine. */
export function needsOfArchives(own: readonly Library[]): readonly ArchiveNeed[] {
  return archiveNeeds.flatMap(({ archive, symbols, library: name, reason }) => {
    const owner = own.find(({ archives }) => archives.includes(archive));
    const other = libraries.find((library) => library.name === name);
    if (!owner || !other) return [];
    return [{ archive, symbols, library: { ...ofSystem(other), modules: owner.modules, reason, mergedInto: archive } }];
  });
}

function ofSystem(library: Known): Library {
  const { name, ...more } = known(library);
  return { name, origin: 'system', ...more };
}

/**
 * The same from pinned source, the newest pin of each.
 * @throws LOCK_INVALID when one has no pin
 */
export function sourceLibraries(
  minor: Minor,
  withoutModules: readonly string[],
  arch: Arch,
  lock: Lock,
  cross?: Cross,
): readonly Library[] {
  const builds = libraryBuilds(arch, cross);
  return needed(minor, withoutModules, 'source').map((library) => {
    const source = lock.sources.findLast(({ name }) => name === library.name);
    const build = builds[library.name];
    if (!source || !build) {
      throw new MakeRuntimeError('LOCK_INVALID', `The lock file pins no release of ${library.name}.`, {
        remedy: 'Restore recipes/sources.lock.json from git, or use `--libraries system`.',
      });
    }
    const reason = [library.reason, library.whyThisOne].filter(Boolean).join(' ');
    const { name, ...more } = known(library);
    return { name, origin: 'source', ...more, reason, source, build };
  });
}

/** What compiling the libraries needs beside a C compiler and make. */
export function libraryRequirements(libraries: readonly Library[]): readonly Requirement[] {
  const has = (name: string) => libraries.some((library) => library.name === name && library.origin === 'source');
  return [
    ...(has('openssl')
      ? [
          {
            tool: 'perl',
            version: '5.10',
            exact: false,
            reason: "OpenSSL's Configure is written in it.",
            packages: {
              apt: { names: ['perl'], releases: 'Debian 12 and later' },
              dnf: { names: ['perl-core'], releases: 'Amazon Linux 2023' },
            },
          } as const,
        ]
      : []),
    ...(has('libffi')
      ? [
          {
            tool: 'autoreconf',
            version: '2.68',
            exact: false,
            reason: "Debian's archive of libffi, the second mirror, has no configure script; upstream's has.",
            packages: {
              apt: { names: ['autoconf', 'automake', 'libtool'], releases: 'Debian 12 and later' },
              dnf: { names: ['autoconf', 'automake', 'libtool'], releases: 'Amazon Linux 2023' },
            },
          } as const,
        ]
      : []),
  ];
}

function needed(minor: Minor, withoutModules: readonly string[], origin: LibraryOrigin): readonly Known[] {
  return libraries
    .filter((library) => applies(library, minor) && (library.only ?? origin) === origin)
    .filter((library) => !library.modules.every((name) => withoutModules.includes(name)));
}

function known({
  since: _since,
  until: _until,
  flavor: _flavor,
  arch: _arch,
  only: _only,
  whyThisOne: _why,
  ...library
}: Known) {
  return library;
}
