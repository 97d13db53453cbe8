#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A node whose disks are full: installing and upgrading say so, a container and its daemon go on, and with space again
# dpkg finishes. Its arguments are those of on-a-node.sh; full-disk.test.ts runs it on a fresh machine.
. "${0%/*}/node-steps.sh"

# /var on a disk of its own, with all that was in it.
own_var() {
  mkdir /old-var
  mount --bind /var /old-var
  mount -t tmpfs -o "size=$(($(du -sm /var | cut -f 1) + 300))m,mode=755" berth /var
  cp -a /old-var/. /var
}
# Leaves that many KiB on /var.
fill_var() {
  room=$(df --output=avail -k /var | tail -n 1)
  fallocate -l $((room - $1))K /var/filler 2>/dev/null || dd if=/dev/zero of=/var/filler bs=4k 2>/dev/null || true
}
is_broken() { dpkg-query -W -f '${db:Status-Status}' berth | grep -qv '^installed$'; }

quietly apt-get update -qq
quietly apt-get install -y -qq --no-install-recommends containerd runc containernetworking-plugins iptables libatomic1
own_var

fill_var 0
if dpkg -i "$deb" >"$log" 2>&1; then fail "there was room on /var"; fi
grep -q 'No space left on device' "$log" || fail "dpkg does not say that /var is full"
if berthd version >/dev/null 2>&1; then fail "a package that is not installed runs"; fi
rm /var/filler
echo "== not installed with a full /var"

mkdir $home
mount -t tmpfs -o size=100m,mode=755 berth $home
if dpkg -i "$deb" >"$log" 2>&1; then fail "there was room on /usr"; fi
grep -q 'No space left on device' "$log" || fail "dpkg does not say that /usr is full"
if berthd version >/dev/null 2>&1; then fail "a package that is not installed runs"; fi
echo "== not installed with a full /usr"

# The programs have room, what Node compiles of them has none.
mount -o remount,size=1g $home
quietly dpkg --unpack "$deb"
mount -o "remount,size=$(($(df --output=used -k $home | tail -n 1) + 64))k" $home
quietly apt-get -y -f install
version=$(dpkg-query -W -f '${Version}' berth)
quietly berthd config check
mount -o remount,size=1g $home
quietly dpkg -i "$deb"
echo "== installed with space again"

start
works
quietly berth run -d --pid-file /run/pid "$image" survivor sleep 100000
pid=$(cat /run/pid)
echo "== runs containers"

# dpkg ends elsewhere with each of these: at its own notes, at the package's scripts, at what it knows of files.
for left in 0 16 64 128 512; do
  before=$(dpkg-query -W -f '${Version}' berth)
  next=$newer
  [ "$before" = "$version" ] || next=$deb
  fill_var $left
  done=
  if dpkg -i "$next" >"$log" 2>&1; then done=yes; fi
  [ -n "$done" ] || grep -q 'No space left on device' "$log" || fail "with $left KiB dpkg does not say why it ended"
  # Whichever it is, a daemon starts from it, on the full disk, and has the container.
  isVersion "$(berthd version | sed -n 's/^berthd //p')"
  rm /var/filler
  if is_broken; then
    dpkg --configure -a >"$log" 2>&1 || true
    apt-get -y -f install >>"$log" 2>&1 || true
  fi
  [ -n "$done" ] || quietly dpkg -i "$next"
  if is_broken; then fail "with space again dpkg does not finish: $(dpkg-query -W berth)"; fi
  isVersion "$(dpkg-query -W -f '${Version}' berth)"
  works
done
echo "== upgraded with a full /var"

quietly berth task kill survivor KILL
berth task rm survivor || [ $? = 137 ] || fail "the killed task ended with another status"
quietly berth container rm survivor
stop
quietly apt-get purge -y -qq berth
umount $home
rmdir $home
umount /var
umount /old-var
rmdir /old-var
rm -f "$log" $notes /run/pid
echo "== purged"
