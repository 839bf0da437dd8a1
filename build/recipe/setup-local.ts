// Modules/Setup.local for CPython 3.10 and 3.11, whose configure cannot link the extension modules in by itself.
// Knows the sources of each module and nothing else. The format is described at the top of Modules/Setup; a line must
// not contain "=" (makesetup would take it for a make variable), hence -DCONFIG_64 instead of -DCONFIG_64=1.
//
// Sources: Modules/Setup and Modules/Setup.stdlib.in of 3.11; Modules/Setup and setup.py of 3.10, its lists checked
// against the debug information of the extension modules of a stock 3.10 build.
import type { Minor } from './cpython.ts';
import type { Library } from './model.ts';

/** One source with the module's own name, and nothing else to say. */
const plain: Readonly<Record<string, string>> = {
  _asyncio: '_asynciomodule.c',
  _bisect: '_bisectmodule.c',
  _blake2: '_blake2/blake2module.c _blake2/blake2b_impl.c _blake2/blake2s_impl.c',
  _codecs_cn: 'cjkcodecs/_codecs_cn.c',
  _codecs_hk: 'cjkcodecs/_codecs_hk.c',
  _codecs_iso2022: 'cjkcodecs/_codecs_iso2022.c',
  _codecs_jp: 'cjkcodecs/_codecs_jp.c',
  _codecs_kr: 'cjkcodecs/_codecs_kr.c',
  _codecs_tw: 'cjkcodecs/_codecs_tw.c',
  _contextvars: '_contextvarsmodule.c',
  _csv: '_csv.c',
  _datetime: '_datetimemodule.c',
  _heapq: '_heapqmodule.c',
  _json: '_json.c',
  _lsprof: '_lsprof.c rotatingtree.c',
  _md5: 'md5module.c',
  _multibytecodec: 'cjkcodecs/multibytecodec.c',
  _opcode: '_opcode.c',
  _pickle: '_pickle.c',
  _posixsubprocess: '_posixsubprocess.c',
  _queue: '_queuemodule.c',
  _random: '_randommodule.c',
  _sha1: 'sha1module.c',
  _sha256: 'sha256module.c',
  _sha3: '_sha3/sha3module.c',
  _sha512: 'sha512module.c',
  _socket: 'socketmodule.c',
  _statistics: '_statisticsmodule.c',
  _struct: '_struct.c',
  _xxsubinterpreters: '_xxsubinterpretersmodule.c',
  _zoneinfo: '_zoneinfo.c',
  array: 'arraymodule.c',
  audioop: 'audioop.c',
  fcntl: 'fcntlmodule.c',
  grp: 'grpmodule.c',
  mmap: 'mmapmodule.c',
  resource: 'resource.c',
  select: 'selectmodule.c',
  syslog: 'syslogmodule.c',
  termios: 'termios.c',
  unicodedata: 'unicodedata.c',
};

const ctypes =
  '_ctypes/_ctypes.c _ctypes/callbacks.c _ctypes/callproc.c _ctypes/stgdict.c _ctypes/cfield.c' +
  ' -DHAVE_FFI_PREP_CIF_VAR -DHAVE_FFI_PREP_CLOSURE_LOC -DHAVE_FFI_CLOSURE_ALLOC -lffi -ldl';

const libmpdec310 = [
  ...['basearith', 'constants', 'context', 'convolute', 'crt', 'difradix2', 'fnt', 'fourstep', 'io', 'mpalloc'],
  ...['mpdecimal', 'numbertheory', 'sixstep', 'transpose'],
]
  .map((name) => `_decimal/libmpdec/${name}.c`)
  .join(' ');

const sqliteCommon =
  '_sqlite/connection.c _sqlite/cursor.c _sqlite/microprotocols.c _sqlite/module.c _sqlite/prepare_protocol.c' +
  ' _sqlite/row.c _sqlite/statement.c _sqlite/util.c';

