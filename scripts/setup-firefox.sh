#!/usr/bin/env bash
# setup-firefox.sh: bring Debian's Firefox and PulseAudio for `make test-firefox`, where they are missing and may be installed.
# Without a sound server, Firefox's audio never starts. Anywhere else it says what is missing, and ends with 1.
set -uo pipefail
missing=()
command -v firefox-esr >/dev/null || command -v firefox >/dev/null || missing+=(firefox-esr)
command -v pulseaudio >/dev/null || missing+=(pulseaudio)
[ "${#missing[@]}" -gt 0 ] || exit 0
refuse() {
  echo "test-firefox: ${missing[*]} missing here, and $1" >&2
  exit 1
}
grep -qs '^ID=debian$' /etc/os-release || refuse "this is no Debian: install by hand"
[ "$(id -u)" = 0 ] || refuse "only root may install: apt-get install ${missing[*]}"
echo "setup: ${missing[*]} for the tests in Firefox, by apt-get"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
  apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"
} >"$log" 2>&1 || { tail -3 "$log" >&2; refuse "apt-get could not install it"; }
