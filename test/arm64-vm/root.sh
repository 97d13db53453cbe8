#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the emulated arm64 machine's system, OUT/root, and its kernel, OUT/vmlinuz. Debian's packages are unpacked and nothing
# of them runs here: the machine itself configures them.
#
#   root.sh SOURCES CODENAME OUT     SOURCES: a file in the form of sources.list
set -eu
sources=$1
codename=$2
out=$3
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
root=$out/root

apt-config dump | grep -E '^Acquire::(Check-|Retries|http|https)' >"$out/apt.conf" || true
system=dash,bash,coreutils,util-linux,mount,grep,sed,gawk,mawk,tar,gzip,zstd,kmod,procps,perl-base,base-files
system=$system,base-passwd,init-system-helpers,diffutils,findutils,hostname,login,libpam-runtime,ncurses-bin
system=$system,ncurses-base,sysvinit-utils,dpkg,libc-bin,bsdutils,debianutils,netbase,busybox-static
needed=containerd,runc,containernetworking-plugins,iproute2,iptables,libatomic1,libstdc++6
mmdebstrap --mode=root --variant=extract --quiet --architectures=arm64 --aptopt="$out/apt.conf" \
  --include="$system,$needed,linux-image-cloud-arm64" \
  "$codename" "$root" "$sources"
cp "$root"/boot/vmlinuz-* "$out/vmlinuz"
rm -rf "$root"/boot/* "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* \
  "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
cp "$here/init" "$root/init"
chmod 755 "$root/init"
mkdir -p "$root/srv" "$root/opt" "$root/home"
cp "$here/guest.sh" "$root/srv/"
