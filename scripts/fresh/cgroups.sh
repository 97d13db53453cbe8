#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The cgroups of one fresh machine, in every hierarchy of this host.
#
#   cgroups.sh make TAG         makes them
#   cgroups.sh enter TAG PID    moves a process there
#   cgroups.sh mount TARGET     in their namespace: mounts them as this host has them, with PID 1 in its place
#   cgroups.sh remove TAG       removes them, when nothing runs there any more
set -euo pipefail

# Lines `POINT TYPE OPTIONS` of the hierarchies that are mounted here.
hierarchies() {
  awk '{ for (i = 7; i <= NF; i++) if ($i == "-") break
    if ($(i + 1) ~ /^cgroup2?$/) print $5, $(i + 1), $(i + 3) }' /proc/self/mountinfo
}

case $1 in
  make)
    hierarchies | while read -r point type _; do
      mkdir "$point/berth-fresh-$2"
      # A cpuset of version 1 takes no process before it has these.
      for file in cpuset.mems cpuset.cpus; do
        if [ "$type" = cgroup ] && [ -e "$point/$file" ]; then
          cat "$point/$file" >"$point/berth-fresh-$2/$file"
        fi
      done
    done
    ;;
  enter)
    hierarchies | while read -r point _ _; do
      echo "$3" >"$point/berth-fresh-$2/cgroup.procs"
    done
    ;;
  mount)
    list=$(hierarchies)
    # Version 2 alone is mounted there itself; version 1 is a folder of hierarchies.
    case $list in
      /sys/fs/cgroup\ cgroup2*)
        mount -t cgroup2 cgroup2 "$2"
        # Controllers cannot be handed on from a cgroup that has processes in it.
        mkdir "$2/init"
        echo $$ >"$2/init/cgroup.procs"
        echo "$PPID" >"$2/init/cgroup.procs"
        for controller in $(cat "$2/cgroup.controllers"); do
          echo "+$controller" >"$2/cgroup.subtree_control" || true
        done
        ;;
      *)
        mount -t tmpfs -o mode=755 tmpfs "$2"
        while read -r point type options; do
          mkdir -p "$2/${point##*/}"
          # Of a mount's super options, all but whether it is writable name the hierarchy.
          mount -t "$type" -o "$(sed -E 's/(^|,)(rw|ro)(,|$)/\1/; s/^$/rw/' <<<"$options")" \
            "$type" "$2/${point##*/}"
        done <<<"$list"
        ;;
    esac
    ;;
  remove)
    for ((i = 0; i < 50; i++)); do
      left=0
      while read -r point _ _; do
        [ -d "$point/berth-fresh-$2" ] || continue
        # Who is frozen does not even die of SIGKILL.
        while read -r file; do
          echo THAWED >"$file" || true
        done < <(find "$point/berth-fresh-$2" -mindepth 2 -name freezer.state 2>/dev/null)
        find "$point/berth-fresh-$2" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        if [ -d "$point/berth-fresh-$2" ]; then left=1; fi
      done < <(hierarchies)
      [ $left = 1 ] || exit 0
      sleep 0.1
    done
    echo "fresh-machine: cgroups berth-fresh-$2 could not be removed" >&2
    ;;
esac
