#!/bin/sh
# CPython 3.13.15 for the builder itself; generated from the plan, do not edit.
set -eu
# Everything that could make two builds differ is pinned here.
export SOURCE_DATE_EPOCH=1767225600 LC_ALL=C TZ=UTC PYTHONHASHSEED=0
unset PYTHONHOME PYTHONPATH PYTHONSTARTUP CFLAGS CPPFLAGS LDFLAGS LIBS MAKEFLAGS MFLAGS
umask 022
step() { printf '::step %s\n' "$1"; }

step unpack
mkdir -p "$WORK/src" "$WORK/build" "$OUT/python"
tar -xf "$SOURCE" -C "$WORK/src" --strip-components=1
ln -s "$OUT/python" "$WORK/python"

step configure
cd "$WORK/build"
../src/configure -q --prefix=/python --disable-shared --disable-test-modules --without-ensurepip OPT="-DNDEBUG -O1"

step compile
make -j"$JOBS"

step install
# Without its own bytecode, which would be three quarters of the work of installing.
make install DESTDIR=../destination PYTHON_FOR_BUILD=: > /dev/null
cp -R ../destination/python/bin ../destination/python/lib "$OUT/python/"
