#!/bin/sh
# sqlite 3.53.4 for arm64; generated from the plan, do not edit.
set -eu
# Everything that could make two builds differ is pinned here.
export SOURCE_DATE_EPOCH=1767225600 LC_ALL=C TZ=UTC PYTHONHASHSEED=0
unset PYTHONHOME PYTHONPATH PYTHONSTARTUP CFLAGS CPPFLAGS LDFLAGS LIBS MAKEFLAGS MFLAGS
umask 022
step() { printf '::step %s\n' "$1"; }
export CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar RANLIB=aarch64-linux-gnu-ranlib

step library
mkdir -p "$WORK/src" "$OUT/lib" "$OUT/include" "$OUT/notices"
tar -xf "$SOURCE" -C "$WORK/src" --strip-components=1
cd "$WORK/src"
export CFLAGS='-Os -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-pie -fvisibility=hidden -ffunction-sections -fdata-sections -fstack-protector -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -march=armv8.2-a -mtune=neoverse-n1'
OPTIONS='-DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_FTS3 -DSQLITE_ENABLE_FTS3_PARENTHESIS -DSQLITE_ENABLE_FTS4 -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_MATH_FUNCTIONS -DHAVE_FDATASYNC -DHAVE_GMTIME_R -DHAVE_ISNAN -DHAVE_LOCALTIME_R -DHAVE_USLEEP -DHAVE_STRERROR_R -D_GNU_SOURCE'
# Upstream's archive holds the amalgamation; Debian's holds the sources that it is made of.
[ -e sqlite3.c ] || (unset CC AR RANLIB CFLAGS; ./configure --disable-tcl --disable-readline && make sqlite3.c)
$CC $CFLAGS $OPTIONS -c sqlite3.c -o sqlite3.o
aarch64-linux-gnu-ar rcsD "$OUT/lib/libsqlite3.a" sqlite3.o
cp sqlite3.h sqlite3ext.h "$OUT/include/"

step archive
# The same bytes whenever and by whomever: no dates, no owners, no debugging information.
for archive in "$OUT"/lib/*.a; do
  aarch64-linux-gnu-objcopy --strip-debug --enable-deterministic-archives "$archive"
done
cp LICENSE.md "$OUT/notices/sqlite.txt" 2>/dev/null ||
  printf '%s\n' 'sqlite 3.53.4: blessing' > "$OUT/notices/sqlite.txt"
