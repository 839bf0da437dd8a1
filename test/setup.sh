#!/bin/sh
# Before the tests: the npm packages, and the programs that tests call as judges or build with. Installs the latter only
# where it can (apt-get, as root), and says so first; elsewhere it says what is missing and lets the tests tell. Arguments
# are more packages.
set -eu
cd "$(dirname "$0")/.."

[ -f node_modules/.package-lock.json ] || npm ci --no-audit --no-fund >&2

packages='gcc libc6-dev make xz-utils binutils libssl-dev libsqlite3-dev libffi-dev zlib1g-dev libbz2-dev liblzma-dev uuid-dev python3-dev python3-venv unzip procps strace util-linux ca-certificates podman runc uidmap docker.io debootstrap curl'
packages="$packages $*"
command -v dpkg-query >/dev/null || exit 0
missing=
for package in $packages; do
  dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "! The tests also want:$missing (apt-get install as root)" >&2
  exit 0
fi
echo "> apt-get install$missing: what the tests compile with and compare with" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
# shellcheck disable=SC2086 -- a list of words
apt-get install -y -qq --no-install-recommends $missing >&2
