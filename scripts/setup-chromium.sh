#!/usr/bin/env bash
# setup-chromium.sh: bring Debian's Chromium for the browser tests, where it is missing and may be installed.
# Anywhere else it says why, and the browser tests are skipped.
set -uo pipefail
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done
skip() {
  echo "browser tests: SKIPPED, no Chromium here and $1" >&2
  exit 0
}
grep -qs '^ID=debian$' /etc/os-release || skip "this is no Debian: install Chromium by hand"
[ "$(id -u)" = 0 ] || skip "only root may install it: apt-get install chromium"
echo "setup: Chromium for the browser tests, by apt-get"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
  apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium
} >"$log" 2>&1 || { tail -3 "$log" >&2; skip "apt-get could not install it"; }
