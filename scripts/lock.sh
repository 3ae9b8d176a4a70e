#!/usr/bin/env bash
# lock.sh [--upgrade] [NAME...]: pin the requirements, with hashes and without the address of an index.
# NAME is layer, words, voice, javascript, cdk or a file of requirements/; without a NAME all are pinned. A pin stays while its *.in allows
# it, so a new requirement moves nothing else. --upgrade moves every pin to the newest version.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-$PWD/.venv/bin/uv}
upgrade=()
if [ "${1:-}" = --upgrade ]; then
  upgrade=(--upgrade)
  shift
fi

# FOLDER NAME [OPTION...]: FOLDER/NAME.in into FOLDER/NAME.txt
pin() {
  (cd "$1" && "$uv" pip compile "${upgrade[@]}" --quiet --generate-hashes --no-header --emit-find-links \
    --python-version 3.13 "$2.in" -o "$2.txt" "${@:3}")
}

# FOLDER: FOLDER/package.json into FOLDER/package-lock.json
javascript() {
  command -v npm >/dev/null || { echo "lock: $1: npm is missing, so its lock stays as it is" >&2; return; }
  (
    cd "$1"
    [ ${#upgrade[@]} = 0 ] || rm -f package-lock.json
    # An address in the lock would tie it to one registry; the hashes stay.
    npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund --silent
  )
}

[ $# -gt 0 ] || set -- layer words voice aws bench checkov dev docs fuzz sam sdk uv javascript cdk
for name in "$@"; do
  case $name in
  layer) pin layers/dependencies requirements ;;
  words | voice) pin "layers/$name" requirements --constraints ../dependencies/requirements.txt ;;
  javascript | cdk) javascript "requirements/$name" ;;
  *)
    [ -f "requirements/$name.in" ] || { echo "lock: there is no requirements/$name.in" >&2; exit 2; }
    pin requirements "$name"
    ;;
  esac
done
# dev.in reads the layer's list, whose folder of wheels has another path from there.
if [ -f requirements/dev.txt ]; then
  sed -i.before 's|^--find-links \.\./wheels$|--find-links ../layers/wheels|' requirements/dev.txt
  rm requirements/dev.txt.before
fi
