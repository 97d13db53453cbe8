#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# base.sh PACKAGES [RELEASE]: makes a minimal Debian of this host's release, or of that one (a codename), with PACKAGES
# (comma list) where there is none yet; prints its archive's path.
set -euo pipefail
packages=$1
# shellcheck source=/dev/null
own=$(. /etc/os-release && [ "${ID-}" = debian ] && echo "${VERSION_CODENAME-}") || {
  echo "fresh-machine: this host is not Debian, so apt has no packages of one" >&2
  exit 1
}
codename=${2:-$own}
index() {
  apt-get indextargets --format="\$(REPO_URI) \$(CODENAME) \$(COMPONENT)" \
    'Created-By: Packages' 'Origin: Debian' |
    awk -v name="$own" '$2 == name || index($2, name "-") == 1' | sort -u
}
targets=$(index)
if [ -z "$targets" ]; then
  apt-get update -qq >&2
  targets=$(index)
fi
if [ -z "$targets" ]; then
  echo "fresh-machine: apt has no sources of Debian $own" >&2
  exit 1
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Another release is where this one is.
sources=$(awk -v key="$keyring" -v own="$own" -v name="$codename" \
  '{ sub(own, name, $2); print "deb [signed-by=" key "] " $0 }' <<<"$targets")
# How to fetch from them: proxies, checks of dates.
settings=$(apt-config dump | grep -E '^Acquire::(Check-|Retries|http|https)' || true)

sum=$(cat "${BASH_SOURCE[0]}" - <<<"$packages $sources $settings" | sha256sum | cut -c1-16)
cache=${BERTH_TOOLS:-$HOME/.cache/berth-tools}/fresh
archive=$cache/$codename-$sum.tar
if [ ! -e "$archive" ]; then
  echo "fresh-machine: making a minimal Debian $codename, once" >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/making-XXXXXX")
  trap 'rm -rf -- "$work"' EXIT
  echo "$sources" >"$work/sources.list"
  echo "$settings" >"$work/apt.conf"
  # Documents are of no use there; services are not started, since there is no init.
  if ! mmdebstrap --mode=root --variant=minbase --quiet --include="$packages" \
    --aptopt="$work/apt.conf" --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' \
    "$codename" "$work/root.tar" "$work/sources.list" >"$work/log" 2>&1; then
    sed -E 's#(https?|ftp)://[^/[:space:]]+#(server)#g' "$work/log" | tail -n 40 >&2
    echo "fresh-machine: mmdebstrap failed" >&2
    exit 1
  fi
  mv "$work/root.tar" "$archive"
fi
echo "$archive"
