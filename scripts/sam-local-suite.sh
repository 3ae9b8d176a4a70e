#!/usr/bin/env bash
# sam-local-suite.sh [ENGINE]: `make sam-local` where containers can be had, and a loud word where not.
# ENGINE is a script that brings a container engine where none runs: `setup`, `env` (prints exports), `down`; it keeps
# its files in $STATE. Without STATE they go to a temporary folder and the engine is stopped at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
engine=${1:-}

skip() {
  echo "sam-local: SKIPPED, $1" >&2
  exit 0
}

if ! docker version >/dev/null 2>&1; then
  [ -n "$engine" ] || skip "no container engine runs here (docker version)"
  [ -x "$engine" ] || skip "no container engine runs here and there is no $engine to bring one"
  if [ -z "${STATE:-}" ]; then
    STATE=$(mktemp -d)
    trap '"$engine" down || true; rm -rf "$STATE"' EXIT
  fi
  export STATE
  "$engine" setup || skip "$engine setup failed, see above"
  path=$PATH
  eval "$("$engine" env)"
  PATH=$path # its Python and SAM CLI are its own business
fi
make sam-local
