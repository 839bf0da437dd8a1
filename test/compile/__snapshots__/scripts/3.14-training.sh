#!/bin/sh
# CPython 3.14.8 (default, x86_64, release); generated from the plan, do not edit.
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
  --with-system-libmpdec \
  --without-remote-debug \
  --disable-safety \
  MODULE_BUILDTYPE=static \
  'OPT=-DNDEBUG -O2 -Wall' \
  ac_cv_func_strlcpy=no \
  py_cv_module__tkinter=n/a \
  py_cv_module__curses=n/a \
  py_cv_module__curses_panel=n/a \
  py_cv_module_readline=n/a \
  py_cv_module__dbm=n/a \
  py_cv_module__gdbm=n/a
sed -i -e 's/^\(CONFIGURE_LDFLAGS=\).*/\1/' -e "s/ 'LDFLAGS=-no-pie'//" Makefile.pre Makefile
# With one date, or make would make the one from the other again.
touch -r Makefile Makefile.pre Modules/config.c Makefile

step instrument
# _NODIST flags reach the interpreter and its extension modules, not what users compile against it later; given
# to make and not to configure because only there they also reach the tools that freeze the first modules.
export CFLAGS_NODIST="-O2 -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-pie -fno-semantic-interposition -fstack-protector -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fprofile-generate -fprofile-update=prefer-atomic"
export LDFLAGS_NODIST="-L../lib -no-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--gc-sections -Wl,--exclude-libs,libssl.a:libcrypto.a -Wl,--exclude-libs,libsqlite3.a -Wl,--exclude-libs,libffi.a -Wl,--exclude-libs,libbz2.a -Wl,--exclude-libs,liblzma.a -Wl,--exclude-libs,libzstd.a -Wl,--exclude-libs,libmpdec.a -Wl,--exclude-libs,libuuid.a -Wl,--exclude-libs,libz.a -fprofile-generate"
# "platform" is the interpreter and what it needs to find its library in the source tree.
make -j"$JOBS" platform

step train
# What the build itself ran (freezing modules) is not what functions do.
find . -name '*.gcda' -delete
# Not -B: from the second time on modules come from .pyc files, as they do on Lambda.
./python -E -s "$TRAINING" 40
find . -name '*.gcda' | sort > counters
tar --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$OUT/profile.tar" -T counters
