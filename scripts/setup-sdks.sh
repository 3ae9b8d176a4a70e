#!/usr/bin/env bash
# setup-sdks.sh VENV: the SDKs beside boto3 that `connect-audio emulate` is tried with: aiobotocore and capo in a virtual
# environment, the JavaScript SDK beside them where npm is there. Each is pinned with hashes.
set -euo pipefail
venv=$1
scripts/setup.sh "$venv" requirements/sdk.txt
if command -v npm >/dev/null; then
  cp requirements/javascript/package.json requirements/javascript/package-lock.json "$venv"
  npm ci --prefix "$venv" --ignore-scripts --no-audit --no-fund --silent >&2 \
    || echo "setup: npm could not install the JavaScript SDK, and its test is skipped" >&2
else
  echo "setup: npm is missing, and the test of the JavaScript SDK is skipped" >&2
fi
