# SPDX-License-Identifier: Apache-2.0
# The fresh machine's PID 1: first-process.sh CHECKOUT COMMAND [ARG...]. bash takes in orphans, as an init
# does. Runs the command, then tells what it left; the end of this process ends all the others.
here=/.fresh-machine
cd "$1" || exit 98
checkout=$1
shift

# What packages' own scripts make, which no list of a package's files names, and what others' programs keep for
# good: empty folders for state (ctr's fifo, a shim's one for each namespace of containerd's, of which tests use
# three, runc's, crun's), CNI's chains for all ports, and the forwarding that its bridge plugin turns on.
expected=$(tr -d '\n' <<'end'
^(file|folder) /(
etc/(ld\.so\.cache|(passwd|group|shadow|gshadow)-?|subuid|subgid|shells|mailcap|networks|inputrc|python3(/debian_config)?)$|
etc/apparmor\.d/(local|tunables/[a-z-]+\.d)/|
usr/(lib/python3[^/]*/.*__pycache__|share/python3/(.*/)?__pycache__(/|$)|share/(info|mime|applications|icons)/|local/lib/python3\.[0-9]+(/dist-packages)?$)|usr/lib/cpp$|
var/lib/(systemd|ucf|update-rc\.d|pam|python)(/|$)|var/lib/etcd$|
var/log/(dpkg|alternatives|bootstrap)\.log$|
var/lib/containers(/cache(/blob-info-cache-v1\.boltdb)?)?$|home/new user/\.cache(/biome)?$|
etc/lighttpd/conf-enabled$|
run/(adduser|xtables\.lock|containerd|containerd/s|containerd/fifo|containerd/runc(/(k8s\.io|default|crowd))?|runc|crun|netns|lock|lock/[a-z]+)$
)|
^ip6?tables [a-z]+ (chain|rule -A [A-Z]+ .*-j|rule -A) CNI-(HOSTPORT-(DNAT|MASQ|SETMARK)|FORWARD|ADMIN)( -m (comment|mark) .*-j (MARK|MASQUERADE|ACCEPT|RETURN) ?.*)?$|
^ip6?tables [a-z]+ rule -A [A-Z]+ .*-j CNI-(HOSTPORT-(DNAT|MASQ|SETMARK)|FORWARD|ADMIN)|
^setting /proc/sys/net/ipv4/ip_forward|
^setting /proc/sys/net/ipv6/conf/[^/]+/forwarding
end
)
# Links that they make: for services and alternatives.
enabled='^(file|folder) /(etc/(alternatives|rc.\.d|systemd|ssl/certs|ca-certificates|lighttpd|X11)|usr/(s?bin|share|lib))/'

things() { /bin/bash "$here/machine-things.sh" "$checkout"; }

# Of two looks: `left behind: KIND WHAT`, `changed: KIND WHAT`, `gone: KIND WHAT`.
differences() {
  # A package's files, by the paths that they have where /bin and /lib are links.
  cat /var/lib/dpkg/info/*.list 2>/dev/null |
    sed -E 's#^/(s?bin|lib(32|64|x32)?)(/|$)#/usr/\1\3#' >"$here/owned"
  awk -F '\t' -v enabled="$enabled" -v owned="$here/owned" -v before="$here/before" '
    FILENAME == owned { is_owned[$0] = 1; next }
    FILENAME == before { was[$1] = $2; next }
    { is[$1] = $2 }
    $1 ~ enabled && ($2 ~ /^l / || $1 ~ /^folder .*\.(wants|d|conf-enabled)$/) { next }
    !($1 in was) {
      path = $1
      if (!sub(/^(file|folder) /, "", path) || !(path in is_owned)) print "left behind: " $1
      next
    }
    was[$1] != $2 {
      path = $1
      sub(/^(file|folder) /, "", path)
      # Installing renews what it owns; what lies in /etc is the administrator'"'"'s.
      print ((path in is_owned) && $1 !~ /^(file|folder) \/etc(\/|$)/ ? "renewed" : "changed") ": " $1
    }
    END { for (each in was) if (!(each in is) && each !~ /^process /) print "gone: " each }
  ' "$here/owned" "$here/before" "$here/after" |
    awk -v expected="$expected" '{ line = $0; sub(/^[a-z ]+: /, "", line); if (line !~ expected) print }' | sort -u >"$here/differences"
  # Of renewed files, those that are not as their package has them.
  if grep -q '^renewed: file' "$here/differences"; then
    dpkg --verify 2>/dev/null | sed -E 's/^[^\/]*//; s#^/(s?bin|lib(32|64|x32)?)/#/usr/\1/#; s/^/renewed: file /' |
      grep -xFf - "$here/differences" | sed 's/^renewed/changed/'
  fi
  grep -v '^renewed: ' "$here/differences"
}

things >"$here/before"
"$@"
status=$?
for _ in 1 2 3 4 5 6 7 8 9 10; do
  things >"$here/after"
  left=$(differences)
  [ -n "$left" ] || break
  sleep 1
done
if [ -n "$left" ]; then
  printf '%s\n' "$left" | sed 's/^/fresh-machine: /' >&2
  [ $status -ne 0 ] || status=99
  # Loop devices and /dev are the host's, and would outlive this machine.
  sed -n 's/^left behind: loop device \([^ ]*\) .*/\1/p' <<<"$left" |
    while read -r device; do losetup --detach "/dev/$device"; done
  sed -n 's#^left behind: file \(/dev/.*\)#\1#p' <<<"$left" | tr '\n' '\0' | xargs -0r rm -f --
fi
exit $status
