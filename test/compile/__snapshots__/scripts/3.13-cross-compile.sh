#!/bin/sh
# CPython 3.13.15 (default, arm64, fast); generated from the plan, do not edit.
set -eu
# Everything that could make two builds differ is pinned here.
export SOURCE_DATE_EPOCH=1767225600 LC_ALL=C TZ=UTC PYTHONHASHSEED=0
unset PYTHONHOME PYTHONPATH PYTHONSTARTUP CFLAGS CPPFLAGS LDFLAGS LIBS MAKEFLAGS MFLAGS
umask 022
step() { printf '::step %s\n' "$1"; }
export CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar RANLIB=aarch64-linux-gnu-ranlib

step unpack
mkdir -p "$WORK/src" "$WORK/build" "$WORK/lib" "$OUT/root"
ln -s "$OUT/root" "$WORK/root"
tar -xf "$SOURCE" -C "$WORK/src" --strip-components=1

step libraries
cp "$LIBRARIES"/lib/*.a "$WORK/lib/"
cp -R "$LIBRARIES/include" "$WORK/include"
# As with our own code: C needs no unwind tables, and what is not there need not be loaded.
for archive in "$WORK"/lib/*.a; do
  [ ! -e "$archive" ] || aarch64-linux-gnu-objcopy -R .eh_frame -R .rela.eh_frame "$archive"
done

step configure
cd "$WORK/build"
# Under WORK, whose name is edited out of the result below. It is not to be changed by being used.
ln -s "$BUILD_PYTHON" "$WORK/build-python"
export PYTHONDONTWRITEBYTECODE=1
# Searched before the system, and unlike -I and -L not recorded for what users compile later.
export CPATH=../include LIBRARY_PATH=../lib
# The programs that configure tries out are linked with libraries that are not position-independent; what users
# link later is not to be told so.
LDFLAGS='-no-pie -L../lib' ../src/configure -q \
  --prefix=/opt/lang \
  --disable-shared \
  --disable-test-modules \
  --without-ensurepip \
  --enable-loadable-sqlite-extensions \
  --with-pkg-config=no \
  --with-openssl=.. \
  'LIBSQLITE3_LIBS=-lsqlite3 -lm' \
  --with-system-libmpdec \
  MODULE_BUILDTYPE=static \
  'OPT=-DNDEBUG -O2 -Wall' \
  ac_cv_func_strlcpy=no \
  py_cv_module__tkinter=n/a \
  py_cv_module__curses=n/a \
  py_cv_module__curses_panel=n/a \
  py_cv_module_readline=n/a \
  py_cv_module__dbm=n/a \
  py_cv_module__gdbm=n/a \
  --build=x86_64-linux-gnu \
  --host=aarch64-linux-gnu \
  ac_cv_file__dev_ptmx=yes \
  ac_cv_file__dev_ptc=no \
  ac_cv_buggy_getaddrinfo=no \
  ac_cv_aligned_required=no \
  ac_cv_computed_gotos=yes \
  ac_cv_pthread_is_default=yes \
  ac_cv_kpthread=no \
  ac_cv_kthread=no \
  ac_cv_pthread=no \
  ac_cv_pthread_system_supported=yes \
  ac_cv_broken_sem_getvalue=no \
  ac_cv_working_tzset=yes \
  ac_cv_wchar_t_signed=no \
  --with-build-python="$WORK/build-python/bin/python3.13"
sed -i -e 's/^\(CONFIGURE_LDFLAGS=\).*/\1/' -e "s/ 'LDFLAGS=-no-pie -L...lib'//" Makefile.pre Makefile
# With one date, or make would make the one from the other again.
touch -r Makefile Makefile.pre Modules/config.c Makefile

step compile
# _NODIST flags reach the interpreter and its extension modules, not what users compile against it later; given
# to make and not to configure because only there they also reach the tools that freeze the first modules.
export CFLAGS_NODIST="-O2 -march=armv8.2-a -mtune=neoverse-n1 -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-pie -fno-semantic-interposition -fstack-protector -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"
export LDFLAGS_NODIST="-L../lib -no-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--gc-sections -Wl,--exclude-libs,libssl.a:libcrypto.a -Wl,--exclude-libs,libsqlite3.a -Wl,--exclude-libs,libffi.a -Wl,--exclude-libs,libbz2.a -Wl,--exclude-libs,liblzma.a -Wl,--exclude-libs,libmpdec.a -Wl,--exclude-libs,libuuid.a -Wl,--exclude-libs,libz.a"
make -j"$JOBS"

step install
# Bytecode is compiled below in one mode; PYTHON_FOR_BUILD=: keeps "make install" from doing it three times.
make install DESTDIR=../root PYTHON_FOR_BUILD=:

step embed
mkdir -p "$OUT/embed/lib" "$OUT/embed/notices"
cp libpython3.13.a "$OUT/embed/lib/"
cp ../lib/*.a "$OUT/embed/lib/"
# What the interpreter is linked with, as make knows it; archives of the build tree become -l:NAME.
printf 'include Makefile\nprint-libs:\n\t@echo $(MODLIBS) $(LIBS) $(SYSLIBS)\n' > print-libs.mk
for word in $(make -s -f print-libs.mk print-libs); do
  case $word in
    *.a) cp "$word" "$OUT/embed/lib/" && printf '%s\n' "-l:${word##*/}" ;;
    *) printf '%s\n' "$word" ;;
  esac
done > "$OUT/embed/libs"
cp -R "../root/opt/lang/include/python3.13" "$OUT/embed/include"
# Licences of everything that ends up in the executable; CPython's own is lib/python3.Y/LICENSE.txt.
cp ../src/Doc/license.rst "$OUT/embed/notices/cpython-incorporated.rst"
cp "$LIBRARIES"/notices/* "$OUT/embed/notices/"

step bytecode
LIB="../root/opt/lang/lib/python3.13"
# sysconfig data and pkg-config files name the scratch folder: same plan, same bytes needs one fixed name.
grep -rlIF -e "$WORK" "../root" | while read -r file; do sed -i "s|$WORK|/build|g" "$file"; done
# They also name the cross compiler, which is just the compiler where they are going.
grep -rlIE -e "aarch64-linux-gnu-(gcc|g[+][+]|cpp|objcopy|readelf|ranlib|strip|ar|ld|nm)" "../root" | while read -r file; do
  sed -i -E 's/aarch64-linux-gnu-(gcc|g[+][+]|cpp|objcopy|readelf|ranlib|strip|ar|ld|nm)/\1/g' "$file"
done
# unchecked-hash: never reads or hashes the source at import (PEP 552). One process, because parallel
# compilation changes reference flags in the marshalled code (https://github.com/python/cpython/issues/129724).
"$WORK/build-python/bin/python3.13" -I -B -m compileall -q -f -j1 --invalidation-mode unchecked-hash \
  -s "../root" -x 'bad_coding|badsyntax|lib2to3/tests/data' "$LIB"