/** 3.11: a line without flags takes those that configure found (MODULE_<NAME>_CFLAGS and _LDFLAGS in the Makefile). */
const modules311: Readonly<Record<string, string>> = {
  ...plain,
  _typing: '_typingmodule.c',
  math: 'mathmodule.c',
  cmath: 'cmathmodule.c',
  _decimal: '_decimal/_decimal.c',
  pyexpat: 'pyexpat.c',
  _elementtree: '_elementtree.c',
  _multiprocessing: '_multiprocessing/multiprocessing.c _multiprocessing/semaphore.c',
  _posixshmem: '_multiprocessing/posixshmem.c',
  binascii: 'binascii.c',
  zlib: 'zlibmodule.c',
  _bz2: '_bz2module.c',
  _lzma: '_lzmamodule.c',
  _uuid: '_uuidmodule.c',
  _sqlite3: `_sqlite/blob.c ${sqliteCommon}`,
  _ssl: '_ssl.c',
  _hashlib: '_hashopenssl.c',
  // Not handled by configure in 3.11 (its line in Setup.stdlib.in is commented out).
  _ctypes: ctypes,
};

/** 3.10: every flag has to be said. */
const modules310: Readonly<Record<string, string>> = {
  ...plain,
  math: 'mathmodule.c _math.c',
  // Needs _math.c too, but a second copy in libpython.a would be a second definition for --whole-archive.
  cmath: 'cmathmodule.c',
  // PYTHON_DECIMAL_WITH_MACHINE of setup.py: CONFIG_64 with ANSI and HAVE_UINT128_T is right for every 64-bit GCC target.
  _decimal: `_decimal/_decimal.c ${libmpdec310} -I$(srcdir)/Modules/_decimal/libmpdec -DCONFIG_64 -DANSI -DHAVE_UINT128_T`,
  pyexpat:
    'pyexpat.c expat/xmlparse.c expat/xmlrole.c expat/xmltok.c -I$(srcdir)/Modules/expat -DHAVE_EXPAT_CONFIG_H -DXML_POOR_ENTROPY -DUSE_PYEXPAT_CAPI',
  _elementtree: '_elementtree.c -I$(srcdir)/Modules/expat -DHAVE_EXPAT_CONFIG_H -DUSE_PYEXPAT_CAPI',
  _multiprocessing:
    '_multiprocessing/multiprocessing.c _multiprocessing/semaphore.c -I$(srcdir)/Modules/_multiprocessing',
  _posixshmem: '_multiprocessing/posixshmem.c -I$(srcdir)/Modules/_multiprocessing -lrt',
  binascii: 'binascii.c -DUSE_ZLIB_CRC32 -lz',
  zlib: 'zlibmodule.c -lz',
  _bz2: '_bz2module.c -lbz2',
  _lzma: '_lzmamodule.c -llzma',
  _uuid: '_uuidmodule.c -luuid',
  _sqlite3: `_sqlite/cache.c ${sqliteCommon} $(SQLITE_MODULE_CFLAGS) -lsqlite3`,
  _ssl: '_ssl.c $(OPENSSL_INCLUDES) $(OPENSSL_LDFLAGS) $(OPENSSL_LIBS)',
  _hashlib: '_hashopenssl.c $(OPENSSL_INCLUDES) $(OPENSSL_LDFLAGS) -lcrypto',
  _ctypes: ctypes,
};

// setup.py runs after makesetup and builds what is neither linked in nor disabled as a shared object.
const testModules = [
  ...['_ctypes_test', '_testbuffer', '_testcapi', '_testclinic', '_testimportmultiple', '_testinternalcapi'],
  ...['_testmultiphase', '_xxtestfuzz', 'xxlimited', 'xxlimited_35'],
];

/**
 * The lines of Modules/Setup.local.
 * @param withoutModules extension modules that are neither linked in nor built as shared objects
 * @param libraries what is linked; a module whose library is missing from the list is left out too
 */
export function setupLocal(
  minor: Minor,
  withoutModules: readonly string[],
  libraries: readonly Library[],
): readonly string[] {
  const modules = minor === '3.10' ? modules310 : modules311;
  const wanted = Object.keys(modules).filter((name) => !withoutModules.includes(name));
  const needsSqlite =
    minor === '3.10' && wanted.includes('_sqlite3') && libraries.some(({ name }) => name === 'sqlite');
  return [
    // setup.py of 3.10 passes MODULE_NAME; the variable is the only way around the "=" rule.
    ...(needsSqlite ? [`SQLITE_MODULE_CFLAGS=-DMODULE_NAME='"sqlite3"' -I$(srcdir)/Modules/_sqlite`] : []),
    '*static*',
    ...wanted.sort().map((name) => `${name} ${modules[name]}`),
    '*disabled*',
    ...[...withoutModules, ...testModules].sort(),
  ];
}
