# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What scripts for a node without npm have in common. They are given the image in /srv/image.tar, by name, and the package in
# /srv; a newer one is /srv/berth_9.9.9_*.deb.
set -eu
image=$1
deb=/srv/$2
newer=$(echo /srv/berth_9.9.9_*.deb)
home=/usr/lib/berth
# Not in /var, which may be full.
log=/run/${0##*/}.log
notes=/run/berthd.log

fail() {
  echo "${0##*/}: $*" >&2
  tail -n 20 "$log" $notes >&2 || true
  exit 1
}
quietly() { "$@" >"$log" 2>&1 || fail "$* failed"; }
start() {
  berthd serve >>$notes 2>&1 &
  daemon=$!
  for _ in $(seq 600); do
    if berth version >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "berthd does not serve"
}
stop() {
  kill "$daemon"
  wait "$daemon" || fail "berthd ended with $?"
}
# That `berth` and a daemon that is started now are of this version, and that the container of before goes on.
isVersion() {
  [ "$(berthd version | head -n 1)" = "berthd $1" ] || fail "berthd is not $1 but $(berthd version)"
  kill -0 "$daemon" || fail "the daemon has ended"
  stop
  start
  kill -0 "$pid" || fail "a container died"
  berth task ls --json | grep -q survivor || fail "the daemon that started does not know the container"
}
# What a daemon starts late, and its client, by the files of its version.
works() {
  berth image load /srv/image.tar >"$log" 2>&1 || fail "an image cannot be loaded"
  [ "$(berth run --rm "$image" speaker echo spoken)" = spoken ] || fail "a container says nothing"
}
ofDaemon() { readlink "/proc/$daemon/exe"; }

umask 022
export DEBIAN_FRONTEND=noninteractive
