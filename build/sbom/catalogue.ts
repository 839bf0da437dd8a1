// Facts about other people's code that no lock file and no upstream SBOM has: which name vulnerability databases know
// it by, its licence, where its version and its licence text are in CPython's source. Data; each line can be checked
// in a source tarball. Knows nothing of plans.

/** Vendor and product in the NVD's CPE dictionary. */
type CpeName = readonly [vendor: string, product: string];

export interface LibraryFacts {
  readonly cpe: CpeName;
  readonly supplier: string;
  /** Debian's source package, when it is not called as the library is here. */
  readonly sourcePackage?: string;
}

/** The C libraries that may be linked in, by the name a plan has for them. */
export const libraryFacts: Readonly<Record<string, LibraryFacts>> = {
  bzip2: { cpe: ['bzip', 'bzip2'], supplier: 'The bzip2 developers' },
  expat: { cpe: ['libexpat_project', 'libexpat'], supplier: 'Expat development team' },
  libffi: { cpe: ['libffi_project', 'libffi'], supplier: 'The libffi developers' },
  mpdecimal: { cpe: ['bytereef', 'mpdecimal'], supplier: 'bytereef.org' },
  ncurses: { cpe: ['gnu', 'ncurses'], supplier: 'GNU' },
  openssl: { cpe: ['openssl', 'openssl'], supplier: 'OpenSSL' },
  readline: { cpe: ['gnu', 'readline'], supplier: 'GNU' },
  sqlite: { cpe: ['sqlite', 'sqlite'], supplier: 'SQLite', sourcePackage: 'sqlite3' },
  'util-linux': { cpe: ['kernel', 'util-linux'], supplier: 'The util-linux developers' },
  xz: { cpe: ['tukaani', 'xz'], supplier: 'The Tukaani Project', sourcePackage: 'xz-utils' },
  zlib: { cpe: ['zlib', 'zlib'], supplier: 'Jean-loup Gailly and Mark Adler' },
  'zlib-ng': { cpe: ['zlib-ng', 'zlib-ng'], supplier: 'The zlib-ng developers' },
  zstd: { cpe: ['facebook', 'zstandard'], supplier: 'Meta Platforms', sourcePackage: 'libzstd' },
};

export const cpythonCpe: CpeName = ['python', 'python'];

export interface BundledFacts {
  readonly name: string;
  /** SPDX expression, read off the text below. Upstream's SBOM says NOASSERTION for all of them. */
  readonly licence?: string;
  readonly cpe?: CpeName;
  readonly supplier?: string;
  /** Extension modules it is compiled into; it is not in the artifact when none of them is built. Absent: always built. */
  readonly modules?: readonly string[];
  /** A configure argument that leaves it out. */
  readonly without?: string;
  /** Where the source says which version it is: the groups of the pattern, joined by dots. */
  readonly version?: { readonly file: string; readonly pattern: RegExp };
  /**
   * Its licence text: a whole file, the first comment of a file that matches, or a text that Doc/license.rst has and
   * that is in every artifact. A part that upstream does not list is there when its text is.
   */
  readonly text: { readonly file: string; readonly comment?: RegExp; readonly incorporated?: true };
}

/** Doc/license.rst of CPython, as compile/script.ts names it among the notices. */
export const incorporatedNotice = 'cpython-incorporated.rst';

/**
 * Code that CPython's source brings along. Since 3.12 upstream lists most of it (Misc/sbom.spdx.json); this adds what
 * that list leaves out (mimalloc, licences) and stands in for it before.
 */
export const bundledFacts: readonly BundledFacts[] = [
  {
    name: 'expat',
    licence: 'MIT',
    cpe: ['libexpat_project', 'libexpat'],
    supplier: 'Expat development team',
    modules: ['pyexpat'],
    version: {
      file: 'Modules/expat/expat.h',
      pattern: /XML_MAJOR_VERSION (\d+)[\s\S]*?XML_MINOR_VERSION (\d+)[\s\S]*?XML_MICRO_VERSION (\d+)/,
    },
    text: { file: 'Modules/expat/COPYING' },
  },
  {
    name: 'hacl-star', // 3.12 and later. Without a tag upstream: its version is a commit, which only the SBOM knows.
    licence: 'MIT',
    supplier: 'HACL* Developers',
    modules: ['_md5', '_sha1', '_sha2', '_sha3', '_blake2', '_hmac'],
    text: { file: 'Modules/_hacl/Hacl_Hash_SHA2.c', comment: /MIT License/ },
  },
  {
    name: 'libb2', // Up to 3.13. The sources carry no version number.
    licence: 'CC0-1.0',
    cpe: ['blake2', 'libb2'],
    supplier: 'BLAKE2 - fast secure hashing',
    modules: ['_blake2'],
    text: { file: 'Modules/_blake2/impl/blake2b-ref.c', comment: /CC0 Public Domain/ },
  },
  {
    name: 'libtomcrypt', // Up to 3.11: _md5, _sha1, _sha256 and _sha512 are built on it. Its words are no SPDX licence.
    modules: ['_md5', '_sha1', '_sha256', '_sha512'],
    text: { file: 'Modules/md5module.c', comment: /LibTomCrypt/ },
  },
  {
    name: 'macholib', // Below Lib/: in the artifact only while the tree has its files.
    licence: 'MIT OR PSF-2.0',
    supplier: 'Ronald Oussoren',
    text: { file: 'Lib/ctypes/macholib/README.ctypes' },
  },
  {
    name: 'mimalloc', // 3.13 and later. MI_MALLOC_VERSION 212 is release 2.1.2.
    licence: 'MIT',
    supplier: 'Microsoft',
    without: '--without-mimalloc',
    version: { file: 'Include/internal/mimalloc/mimalloc.h', pattern: /MI_MALLOC_VERSION (\d)(\d)(\d)\b/ },
    text: { file: 'Include/internal/mimalloc/mimalloc.h', incorporated: true },
  },
  {
    name: 'mpdecimal',
    licence: 'BSD-2-Clause',
    cpe: ['bytereef', 'mpdecimal'],
    supplier: 'bytereef.org',
    modules: ['_decimal'],
    version: { file: 'Modules/_decimal/libmpdec/mpdecimal.h', pattern: /MPD_VERSION "([\d.]+)"/ },
    text: { file: 'Modules/_decimal/libmpdec/mpdecimal.h', comment: /Redistribution and use/ },
  },
  {
    name: 'tiny_sha3', // 3.11. The version is a commit.
    licence: 'MIT',
    supplier: 'Markku-Juhani O. Saarinen',
    modules: ['_sha3'],
    version: { file: 'Modules/_sha3/README.txt', pattern: /commit ([0-9a-f]{40})/ },
    text: { file: 'Modules/_sha3/LICENSE' },
  },
  {
    name: 'xkcp', // 3.10: the eXtended Keccak Code Package.
    licence: 'CC0-1.0',
    supplier: 'The Keccak Team',
    modules: ['_sha3'],
    text: { file: 'Modules/_sha3/kcp/KeccakSponge.c', comment: /publicdomain\/zero/ },
  },
];
