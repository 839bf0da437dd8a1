// The C libraries that the standard library needs and CPython does not bring along, linked statically.
// Each is the build machine's own archive for now; sources pinned by us take their place in the release profile.
// Knows nothing of recipes.
import { type Applies, applies, type Minor } from './cpython.ts';
import type { Library } from './model.ts';

// Link order: a library stands before what it needs itself (libssl before libcrypto).
const libraries: readonly (Library & Applies)[] = [
  {
    name: 'openssl',
    origin: 'system',
    archives: ['libssl.a', 'libcrypto.a'],
    header: 'openssl/ssl.h',
    modules: ['_ssl', '_hashlib'],
    packages: { apt: 'libssl-dev', dnf: 'openssl-devel' },
    licence: 'Apache-2.0',
    reason: "TLS and hashes. The image's own copy may differ from the build's headers, so it is never used.",
  },
  {
    name: 'sqlite',
    origin: 'system',
    archives: ['libsqlite3.a'],
    header: 'sqlite3.h',
    modules: ['_sqlite3'],
    packages: { apt: 'libsqlite3-dev', dnf: 'sqlite-devel' },
    licence: 'blessing',
    reason: 'For the module sqlite3.',
  },
  {
    name: 'libffi',
    origin: 'system',
    archives: ['libffi.a'],
    header: 'ffi.h',
    modules: ['_ctypes'],
    packages: { apt: 'libffi-dev', dnf: 'libffi-devel' },
    licence: 'MIT',
    reason: 'For the module ctypes.',
  },
  {
    name: 'bzip2',
    origin: 'system',
    archives: ['libbz2.a'],
    header: 'bzlib.h',
    modules: ['_bz2'],
    packages: { apt: 'libbz2-dev', dnf: 'bzip2-static' },
    licence: 'bzip2-1.0.6',
    reason: 'For the module bz2.',
  },
  {
    name: 'xz',
    origin: 'system',
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
    origin: 'system',
    archives: ['libzstd.a'],
    header: 'zstd.h',
    modules: ['_zstd'],
    packages: { apt: 'libzstd-dev', dnf: 'libzstd-static' },
    licence: 'BSD-3-Clause',
    reason: 'For compression.zstd, new in 3.14 (PEP 784).',
  },
  {
    name: 'util-linux',
    origin: 'system',
    archives: ['libuuid.a'],
    header: 'uuid/uuid.h',
    modules: ['_uuid'],
    packages: { apt: 'uuid-dev', dnf: 'libuuid-devel' },
    licence: 'BSD-3-Clause',
    reason: 'For a uuid.uuid1() that is safe across processes.',
  },
  {
    name: 'zlib',
    origin: 'system',
    archives: ['libz.a'],
    header: 'zlib.h',
    modules: ['zlib', 'binascii'],
    packages: { apt: 'zlib1g-dev', dnf: 'zlib-static' },
    licence: 'Zlib',
    reason: 'For zlib, gzip, zipfile and a faster binascii.crc32.',
  },
];

/** The libraries one version needs, in link order, without those whose every module is left out. */
export function librariesFor(minor: Minor, withoutModules: readonly string[]): readonly Library[] {
  return libraries
    .filter((library) => applies(library, minor))
    .filter((library) => !library.modules.every((name) => withoutModules.includes(name)))
    .map(({ since: _since, until: _until, flavor: _flavor, arch: _arch, ...library }) => library);
}
