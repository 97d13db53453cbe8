#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What an operator does with the package on a node without npm, in turn: install, run, upgrade, remove, purge. The
# package is /srv/berth_*.deb, an image /srv/image.tar, named in $1. deb.test.ts runs it on a fresh machine.
set -eu
image=$1
deb=$(echo /srv/berth_*.deb)

fail() {
  echo "on-a-node: $*" >&2
  tail -n 20 /var/tmp/on-a-node.log /var/tmp/berthd.log >&2 || true
  exit 1
}
quietly() { "$@" >/var/tmp/on-a-node.log 2>&1 || fail "$* failed"; }
start() {
  berthd serve >>/var/tmp/berthd.log 2>&1 &
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

umask 022
export DEBIAN_FRONTEND=noninteractive
quietly apt-get update -qq
quietly apt-get install -y -qq --no-install-recommends "$deb"
for program in node npm gcc; do
  if command -v $program >/dev/null; then fail "there is a $program"; fi
done
[ ! -e /run/berthd/berthd.sock ] || fail "the installation started the daemon"
[ -x /usr/lib/berth/bin/node ] || fail "there is no Node"
quietly berthd config check
echo "== installed"

start
quietly berth image load /srv/image.tar
quietly berth run -d --pid-file /var/tmp/pid "$image" survivor sleep 100000
pid=$(cat /var/tmp/pid)
[ "$(berth run --rm "$image" speaker echo spoken)" = spoken ] || fail "a container says nothing"
echo "== runs containers"

echo '# an operator was here' >>/etc/berthd/config.toml
quietly dpkg -i "$deb"
kill -0 "$daemon" || fail "an upgrade without systemd ended the daemon"
stop
start
kill -0 "$pid" || fail "a container died with the upgrade"
berth task ls --json | grep -q survivor || fail "the new daemon does not know the container"
grep -q 'an operator was here' /etc/berthd/config.toml || fail "the configuration was replaced"
echo "== upgraded"

quietly berth task kill survivor KILL
for _ in $(seq 100); do
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.1
done
berth task rm survivor || [ $? = 137 ] || fail "the killed task ended with another status"
quietly berth container rm survivor
stop
quietly apt-get remove -y -qq berth
[ ! -e /usr/lib/berth ] || fail "the removal left $(find /usr/lib/berth | head)"
[ -d /var/lib/berthd ] || fail "the removal took the pods' data"
echo "== removed"

quietly apt-get purge -y -qq berth
for folder in /etc/berthd /var/lib/berthd /run/berthd; do
  [ ! -e $folder ] || fail "the purge left $(find $folder | head)"
done
rm -f /var/tmp/on-a-node.log /var/tmp/berthd.log /var/tmp/pid
echo "== purged"
