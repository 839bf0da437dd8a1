#!/bin/sh
# openssl 3.5.7 for x86_64; generated from the plan, do not edit.
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
export CFLAGS='-Os -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-pie -fvisibility=hidden -ffunction-sections -fdata-sections -fstack-protector -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2'
OPTIONS='linux-x86_64 --prefix=/opt/lang --libdir=lib --openssldir=/opt/lang/ssl no-shared no-pic no-module no-engine no-apps no-tests no-docs no-legacy no-md4 no-mdc2 no-whirlpool no-rc2 no-rc4 no-rc5 no-idea no-bf no-cast no-seed no-weak-ssl-ciphers no-ssl3 no-gost no-sm2 no-sm4 no-aria no-camellia no-dtls no-quic no-srtp no-sctp no-srp no-ktls no-cms no-cmp no-ts no-ct no-ocsp no-rfc3779 no-ml-dsa no-slh-dsa no-dsa no-ec2m no-ocb no-siv no-siphash no-argon2 no-multiblock no-comp no-ssl-trace'
# Certificates are looked for where Amazon Linux 2023 has them; only openssl.cnf is looked for in --openssldir.
sed -i 's|^\(#define X509_CERT_[A-Z]*\) OPENSSLDIR "|\1 "/etc/pki/tls|' include/internal/common.h
perl ./Configure $OPTIONS
make -j"$JOBS" build_libs
cp libssl.a libcrypto.a "$OUT/lib/"
mkdir "$OUT/include/openssl"
cp include/openssl/*.h "$OUT/include/openssl/"

step archive
# The same bytes whenever and by whomever: no dates, no owners, no debugging information.
for archive in "$OUT"/lib/*.a; do
  objcopy --strip-debug --enable-deterministic-archives "$archive"
done
cp LICENSE.txt "$OUT/notices/openssl.txt" 2>/dev/null ||
  printf '%s\n' 'openssl 3.5.7: Apache-2.0' > "$OUT/notices/openssl.txt"
