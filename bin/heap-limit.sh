# SPDX-License-Identifier: Apache-2.0
# Sourced by berthd: sets berth_heap_mb, the limit of the daemon's heap in MiB. That is a third of what its
# memory cgroup, those above it and the machine allow, 64 at least and 512 at most. It starts no process.
# src/base/memory/memory-limit.ts reads the same for everything else; memory-limit.test.ts holds the two together.
berth_least_mb=1048576
while read -r berth_name berth_kb _; do
  [ "$berth_name" = MemTotal: ] && berth_least_mb=$((berth_kb / 1024)) && break
done </proc/meminfo
while IFS=: read -r _ berth_controllers berth_at; do
  case ",$berth_controllers," in
    ,,) berth_mount=/sys/fs/cgroup berth_files="memory.max memory.high" ;;
    *,memory,*) berth_mount=/sys/fs/cgroup/memory berth_files=memory.limit_in_bytes ;;
    *) continue ;;
  esac
  berth_at=${berth_at%/}
  while :; do
    for berth_file in $berth_files; do
      [ -r "$berth_mount$berth_at/$berth_file" ] || continue
      read -r berth_bytes <"$berth_mount$berth_at/$berth_file" || continue
      # "max", and what cgroup v1 has for it, close to 2^63, are no limits.
      case $berth_bytes in
        '' | *[!0-9]* | ????????????????*) continue ;;
      esac
      berth_bytes=$((berth_bytes / 1048576))
      [ "$berth_bytes" -ge "$berth_least_mb" ] || berth_least_mb=$berth_bytes
    done
    [ -n "$berth_at" ] || break
    berth_at=${berth_at%/*}
  done
done </proc/self/cgroup
berth_heap_mb=$((berth_least_mb / 3))
[ "$berth_heap_mb" -ge 64 ] || berth_heap_mb=64
[ "$berth_heap_mb" -le 512 ] || berth_heap_mb=512
