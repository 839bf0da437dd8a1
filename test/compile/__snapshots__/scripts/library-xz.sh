#!/bin/sh
# xz 5.8.4 for x86_64; generated from the plan, do not edit.
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
OPTIONS='--disable-shared --disable-xz --disable-xzdec --disable-lzmadec --disable-lzmainfo --disable-lzma-links --disable-scripts --disable-doc --disable-nls --disable-microlzma --disable-lzip-decoder --without-pic --prefix=/usr --libdir=/usr/lib'
LDFLAGS=-no-pie ./configure --quiet $OPTIONS
make -j"$JOBS" V=1 -C src/liblzma
make -C src/liblzma install DESTDIR="$PWD/root" > /dev/null
cp root/usr/lib/liblzma.a "$OUT/lib/"
cp -R root/usr/include/. "$OUT/include/"

step archive
# The same bytes whenever and by whomever: no dates, no owners, no debugging information.
for archive in "$OUT"/lib/*.a; do
  objcopy --strip-debug --enable-deterministic-archives "$archive"
done
cp COPYING.0BSD "$OUT/notices/xz.txt" 2>/dev/null ||
  printf '%s\n' 'xz 5.8.4: 0BSD' > "$OUT/notices/xz.txt"
