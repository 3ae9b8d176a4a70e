#!/usr/bin/env bash
# setup.sh VENV REQUIREMENTS: make a Python 3.13 virtual environment holding what the hashed file pins, and uv.
# It says what it does while it works: on a new machine that takes a minute. A failure ends with the line that says why.
set -euo pipefail
venv=$1 requirements=$2 python=${PYTHON:-python3.13}
packages=$(grep -cE '^[A-Za-z0-9].*==' "$requirements")

say() { echo "setup: $*" >&2; }
fail() {
  say "$*"
  exit 1
}

# Each line of the installer as it comes, but for the list of all packages at its end.
steps() { sed -u -e '/^ [+~-] /d' -e 's/^/setup:   /' >&2; }

is_3_13() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; }

# What stands in the place of a Python 3.13, in words.
found_instead() {
  local version
  version=$("$python" --version 2>/dev/null) && echo "'$python' is $version" || echo "there is none on the PATH"
}

# An environment of another Python, one whose Python is gone, or one that cannot install anything is made anew.
is_usable() {
  is_3_13 "$venv/bin/python" && { [ -x "$venv/bin/uv" ] || [ -n "$uv" ] || "$venv/bin/python" -m pip --version; } >/dev/null 2>&1
}

make_venv() {
  # uv knows every Python of the machine, and gets one if it may.
  if [ -n "$uv" ]; then
    say "making $venv with Python 3.13"
    rm -rf "$venv"
    "$uv" venv --quiet --python 3.13 "$venv" 2>/dev/null && return
  fi
  is_3_13 "$python" || fail "Python 3.13 is needed, and $(found_instead). Install it (uv python install 3.13, or pyenv" \
    "install 3.13), or set PYTHON=/path/to/python3.13."
  [ -n "$uv" ] || say "making $venv with Python 3.13"
  rm -rf "$venv"
  "$python" -m venv "$venv" >/dev/null 2>&1 && return
  rm -rf "$venv"
  fail "'$python' cannot make a virtual environment in $venv: is its module venv installed (Debian: apt-get install" \
    "python3.13-venv), and is there room?"
}

uv=$(command -v uv || true)
is_usable || make_venv
if [ -z "$uv" ] && [ ! -x "$venv/bin/uv" ]; then
  say "installing uv, which installs the others"
  said=$("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement requirements/uv.txt 2>&1) || fail "uv cannot be installed: ${said##*$'\n'}"
fi
say "installing $packages packages of $requirements (about a minute on a new machine)"
"${uv:-$venv/bin/uv}" pip install --no-progress --python "$venv/bin/python" --require-hashes \
  --requirement requirements/uv.txt --requirement "$requirements" 2>&1 | steps ||
  {
    code=$?
    say "the packages are not installed, and the line above says why. The same command goes on from there."
    exit $code
  }
# Bytecode of these would cost more than all the rest, and most of their modules are never imported.
say "compiling them"
"$venv/bin/python" -W ignore -m compileall -q -j 0 -x '/site-packages/(moto|mpmath|networkx|pip|scipy|sympy)/' \
  "$venv/lib/python3.13/site-packages" >/dev/null || say "not all of them could be compiled; they are compiled when they are used"
say "$venv is ready ($("$venv/bin/python" --version))"
