#!/usr/bin/env bash
# setup.sh VENV REQUIREMENTS: make a Python 3.13 virtual environment holding exactly what the hashed file pins.
# It says what it does while it works: on a new machine that takes a minute.
set -euo pipefail
venv=$1 requirements=$2 python=${PYTHON:-python3.13}
packages=$(grep -cE '^[A-Za-z0-9].*==' "$requirements")

say() { echo "setup: $*" >&2; }

# Each line of the installer as it comes, but for the list of all packages at its end.
steps() { sed -u -e '/^ [+~-] /d' -e 's/^/setup:   /' >&2; }

say "making $venv with Python 3.13"
if command -v uv >/dev/null && uv venv --quiet --allow-existing --python 3.13 "$venv"; then
  installer=uv
else
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || {
    echo "setup: Python 3.13 is needed, '$python' is $("$python" --version 2>&1). Install it (pyenv install 3.13), or set PYTHON=/path/to/python3.13." >&2
    exit 1
  }
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  say "installing uv, which installs the others"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
  installer=$venv/bin/uv
fi
say "installing $packages packages of $requirements (about a minute on a new machine)"
"$installer" pip install --no-progress --python "$venv/bin/python" --require-hashes --compile-bytecode --requirement "$requirements" 2>&1 | steps
say "$venv is ready ($("$venv/bin/python" --version))"
