#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the virtual machine's system from Debian's packages: OUT/disk.img, OUT/vmlinuz, OUT/initrd.img.
# It holds nothing of Berth but what its requirements name; the project comes on a disk of its own.
#
#   base-image.sh SOURCES CODENAME OUT     SOURCES: a file in the form of sources.list
set -eu
sources=$1
codename=$2
out=$3
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
root=$out/root

system=systemd,systemd-sysv,dbus,udev,kmod,procps,zstd,initramfs-tools,linux-image-cloud-amd64
needed=containerd,runc,criu,containernetworking-plugins,iproute2,iptables,apparmor,libatomic1
tools=docker-registry

# What the kernel needs to find its disks; a small initrd starts sooner.
# shellcheck disable=SC2016 # the hooks' own "$1"
mmdebstrap --mode=root --variant=minbase --quiet \
  --include="$system,$needed,$tools" \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt=force-unsafe-io \
  --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
  --essential-hook='echo MODULES=list >"$1/etc/initramfs-tools/conf.d/berth"' \
  --essential-hook='printf "virtio_pci\nvirtio_blk\next4\n" >"$1/etc/initramfs-tools/modules"' \
  "$codename" "$root" "$sources"

mkdir -p "$root/opt/berth" "$root/srv/images"
echo node >"$root/etc/hostname"
echo '127.0.0.1 localhost node' >"$root/etc/hosts"
cat >"$root/etc/fstab" <<'FSTAB'
LABEL=berth /opt/berth ext4 rw,noatime,x-systemd.device-timeout=10min 0 0
LABEL=berth-images /srv/images ext4 rw,noatime,x-systemd.device-timeout=10min 0 0
FSTAB

units=$root/etc/systemd/system
cat >"$units/berth-vm.service" <<'UNIT'
[Unit]
Description=What the tests' host wants to be done
RequiresMountsFor=/opt/berth /srv/images
After=dbus.service

[Service]
ExecStart=/bin/sh /opt/berth/test/vm/guest/start.sh
UNIT
mkdir -p "$units/multi-user.target.wants"
ln -s ../berth-vm.service "$units/multi-user.target.wants/berth-vm.service"
# Nobody logs in and nothing is kept up to date; the requirements' own services are not what is tested.
for unit in serial-getty@ttyS0 getty@tty1 containerd docker-registry e2scrub_reap systemd-pstore; do
  ln -sf /dev/null "$units/$unit.service"
done
# Profiles of programs that are not installed.
rm -f "$root"/etc/apparmor.d/lsb_release "$root"/etc/apparmor.d/nvidia_modprobe
for timer in apt-daily apt-daily-upgrade e2scrub_all fstrim dpkg-db-backup; do
  ln -sf /dev/null "$units/$timer.timer"
done

mv "$root"/boot/vmlinuz-* "$out/vmlinuz"
mv "$root"/boot/initrd.img-* "$out/initrd.img"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
mkfs.ext4 -q -F -L berth-root -O ^has_journal -m 0 -d "$root" "$out/disk.img" 4G
rm -rf "$root"
