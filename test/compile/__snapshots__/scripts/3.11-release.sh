#!/bin/sh
# CPython 3.11.16 (default, x86_64, release); generated from the plan, do not edit.
set -eu
# Everything that could make two builds differ is pinned here.
export SOURCE_DATE_EPOCH=1767225600 LC_ALL=C TZ=UTC PYTHONHASHSEED=0
unset PYTHONHOME PYTHONPATH PYTHONSTARTUP CFLAGS CPPFLAGS LDFLAGS LIBS MAKEFLAGS MFLAGS
umask 022
step() { printf '::step %s\n' "$1"; }

step unpack
mkdir -p "$WORK/src" "$WORK/build" "$WORK/lib" "$OUT/root"
ln -s "$OUT/root" "$WORK/root"
tar -xf "$SOURCE" -C "$WORK/src" --strip-components=1

step libraries
cp "$LIBRARIES"/lib/*.a "$WORK/lib/"
cp -R "$LIBRARIES/include" "$WORK/include"
# As with our own code: C needs no unwind tables, and what is not there need not be loaded.
for archive in "$WORK"/lib/*.a; do
  [ ! -e "$archive" ] || objcopy -R .eh_frame -R .rela.eh_frame "$archive"
done

step configure
cd "$WORK/build"
# Searched before the system, and unlike -I and -L not recorded for what users compile later.
export CPATH=../include LIBRARY_PATH=../lib
# The programs that configure tries out are linked with libraries that are not position-independent; what users
# link later is not to be told so.
LDFLAGS=-no-pie ../src/configure -q \
  --prefix=/opt/lang \
  --disable-shared \
  --disable-test-modules \
  --without-ensurepip \
  --enable-loadable-sqlite-extensions \
  --with-pkg-config=no \
  --with-openssl=.. \
  'LIBSQLITE3_LIBS=-lsqlite3 -lm' \
  'OPT=-DNDEBUG -O2 -Wall' \
  ac_cv_func_strlcpy=no \
  py_cv_module__tkinter=n/a \
  py_cv_module__curses=n/a \
  py_cv_module__curses_panel=n/a \
  py_cv_module_readline=n/a \
  py_cv_module__dbm=n/a \
  py_cv_module__gdbm=n/a \
  py_cv_module_nis=n/a \
  py_cv_module_ossaudiodev=n/a \
  py_cv_module_spwd=n/a \
  py_cv_module__crypt=n/a
sed -i -e 's/^\(CONFIGURE_LDFLAGS=\).*/\1/' -e "s/ 'LDFLAGS=-no-pie'//" Makefile.pre Makefile
# With one date, or make would make the one from the other again.
touch -r Makefile Makefile.pre Modules/config.c Makefile
cat > Modules/Setup.local <<'SETUP'
*static*
_asyncio _asynciomodule.c
_bisect _bisectmodule.c
_blake2 _blake2/blake2module.c _blake2/blake2b_impl.c _blake2/blake2s_impl.c
_bz2 _bz2module.c
_codecs_cn cjkcodecs/_codecs_cn.c
_codecs_hk cjkcodecs/_codecs_hk.c
_codecs_iso2022 cjkcodecs/_codecs_iso2022.c
_codecs_jp cjkcodecs/_codecs_jp.c
_codecs_kr cjkcodecs/_codecs_kr.c
_codecs_tw cjkcodecs/_codecs_tw.c
_contextvars _contextvarsmodule.c
_csv _csv.c
_ctypes _ctypes/_ctypes.c _ctypes/callbacks.c _ctypes/callproc.c _ctypes/stgdict.c _ctypes/cfield.c -DHAVE_FFI_PREP_CIF_VAR -DHAVE_FFI_PREP_CLOSURE_LOC -DHAVE_FFI_CLOSURE_ALLOC -lffi -ldl
_datetime _datetimemodule.c
_decimal _decimal/_decimal.c
_elementtree _elementtree.c
_hashlib _hashopenssl.c
_heapq _heapqmodule.c
_json _json.c
_lsprof _lsprof.c rotatingtree.c
_lzma _lzmamodule.c
_md5 md5module.c
_multibytecodec cjkcodecs/multibytecodec.c
_multiprocessing _multiprocessing/multiprocessing.c _multiprocessing/semaphore.c
_opcode _opcode.c
_pickle _pickle.c
_posixshmem _multiprocessing/posixshmem.c
_posixsubprocess _posixsubprocess.c
_queue _queuemodule.c
_random _randommodule.c
_sha1 sha1module.c
_sha256 sha256module.c
_sha3 _sha3/sha3module.c
_sha512 sha512module.c
_socket socketmodule.c
_sqlite3 _sqlite/blob.c _sqlite/connection.c _sqlite/cursor.c _sqlite/microprotocols.c _sqlite/module.c _sqlite/prepare_protocol.c _sqlite/row.c _sqlite/statement.c _sqlite/util.c
_ssl _ssl.c
_statistics _statisticsmodule.c
_struct _struct.c
_typing _typingmodule.c
_uuid _uuidmodule.c
_xxsubinterpreters _xxsubinterpretersmodule.c
_zoneinfo _zoneinfo.c
array arraymodule.c
audioop audioop.c
binascii binascii.c
cmath cmathmodule.c
fcntl fcntlmodule.c
grp grpmodule.c
math mathmodule.c
mmap mmapmodule.c
pyexpat pyexpat.c
resource resource.c
select selectmodule.c
syslog syslogmodule.c
termios termios.c
unicodedata unicodedata.c
zlib zlibmodule.c
*disabled*
_crypt
_ctypes_test
_curses
_curses_panel
_dbm
_gdbm
_testbuffer
_testcapi
_testclinic
_testimportmultiple
_testinternalcapi
_testmultiphase
_tkinter
_xxtestfuzz
nis
ossaudiodev
readline
spwd
xxlimited
xxlimited_35
SETUP

