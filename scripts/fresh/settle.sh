#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# settle.sh ROOT HOME: tells the system in ROOT what this host's network needs, as its administrator would:
# where names are resolved, whom to trust, and for the user of HOME where npm's packages are.
set -euo pipefail
root=$1
home=$2

cat /etc/resolv.conf >"$root/etc/resolv.conf"
cat /etc/hosts >"$root/etc/hosts"
echo fresh-machine >"$root/etc/hostname"
grep -q '[[:space:]]fresh-machine$' "$root/etc/hosts" || echo '127.0.1.1 fresh-machine' >>"$root/etc/hosts"

# A time zone that no machine of ours has, 5:45 ahead.
ln -sfn /usr/share/zoneinfo/Asia/Kathmandu "$root/etc/localtime"
echo Asia/Kathmandu >"$root/etc/timezone"

# Authorities that this host trusts and Debian does not know.
bundle=etc/ssl/certs/ca-certificates.crt
added=0
if [ -s "/$bundle" ]; then
  added=$(awk -v out="$root/usr/local/share/ca-certificates/host-" '
    /-----BEGIN CERTIFICATE-----/ { pem = ""; inside = 1 }
    inside { pem = pem $0 "\n" }
    /-----END CERTIFICATE-----/ {
      inside = 0
      if (FNR == NR) known[pem] = 1
      else if (!(pem in known)) { n++; file = out n ".crt"; printf "%s", pem >file; close(file) }
    }
    END { print n + 0 }' "$root/$bundle" "/$bundle")
fi
if [ "$added" -gt 0 ]; then chroot "$root" update-ca-certificates >/dev/null 2>&1; fi

# npm: HOME is empty but for this.
if command -v npm >/dev/null 2>&1; then
  for key in registry proxy https-proxy noproxy strict-ssl; do
    value=$(cd / && npm config get "$key" 2>/dev/null) || continue
    case $value in '' | null | undefined) ;; *) echo "$key=$value" ;; esac
  done >"$home/.npmrc"
  if [ "$added" -gt 0 ]; then echo "cafile=/$bundle" >>"$home/.npmrc"; fi
fi
