// How each C library is compiled from pinned source for the release profile: data, with a reason for every choice.
// Knows compilers and the libraries' own build systems; knows nothing of recipes, downloads or machines.
//
// Sources: INSTALL.md and NOTES-*.md of OpenSSL 3.5; https://www.sqlite.org/compile.html; README and INSTALL of the others.
import { gravitonFlags, prefix } from './cpython.ts';
import { crossTarget } from './cross.ts';
import type { Arch, Cross, LibraryBuild, Reasoned } from './model.ts';

const commonFlags: readonly Reasoned[] = [
  {
    value: '-fno-asynchronous-unwind-tables -fno-unwind-tables',
    reason: 'C needs no unwind tables, and what is not there need not be loaded.',
  },
  { value: '-fno-pie', reason: 'The executable is position-dependent, so the libraries need not be otherwise.' },
  { value: '-fvisibility=hidden', reason: 'Nothing but our own executable calls them.' },
  {
    value: '-ffunction-sections -fdata-sections',
    reason: 'The linker drops what nothing refers to (--gc-sections), function by function.',
  },
  { value: '-fstack-protector -fstack-clash-protection', reason: 'Light hardening, as for the interpreter.' },
  { value: '-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2', reason: 'Light hardening, as for the interpreter.' },
];

const fast: Reasoned = { value: '-O2', reason: 'Inner loops of functions are in here.' };
const small: Reasoned = { value: '-Os', reason: 'Its time goes into assembly, input and output, not into compiled C.' };

const words = (text: string, reason: string): readonly Reasoned[] =>
  text.split(' ').map((value) => ({ value, reason }));

// -no-pie: programs that configure tries out are linked from objects without -fpie.
const autotools = ['LDFLAGS=-no-pie ./configure --quiet $OPTIONS'];

/**
 * The build of each library for one architecture, by the library's name.
 * @param cross how it is compiled for, where the builder is of another architecture; CC, AR and RANLIB are set then
 */
