# SPDX-License-Identifier: Apache-2.0
# The fresh machine's PID 1: first-process.sh CHECKOUT COMMAND [ARG...]. bash takes in orphans, as an init
# does. Runs the command, then tells what it left; the end of this process ends all the others.
rm /run/first-process.sh
cd "$1" || exit 98
shift

# One line for each thing that a command may leave. What packages and caches bring lies elsewhere.
things() {
  for folder in /proc/[0-9]*; do
    [ "$folder" != /proc/1 ] || continue
    line=$(tr '\0' ' ' 2>/dev/null <"$folder/cmdline") || continue
    [ -z "$line" ] || echo "process ${folder#/proc/}: ${line:0:200}"
  done
  while read -r _ _ _ _ point _; do echo "mount $point"; done </proc/self/mountinfo
  find /sys/fs/cgroup -mindepth 1 -type d | sed 's/^/cgroup /'
  for link in /sys/class/net/*; do echo "link ${link##*/}"; done
  find /tmp /var/tmp /dev/shm /run -mindepth 1 -maxdepth 2 | sed 's/^/file /'
  if command -v iptables-save >/dev/null; then
    iptables-save | sed -n 's/^:\(CNI-[^ ]*\).*/chain \1/p'
  fi
}

things >/root/.before
"$@"
status=$?
for _ in 1 2 3 4 5 6 7 8 9 10; do
  things >/root/.after
  # Not these: locks of package managers, and what containerd's, runc's and CNI's programs keep for good.
  left=$(grep -vxFf /root/.before /root/.after | grep -vE \
    '^(file /run/(lock|containerd|runc|netns|xtables\.lock|apt|systemd|user|utmp|mount|cni|adduser)|chain CNI-(HOSTPORT-|FORWARD|ADMIN))')
  [ -n "$left" ] || break
  sleep 1
done
if [ -n "$left" ]; then
  printf '%s\n' "$left" | sed 's/^/fresh-machine: left behind: /' >&2
  [ $status -ne 0 ] || status=99
fi
exit $status
