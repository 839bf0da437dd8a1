#!/bin/sh
# libffi 3.4.8 for x86_64; generated from the plan, do not edit.
set -eu
# Everything that could make two builds differ is pinned here.
export SOURCE_DATE_EPOCH=1767225600 LC_ALL=C TZ=UTC PYTHONHASHSEED=0
unset PYTHONHOME PYTHONPATH PYTHONSTARTUP CFLAGS CPPFLAGS LDFLAGS LIBS MAKEFLAGS MFLAGS
umask 022
step() { printf '::step %s\n' "$1"; }
export CC="${CC:-cc}"

step library
mkdir -p "$WORK/src" "$OUT/lib" "$OUT/include" "$OUT/notices"
tar -xf "$SOURCE" -C "$WORK/src" --strip-components=1
cd "$WORK/src"
export CFLAGS='-O2 -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-pie -fvisibility=hidden -ffunction-sections -fdata-sections -fstack-protector -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2'
OPTIONS='--disable-shared --enable-static --disable-docs --with-pic=no --disable-multi-os-directory --prefix=/usr --libdir=/usr/lib'
# Debian's archive has no configure; upstream's has.
[ -e configure ] || autoreconf -fi
LDFLAGS=-no-pie ./configure --quiet $OPTIONS
make -j"$JOBS" V=1
make install DESTDIR="$PWD/root" > /dev/null
cp root/usr/lib/libffi.a "$OUT/lib/"
cp root/usr/include/ffi.h root/usr/include/ffitarget.h "$OUT/include/"

step archive
# The same bytes whenever and by whomever: no dates, no owners, no debugging information.
for archive in "$OUT"/lib/*.a; do
  objcopy --strip-debug --enable-deterministic-archives "$archive"
done
cp LICENSE "$OUT/notices/libffi.txt" 2>/dev/null ||
  printf '%s\n' 'libffi 3.4.8: MIT' > "$OUT/notices/libffi.txt"