export function libraryBuilds(arch: Arch, cross?: Cross): Readonly<Record<string, LibraryBuild>> {
  const flags = arch === 'arm64' ? [...commonFlags, ...gravitonFlags] : commonFlags;
  const ar = cross ? `${cross.host}-ar` : 'ar';
  // Not asked of the configure scripts that autoconf did not make: OpenSSL, SQLite's and zlib's.
  const target = cross ? crossTarget(cross) : [];
  return {
    openssl: {
      cflags: [small, ...flags],
      options: [
        { value: arch === 'x86_64' ? 'linux-x86_64' : 'linux-aarch64', reason: 'The target, with its assembly.' },
        ...words(`--prefix=${prefix} --libdir=lib`, 'Fixed, so that no path of the builder gets in.'),
        {
          value: `--openssldir=${prefix}/ssl`,
          reason:
            "A folder that does not exist: the system's openssl.cnf may hold words that upstream's OpenSSL refuses (rh-allow-sha1-signatures). OPENSSL_CONF works as ever.",
        },
        ...words('no-shared no-pic no-module no-engine', 'One static library, nothing loaded at run time.'),
        ...words('no-apps no-tests no-docs', 'Programs, tests and manuals are not shipped.'),
        ...words(
          'no-legacy no-md4 no-mdc2 no-whirlpool no-rc2 no-rc4 no-rc5 no-idea no-bf no-cast no-seed no-weak-ssl-ciphers no-ssl3',
          'Broken or long outdated; not in the default provider, which is all that ssl and hashlib use.',
        ),
        ...words('no-gost no-sm2 no-sm4 no-aria no-camellia', 'Ciphers that no cipher list of Python or AWS names.'),
        ...words(
          'no-dtls no-quic no-srtp no-sctp no-srp no-ktls',
          'Protocols that the module ssl has no way to ask for.',
        ),
        ...words(
          'no-cms no-cmp no-ts no-ct no-ocsp no-rfc3779',
          'Formats that the modules ssl and hashlib have no way to ask for.',
        ),
        ...words(
          'no-ml-dsa no-slh-dsa no-dsa no-ec2m no-ocb no-siv no-siphash no-argon2 no-multiblock',
          'Algorithms that no certificate authority or cipher list of today uses. ML-KEM, the key exchange, stays.',
        ),
        ...words('no-comp no-ssl-trace', 'TLS compression is unsafe (CRIME); traces are for debugging OpenSSL.'),
      ],
      commands: [
        `# Certificates are looked for where Amazon Linux 2023 has them; only openssl.cnf is looked for in --openssldir.`,
        `sed -i 's|^\\(#define X509_CERT_[A-Z]*\\) OPENSSLDIR "|\\1 "/etc/pki/tls|' include/internal/common.h`,
        'perl ./Configure $OPTIONS',
        'make -j"$JOBS" build_libs',
        'cp libssl.a libcrypto.a "$OUT/lib/"',
        'mkdir "$OUT/include/openssl"',
        'cp include/openssl/*.h "$OUT/include/openssl/"',
      ],
      notice: 'LICENSE.txt',
    },
    sqlite: {
      cflags: [
        { value: '-Os', reason: 'A quarter of a megabyte less; its time goes into pages and system calls.' },
        ...flags,
      ],
      options: [
        ...words(
          '-DSQLITE_THREADSAFE=1',
          'Serialised: connections may be shared between threads, as in CPython elsewhere.',
        ),
        ...words(
          '-DSQLITE_ENABLE_FTS3 -DSQLITE_ENABLE_FTS3_PARENTHESIS -DSQLITE_ENABLE_FTS4 -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE',
          'Full-text search and R-trees, which the SQLite of the managed runtimes has.',
        ),
        ...words(
          '-DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_MATH_FUNCTIONS',
          'As Amazon Linux and Debian build it.',
        ),
        ...words(
          '-DHAVE_FDATASYNC -DHAVE_GMTIME_R -DHAVE_ISNAN -DHAVE_LOCALTIME_R -DHAVE_USLEEP -DHAVE_STRERROR_R -D_GNU_SOURCE',
          'What its configure would find on any Linux.',
        ),
      ],
      commands: [
        "# Upstream's archive holds the amalgamation; Debian's holds the sources that it is made of.",
        cross
          ? '[ -e sqlite3.c ] || (unset CC AR RANLIB CFLAGS; ./configure --disable-tcl --disable-readline && make sqlite3.c)'
          : '[ -e sqlite3.c ] || { ./configure --disable-tcl --disable-readline && make sqlite3.c; }',
        '$CC $CFLAGS $OPTIONS -c sqlite3.c -o sqlite3.o',
        `${ar} rcsD "$OUT/lib/libsqlite3.a" sqlite3.o`,
        'cp sqlite3.h sqlite3ext.h "$OUT/include/"',
      ],
      notice: 'LICENSE.md',
    },
    libffi: {
      cflags: [fast, ...flags],
      options: [
        ...target,
        ...words('--disable-shared --enable-static --disable-docs --with-pic=no', 'One static library.'),
        ...words(
          '--disable-multi-os-directory --prefix=/usr --libdir=/usr/lib',
          'A place for it to be collected from.',
        ),
      ],
      commands: [
        "# Debian's archive has no configure; upstream's has.",
        '[ -e configure ] || autoreconf -fi',
        ...autotools,
        'make -j"$JOBS" V=1',
        'make install DESTDIR="$PWD/root" > /dev/null',
        'cp root/usr/lib/libffi.a "$OUT/lib/"',
        'cp root/usr/include/ffi.h root/usr/include/ffitarget.h "$OUT/include/"',
      ],
      notice: 'LICENSE',
    },
    bzip2: {
      cflags: [fast, ...flags],
      options: words('-D_FILE_OFFSET_BITS=64', "As upstream's Makefile has it."),
      commands: [
        'for name in blocksort huffman crctable randtable compress decompress bzlib; do',
        '  $CC $CFLAGS $OPTIONS -c "$name.c" -o "$name.o"',
        'done',
        `${ar} rcsD "$OUT/lib/libbz2.a" *.o`,
        'cp bzlib.h "$OUT/include/"',
      ],
      notice: 'LICENSE',
    },
    xz: {
      cflags: [fast, ...flags],
      options: [
        ...target,
        ...words(
          '--disable-shared --disable-xz --disable-xzdec --disable-lzmadec --disable-lzmainfo --disable-lzma-links --disable-scripts --disable-doc --disable-nls',
          'The static library only.',
        ),
        ...words('--disable-microlzma --disable-lzip-decoder', 'The module lzma has no way to ask for them.'),
        ...words('--without-pic --prefix=/usr --libdir=/usr/lib', 'A place for it to be collected from.'),
      ],
      commands: [
        ...autotools,
        'make -j"$JOBS" V=1 -C src/liblzma',
        'make -C src/liblzma install DESTDIR="$PWD/root" > /dev/null',
        'cp root/usr/lib/liblzma.a "$OUT/lib/"',
        'cp -R root/usr/include/. "$OUT/include/"',
      ],
      notice: 'COPYING.0BSD',
    },
    zstd: {
      cflags: [{ value: '-O3', reason: "As upstream's Makefile has it." }, ...flags],
      options: [
        { value: 'ZSTD_LEGACY_SUPPORT=0', reason: 'Formats from before 2016.' },
        { value: 'ZSTD_NO_ASM=0', reason: 'Its assembly decodes faster.' },
      ],
      commands: [
        '# -mt: compression.zstd can be asked for several threads.',
        'make -j"$JOBS" V=1 -C lib libzstd.a-mt $OPTIONS',
        'cp lib/libzstd.a "$OUT/lib/"',
        'cp lib/zstd.h lib/zdict.h lib/zstd_errors.h "$OUT/include/"',
      ],
      notice: 'LICENSE',
    },
    mpdecimal: {
      cflags: [fast, ...flags],
      options: [...target, ...words('--disable-shared --disable-cxx --disable-doc', 'The static C library only.')],
      commands: [
        ...autotools,
        'make -j"$JOBS" -C libmpdec',
        'cp libmpdec/libmpdec.a "$OUT/lib/"',
        'cp libmpdec/mpdecimal.h "$OUT/include/"',
      ],
      notice: 'COPYRIGHT.txt',
    },
    'util-linux': {
      cflags: [fast, ...flags],
      options: [
        ...target,
        ...words(
          '--disable-all-programs --enable-libuuid --disable-shared --enable-static',
          'libuuid and nothing else.',
        ),
        ...words('--disable-nls --disable-asciidoc --disable-bash-completion --without-python', 'Not part of libuuid.'),
        { value: '--disable-year2038', reason: '64-bit targets have 64-bit times anyway; without it configure warns.' },
      ],
      commands: [
        ...autotools,
        'make -j"$JOBS" V=1 libuuid.la',
        'cp .libs/libuuid.a "$OUT/lib/"',
        'mkdir "$OUT/include/uuid"',
        'cp libuuid/src/uuid.h "$OUT/include/uuid/"',
      ],
      notice: 'Documentation/licenses/COPYING.BSD-3-Clause',
    },
    zlib: {
      cflags: [fast, ...flags],
      options: words('--static', 'The static library only.'),
      commands: [
        `${cross ? `CHOST=${cross.host} ` : ''}LDFLAGS=-no-pie ./configure $OPTIONS`,
        'make -j"$JOBS" libz.a',
        'cp libz.a "$OUT/lib/"',
        'cp zlib.h zconf.h "$OUT/include/"',
      ],
      notice: 'LICENSE',
    },
  };
}
