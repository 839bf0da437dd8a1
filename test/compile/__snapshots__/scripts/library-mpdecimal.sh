#!/bin/sh
# mpdecimal 4.0.1 for x86_64; generated from the plan, do not edit.
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
OPTIONS='--disable-shared --disable-cxx --disable-doc'
LDFLAGS=-no-pie ./configure --quiet $OPTIONS
make -j"$JOBS" -C libmpdec
cp libmpdec/libmpdec.a "$OUT/lib/"
cp libmpdec/mpdecimal.h "$OUT/include/"

step archive
# The same bytes whenever and by whomever: no dates, no owners, no debugging information.
for archive in "$OUT"/lib/*.a; do
  objcopy --strip-debug --enable-deterministic-archives "$archive"
done
cp COPYRIGHT.txt "$OUT/notices/mpdecimal.txt" 2>/dev/null ||
  printf '%s\n' 'mpdecimal 4.0.1: BSD-2-Clause' > "$OUT/notices/mpdecimal.txt"
