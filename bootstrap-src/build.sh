#!/bin/sh
# Compiles and links the bootstrap. Prints nothing when it succeeds.
#
#   CC        compiler (default cc)            CFLAGS   its flags       LDFLAGS  flags for linking
#   PYTHON    an interpreter of the target's version that runs here (freezes the policy package)
#   INCLUDES  -I flags for Python.h and pyconfig.h
#   LIBS      what to link after our objects, libpython first
#   OUT       the executable to write          WORK     a folder for what lies in between (made when missing)
#
# The flags are lists of words: they are split on purpose. Nothing is left at OUT unless everything worked.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
: "${PYTHON:?}" "${INCLUDES:?}" "${LIBS:?}" "${OUT:?}" "${WORK:?}"
CC=${CC:-cc}

mkdir -p "$WORK"

# A fixed hash seed, because frozen sets are marshalled in iteration order. -S: nothing of the machine's site.
env -u PYTHONPATH -u PYTHONHOME PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 \
  "$PYTHON" -S "$here/freeze.py" "$here/make_runtime" "$WORK/frozen.c"

objects=
for source in "$here/bootstrap.c" "$here/module.c" "$here/json_encode.c" "$here/json_decode.c" "$here/yield.c" \
  "$here/memory.c" "$here/runtime_api.c" "$WORK/frozen.c"; do
  object=$WORK/$(basename "$source" .c).o
  # shellcheck disable=SC2086
  $CC ${CFLAGS:-} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -I"$here" $INCLUDES -c "$source" -o "$object"
  objects="$objects $object"
done

# shellcheck disable=SC2086
$CC ${LDFLAGS:-} -o "$OUT.tmp" $objects $LIBS
mv -f "$OUT.tmp" "$OUT"