step compile
# The counters of the training, beside the objects they belong to.
tar -xf "$PROFILE"
# _NODIST flags reach the interpreter and its extension modules, not what users compile against it later; given
# to make and not to configure because only there they also reach the tools that freeze the first modules.
export CFLAGS_NODIST="-O2 -flto -ffat-lto-objects -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-pie -fno-semantic-interposition -fstack-protector -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fprofile-use -fprofile-correction -Wno-missing-profile"
# -fno-lto: only the final link, around the bootstrap, optimises the whole.
export LDFLAGS_NODIST="-L../lib -no-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--gc-sections -Wl,--exclude-libs,libssl.a:libcrypto.a -Wl,--exclude-libs,libsqlite3.a -Wl,--exclude-libs,libffi.a -Wl,--exclude-libs,libbz2.a -Wl,--exclude-libs,liblzma.a -Wl,--exclude-libs,libuuid.a -Wl,--exclude-libs,libz.a -fno-lto"
make -j"$JOBS"

step install
# Bytecode is compiled below in one mode; PYTHON_FOR_BUILD=: keeps "make install" from doing it three times.
make install DESTDIR=../root PYTHON_FOR_BUILD=:

step embed
mkdir -p "$OUT/embed/lib" "$OUT/embed/notices"
cp libpython3.11.a "$OUT/embed/lib/"
cp ../lib/*.a "$OUT/embed/lib/"
# What the interpreter is linked with, as make knows it; archives of the build tree become -l:NAME.
printf 'include Makefile\nprint-libs:\n\t@echo $(MODLIBS) $(LIBS) $(SYSLIBS)\n' > print-libs.mk
for word in $(make -s -f print-libs.mk print-libs); do
  case $word in
    *.a) cp "$word" "$OUT/embed/lib/" && printf '%s\n' "-l:${word##*/}" ;;
    *) printf '%s\n' "$word" ;;
  esac
done > "$OUT/embed/libs"
cp -R "../root/opt/lang/include/python3.11" "$OUT/embed/include"
# Licences of everything that ends up in the executable; CPython's own is lib/python3.Y/LICENSE.txt.
cp ../src/Doc/license.rst "$OUT/embed/notices/cpython-incorporated.rst"
cp "$LIBRARIES"/notices/* "$OUT/embed/notices/"

step bytecode
LIB="../root/opt/lang/lib/python3.11"
# sysconfig data and pkg-config files name the scratch folder: same plan, same bytes needs one fixed name.
grep -rlIF -e "$WORK" "../root" | while read -r file; do sed -i "s|$WORK|/build|g" "$file"; done
# unchecked-hash: never reads or hashes the source at import (PEP 552). One process, because parallel
# compilation changes reference flags in the marshalled code (https://github.com/python/cpython/issues/129724).
"../root/opt/lang/bin/python3.11" -I -B -X no_debug_ranges -m compileall -q -f -j1 --invalidation-mode unchecked-hash \
  -s "../root" -x 'bad_coding|badsyntax|lib2to3/tests/data' "$LIB"
