#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The first process in the fresh machine's namespaces: inside.sh MACHINE CHECKOUT COMMAND [ARG...]
# It mounts what a system has, makes MACHINE/root its root, and runs the command in CHECKOUT.
set -euo pipefail
machine=$1
checkout=$2
shift 2
root=$machine/root
tools=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)

hostname fresh-machine
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
"$tools/cgroups.sh" mount "$root/sys/fs/cgroup"
if [ -d "$root/sys/fs/bpf" ]; then mount -t bpf bpf "$root/sys/fs/bpf" 2>/dev/null || true; fi
mount -t devtmpfs dev "$root/dev"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t tmpfs -o mode=755 run "$root/run"
mkdir -m 1777 "$root/run/lock"
mkdir "$root/.fresh-machine"
cp "$tools/first-process.sh" "$tools/machine-things.sh" "$root/.fresh-machine"

# When the network is there.
read -r _ <"$machine/go"
cd "$root"
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old
cd /
# Unlike this host in what a program may have come to rely on: home, locale, time zone, umask, a terminal.
umask 077
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="${checkout%/*}" TERM=dumb \
  setsid /bin/bash /.fresh-machine/first-process.sh "$checkout" "$@" </dev/null
