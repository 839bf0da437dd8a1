#!/bin/sh
# From a fresh clone to an invoked handler. Runs before anything is installed, so it is plain shell; all it does is
# get the npm packages, then hand over to `make-runtime quickstart`.
set -eu
cd "$(dirname "$0")/.."
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo '> npm ci: installing the npm packages of package-lock.json' >&2
  npm ci --no-audit --no-fund >&2
elif [ ! -f dist/cli.js ] || [ -n "$(find build -newer dist/cli.js -name '*.ts' -print -quit)" ]; then
  node build/bundle.mjs
fi
exec node dist/cli.js quickstart "$@"
