#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the emulated machine does as its first process, and what it tells: a line "step NAME: STATUS" for each step, and the
# output of each between them. A step that fails does not stop the others.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
export DEBIAN_FRONTEND=noninteractive
image=localhost/quickstart/busybox:1
b=/bin/busybox
step() {
  local name=$1 from=$SECONDS status
  shift
  "$@"
  status=$?
  $b echo "step $name: $status ($((SECONDS - from)) s)"
}

[ -e /usr/bin/awk ] || $b ln -s mawk /usr/bin/awk
# Alternatives are made by a configuration that dpkg does not run here.
for name in iptables ip6tables; do
  [ -e /usr/sbin/$name ] || $b ln -s $name-nft /usr/sbin/$name
done
[ -e /etc/passwd ] || $b cp /usr/share/base-passwd/passwd.master /etc/passwd
[ -e /etc/group ] || $b cp /usr/share/base-passwd/group.master /etc/group
mount -t tmpfs -o mode=755 run /run
mkdir -p /dev/pts /dev/shm /run/lock
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
ln -sf /proc/self/fd /dev/fd
# Not to the console itself: what is no terminal gets no bars of progress.
exec > >(cat) 2>&1
mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/init
echo $$ >/sys/fs/cgroup/init/cgroup.procs
hostname arm
ip link set lo up
/sbin/ldconfig
depmod -a
for module in overlay veth bridge br_netfilter nf_tables nft_compat xt_comment xt_MASQUERADE xt_mark \
  xt_addrtype iptable_nat; do
  modprobe $module || echo "no module $module"
done

configured() { timeout 300 dpkg --configure -a >/srv/configure.log 2>&1 || { tail -n 20 /srv/configure.log; return 1; }; }
# Debian's packages are not configured in full without systemd and debconf.
installed() { timeout 600 dpkg --force-depends -i /srv/berth_*.deb; }
serving() {
  setsid berthd serve >>/srv/berthd.log 2>&1 &
  for _ in $(seq 180); do
    berth version >/dev/null 2>&1 && return 0
    sleep 1
  done
  tail -n 20 /srv/berthd.log
  return 1
}
ended() {
  local daemon
  daemon=$(pgrep -f 'berthd.js serve') || { echo "there is no daemon to end"; return 1; }
  kill "$daemon"
  for _ in $(seq 60); do
    kill -0 "$daemon" 2>/dev/null || return 0
    sleep 1
  done
  return 1
}
# A process of a package that is about to go, or has gone, has its own Node.
cp_node() { cp /usr/lib/berth/current/bin/node /srv/node; }
pod() { /srv/node /srv/guest-pod.mjs "$@"; }
up() { ids=$(pod up $image) && read -r podId container <<<"$ids"; }
says() {
  local expected=$1 said
  shift
  said=$("$@") || return
  echo "$said"
  [ "$said" = "$expected" ]
}
logged() {
  for _ in $(seq 60); do
    grep -qs ' stdout F tick' /srv/logs/*/*.log && return 0
    sleep 1
  done
  find /srv/logs
  return 1
}
goesOn() { kill -0 "$process"; }
removed() { dpkg -r berth && [ -d /var/lib/berthd ]; }
gone() { [ -n "$process" ] && pod down "$podId" && ! kill -0 "$process" 2>/dev/null; }

step configured configured
step installed installed
cp_node
step "config check" berthd config check
mkdir -p /etc/berthd/config.d /etc/cni/net.d
printf '[runtime.handlers.runc]\nsystemd_cgroup = false\n' >/etc/berthd/config.d/50.toml
cp /usr/share/doc/berth/examples/cni/10-berth.conflist /etc/cni/net.d/
step serving serving
step status berth status
step "image load" berth image load /srv/image.tar
step "berth run" says aarch64 timeout 300 berth run --rm $image once uname -m
step pod up
process=$(pgrep -f 'while :; do echo tick' | head -n 1)
step exec says aarch64 pod exec "$container" uname -m
step log logged
step "end of the daemon" ended
step "second start" serving
step "exec after a restart" says again pod exec "$container" echo again
step "end for the removal" ended
step removed removed
step "the pod after the removal" goesOn
step "installed again" installed
step "third start" serving
step "exec after an installation" says third pod exec "$container" echo third
step "pod removed" gone
step "last end" ended
grep -v '"level":"info"' /srv/berthd.log | tail -n 10
echo "the end"
sleep 2
$b poweroff -f
