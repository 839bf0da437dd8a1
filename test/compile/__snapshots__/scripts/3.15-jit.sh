#!/bin/sh
# CPython 3.15.0 (jit, x86_64, fast); generated from the plan, do not edit.
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
cp -L "$(${CC:-cc} -print-file-name=libssl.a)" "$WORK/lib/libssl.a"   # openssl
cp -L "$(${CC:-cc} -print-file-name=libcrypto.a)" "$WORK/lib/libcrypto.a"   # openssl
cp -L "$(${CC:-cc} -print-file-name=libsqlite3.a)" "$WORK/lib/libsqlite3.a"   # sqlite
cp -L "$(${CC:-cc} -print-file-name=libffi.a)" "$WORK/lib/libffi.a"   # libffi
cp -L "$(${CC:-cc} -print-file-name=libbz2.a)" "$WORK/lib/libbz2.a"   # bzip2
cp -L "$(${CC:-cc} -print-file-name=liblzma.a)" "$WORK/lib/liblzma.a"   # xz
cp -L "$(${CC:-cc} -print-file-name=libzstd.a)" "$WORK/lib/libzstd.a"   # zstd
cp -L "$(${CC:-cc} -print-file-name=libuuid.a)" "$WORK/lib/libuuid.a"   # util-linux
cp -L "$(${CC:-cc} -print-file-name=libz.a)" "$WORK/lib/libz.a"   # zlib
# As with our own code: C needs no unwind tables, and what is not there need not be loaded.
for archive in "$WORK"/lib/*.a; do
  [ ! -e "$archive" ] || objcopy -R .eh_frame -R .rela.eh_frame "$archive"
done

step configure
cd "$WORK/build"
for python in python3 python3.15 python3.14 python3.13 python3.12 python3.11; do
  if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then export PYTHON_FOR_REGEN="$python"; break; fi
done
../src/configure -q \
  --prefix=/opt/lang \
  --disable-shared \
  --enable-experimental-jit=yes-off \
  --disable-test-modules \
  --without-ensurepip \
  --enable-loadable-sqlite-extensions \
  --with-pkg-config=no \
  --without-system-libmpdec \
  --without-remote-debug \
  --disable-safety \
  --without-frame-pointers \
  MODULE_BUILDTYPE=static \
  'OPT=-DNDEBUG -O2 -Wall' \
  ac_cv_func_strlcpy=no \
  py_cv_module__tkinter=n/a \
  py_cv_module__curses=n/a \
  py_cv_module__curses_panel=n/a \
  py_cv_module_readline=n/a \
  py_cv_module__dbm=n/a \
  py_cv_module__gdbm=n/a

step compile
# _NODIST flags reach the interpreter and its extension modules, not what users compile against it later; given
# to make and not to configure because only there they also reach the tools that freeze the first modules.
export CFLAGS_NODIST="-O2 -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-pie -fno-semantic-interposition -fstack-protector -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"
export LDFLAGS_NODIST="-L../lib -no-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--exclude-libs,libssl.a:libcrypto.a -Wl,--exclude-libs,libsqlite3.a -Wl,--exclude-libs,libffi.a -Wl,--exclude-libs,libbz2.a -Wl,--exclude-libs,liblzma.a -Wl,--exclude-libs,libzstd.a -Wl,--exclude-libs,libuuid.a -Wl,--exclude-libs,libz.a"
make -j"$JOBS"

step install
# Bytecode is compiled below in one mode; PYTHON_FOR_BUILD=: keeps "make install" from doing it three times.
make install DESTDIR=../root PYTHON_FOR_BUILD=:

step embed
mkdir -p "$OUT/embed/lib" "$OUT/embed/notices"
cp libpython3.15.a "$OUT/embed/lib/"
cp ../lib/*.a "$OUT/embed/lib/"
# What the interpreter is linked with, as make knows it; archives of the build tree become -l:NAME.
printf 'include Makefile\nprint-libs:\n\t@echo $(MODLIBS) $(LIBS) $(SYSLIBS)\n' > print-libs.mk
for word in $(make -s -f print-libs.mk print-libs); do
  case $word in
    *.a) cp "$word" "$OUT/embed/lib/" && printf '%s\n' "-l:${word##*/}" ;;
    *) printf '%s\n' "$word" ;;
  esac
done > "$OUT/embed/libs"
cp -R "../root/opt/lang/include/python3.15" "$OUT/embed/include"
# Licences of everything that ends up in the executable; CPython's own is lib/python3.Y/LICENSE.txt.
cp ../src/Doc/license.rst "$OUT/embed/notices/cpython-incorporated.rst"
cp -L /usr/share/doc/libssl-dev/copyright "$OUT/embed/notices/openssl.txt" 2>/dev/null || printf '%s\n' 'openssl: Apache-2.0' > "$OUT/embed/notices/openssl.txt"
cp -L /usr/share/doc/libsqlite3-dev/copyright "$OUT/embed/notices/sqlite.txt" 2>/dev/null || printf '%s\n' 'sqlite: blessing' > "$OUT/embed/notices/sqlite.txt"
cp -L /usr/share/doc/libffi-dev/copyright "$OUT/embed/notices/libffi.txt" 2>/dev/null || printf '%s\n' 'libffi: MIT' > "$OUT/embed/notices/libffi.txt"
cp -L /usr/share/doc/libbz2-dev/copyright "$OUT/embed/notices/bzip2.txt" 2>/dev/null || printf '%s\n' 'bzip2: bzip2-1.0.6' > "$OUT/embed/notices/bzip2.txt"
cp -L /usr/share/doc/liblzma-dev/copyright "$OUT/embed/notices/xz.txt" 2>/dev/null || printf '%s\n' 'xz: 0BSD' > "$OUT/embed/notices/xz.txt"
cp -L /usr/share/doc/libzstd-dev/copyright "$OUT/embed/notices/zstd.txt" 2>/dev/null || printf '%s\n' 'zstd: BSD-3-Clause' > "$OUT/embed/notices/zstd.txt"
cp -L /usr/share/doc/uuid-dev/copyright "$OUT/embed/notices/util-linux.txt" 2>/dev/null || printf '%s\n' 'util-linux: BSD-3-Clause' > "$OUT/embed/notices/util-linux.txt"
cp -L /usr/share/doc/zlib1g-dev/copyright "$OUT/embed/notices/zlib.txt" 2>/dev/null || printf '%s\n' 'zlib: Zlib' > "$OUT/embed/notices/zlib.txt"

step bytecode
LIB="../root/opt/lang/lib/python3.15"
# sysconfig data and pkg-config files name the scratch folder: same plan, same bytes needs one fixed name.
grep -rlIF -e "$WORK" "../root" | while read -r file; do sed -i "s|$WORK|/build|g" "$file"; done
# unchecked-hash: never reads or hashes the source at import (PEP 552). One process, because parallel
# compilation changes reference flags in the marshalled code (https://github.com/python/cpython/issues/129724).
"../root/opt/lang/bin/python3.15" -I -B -m compileall -q -f -j1 --invalidation-mode unchecked-hash \
  -s "../root" -x 'bad_coding|badsyntax|lib2to3/tests/data' "$LIB"
