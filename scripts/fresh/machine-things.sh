#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is on the fresh machine that a command may leave, change or take away: machine-things.sh CHECKOUT
# Lines `KIND WHAT`, and behind a tab, where there is such, what tells a changed thing from the same.
set -uo pipefail
checkout=$1
export LC_ALL=C

for folder in /proc/[0-9]*; do
  [ "$folder" != /proc/1 ] || continue
  # Not this look itself, nor what bash forked for it.
  read -r parent 2>/dev/null < <(awk '/^PPid/ { print $2 }' "$folder/status" 2>/dev/null) || continue
  if [ "${folder#/proc/}" = $$ ] || [ "$parent" = $$ ]; then continue; fi
  line=$(tr '\0' ' ' 2>/dev/null <"$folder/cmdline") || continue
  [ -z "$line" ] || echo "process ${folder#/proc/}: ${line:0:200}"
done

while read -r _ _ _ _ point _; do printf 'mount %b\n' "$point"; done </proc/self/mountinfo
find /sys/fs/cgroup -mindepth 1 -type d -printf 'cgroup %p\n'

for link in /sys/class/net/*; do echo "link ${link##*/}"; done
# Settings of this network namespace, but for those of links that come and go.
grep -rHs '' /proc/sys/net/ipv4 /proc/sys/net/ipv6 --exclude-dir=neigh |
  grep -E '^/proc/sys/net/(ipv[46]/[^/]+|ipv[46]/conf/(all|default|lo|eth0)/[^/]+):' |
  grep -vE '/(flush|stable_secret|mtu|nf_conntrack|route/|tcp_fastopen_key|.*_hashed|.*mem:)' |
  sed -E 's/^([^:]*):/setting \1\t/'
# By the kernel's own lists: the command may be what installs `ip`.
awk 'FNR > 1 { print "route " $2 "/" $8 " by " $3 " on " $1 }' /proc/net/route
awk '/host LOCAL/ { print "address " last } { last = $2 }' /proc/net/fib_trie
awk '{ print "address " $1 " of " $6 }' /proc/net/if_inet6 2>/dev/null
for program in iptables ip6tables; do
  command -v "$program-save" >/dev/null || continue
  "$program-save" 2>/dev/null | awk -v of="$program" '
    /^\*/ { table = substr($1, 2) }
    /^:/ {
      if ($2 == "-") print of " " table " chain " substr($1, 2)
      else if ($2 != "ACCEPT") print of " " table " policy " substr($1, 2) " " $2
    }
    /^-A/ { print of " " table " rule " $0 }'
done

# Loop devices are the host's: those of files that are in here.
for file in /sys/block/loop*/loop/backing_file; do
  [ -e "$file" ] || continue
  read -r backing <"$file" || continue
  device=${file%/loop/backing_file}
  device=/dev/${device##*/}
  inode=$(losetup --noheadings --raw --output BACK-INO "$device" 2>/dev/null)
  if [ "$inode" = "$(stat -c %i -- "$backing" 2>/dev/null)" ] || [[ $backing == *' (deleted)' ]]; then
    echo "loop device ${device##*/} of $backing"
  fi
done
for kind in shm sem msg; do
  awk -v kind="$kind" 'FNR > 1 { print "System V " kind " " $2 }' "/proc/sysvipc/$kind" 2>/dev/null
done

# Files, of all file systems that a command can write to. Of folders only that they are there, and whose.
look='%p\t%y %m %U:%G %s %T@ %l\n'
find / /run /dev /dev/shm -xdev \
  \( -path "$checkout/node_modules" -o -path "$checkout/build" -o -path "$checkout/.git" \
  -o -path "$HOME/.npm" -o -path "$HOME/.cache/berth-tools" -o -path /.fresh-machine \
  -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/log/apt \) -prune \
  -o \( -type b -o -type c \) -prune \
  -o -type d -printf 'folder %p\t%m %U:%G\n' -o -printf "file $look" | sort -u
