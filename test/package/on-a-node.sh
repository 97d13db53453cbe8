#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What an operator does with the package on a node without npm, in turn: install, run, upgrade, be cut off in the middle,
# roll back, remove, purge. The package is /srv/$2, a newer one /srv/berth_9.9.9_*.deb, an image /srv/image.tar,
# named in $1. deb.test.ts runs it on a fresh machine.
. "${0%/*}/node-steps.sh"

quietly apt-get update -qq
if dpkg -i "$deb" >"$log" 2>&1; then fail "dpkg installs it without what it depends on"; fi
grep -q 'depends on containerd' "$log" || fail "dpkg does not say what is missing"
if berthd version >/dev/null 2>&1; then fail "a package that is not installed runs"; fi
quietly dpkg --purge berth
[ ! -e $home ] || fail "a package that was never installed left $(find $home | head)"
echo "== what is missing is told"

quietly apt-get install -y -qq --no-install-recommends "$deb"
version=$(dpkg-query -W -f '${Version}' berth)
for program in node npm gcc; do
  if command -v $program >/dev/null; then fail "there is a $program"; fi
done
[ ! -e /run/berthd/berthd.sock ] || fail "the installation started the daemon"
[ -x $home/current/bin/node ] || fail "there is no Node"
quietly berthd config check
cache=$home/current/build/compile-cache
compiled() { find $cache -type f -size +0 ! -name '*.code' -exec sha256sum {} + | sort; }
[ -n "$(compiled)" ] || fail "nothing of it is compiled"
# Of the programs of a start themselves, where more is added once pods have run, and of what all commands of the client load.
[ "$(find $cache -name 'berth-*.code' | wc -l)" = 4 ] || fail "what its programs compiled is not kept"
running=$(find /proc -maxdepth 2 -name exe -lname "$home/*" 2>/dev/null)
[ -z "$running" ] || fail "something of the installation goes on: $running"
echo "== installed"

# Of a read-only /usr the daemon runs as well, and what it has compiled there is used.
compiled >/var/tmp/compiled
mount --bind $home $home
mount -o remount,bind,ro $home
start
works
stop
umount $home
start
works
sleep 2
stop
anew=$(compiled | comm -23 /var/tmp/compiled -)
[ -z "$anew" ] || fail "what the installation compiled was of no use: $anew"
rm /var/tmp/compiled
for file in $(find $cache -type f); do echo "of another Node" >"$file"; done
start
works
stop
echo "== what is compiled is used where it is right"

start
works
quietly berth run -d --pid-file /var/tmp/pid "$image" survivor sleep 100000
pid=$(cat /var/tmp/pid)
echo "== runs containers"

stop
db=$(find /var/lib/berthd -name meta.db)
cp -a "$db" /var/tmp/meta.db
# A configuration check, a start, and what they say of it.
refused() {
  for asked in "config check" serve; do
    # shellcheck disable=SC2086 # two words
    if timeout 60 berthd $asked >"$log" 2>&1; then fail "berthd $asked takes what is wrong"; fi
    grep -q "$1" "$log" || fail "berthd $asked does not say: $1"
  done
  kill -0 "$pid" || fail "a container died"
  cp -a /var/tmp/meta.db "$db"
}
# SQLite keeps the schema's version there.
printf '\0\0\0\143' | dd of="$db" bs=1 seek=60 conv=notrunc 2>/dev/null
refused 'it has schema version 99, and berthd .* knows up to'
truncate -s $(($(stat -c %s "$db") / 2)) "$db"
# A check compares lengths; a start has SQLite look.
refused 'it is cut off: it has\|the file is damaged; put back a copy of it'
rm /var/tmp/meta.db
start
berth task ls --json | grep -q survivor || fail "what was refused has changed something"
mkdir /var/tmp/other
if timeout 60 berthd serve --root /var/tmp/other/root --state /var/tmp/other/state --address /run/berthd/berthd.sock \
  >"$log" 2>&1; then fail "a second daemon takes the socket of one that runs"; fi
grep -q 'another process is listening there' "$log" || fail "it does not say that the socket is taken"
rm -r /var/tmp/other
works
echo "== faulty databases and a second daemon on the socket are refused"

echo '# an operator was here' >>/etc/berthd/config.toml
older=$(ofDaemon)
quietly apt-get install -y -qq "$newer"
[ "$(ofDaemon)" = "$older" ] || fail "the files of the daemon that runs are gone: $(ofDaemon)"
works
isVersion 9.9.9
grep -q 'an operator was here' /etc/berthd/config.toml || fail "the configuration was replaced"
[ -e "$older" ] || fail "the older version went before it was asked"
# As a pod has it for its FIFOs, for as long as it runs.
"${older%/bin/*}"/build/pause-* &
holder=$!
$home/current/bin/drop-old-versions
[ ! -e "$older" ] || fail "the older version stays though no daemon runs from it"
kill -0 $holder || fail "what a pod has of the older version has ended"
kill $holder
$home/current/bin/drop-old-versions
works
echo "== upgraded"

# dpkg ends between files.
dpkg -i "$deb" >"$log" 2>&1 &
installer=$!
while [ ! -e $home/package/bin/node.dpkg-new ] && kill -0 $installer 2>/dev/null; do :; done
kill -KILL $installer || fail "dpkg was too quick"
wait $installer || true
works
isVersion 9.9.9
quietly dpkg -i "$newer"
isVersion 9.9.9
echo "== unpacking was cut off"

# dpkg ends in postinst, when all is unpacked: systemd-tmpfiles is asked before anything changes.
printf '#!/bin/sh\nkill -KILL $PPID $(ps -o ppid= -p $PPID 2>/dev/null || cut -d " " -f 4 /proc/$PPID/stat)\n' \
  >/usr/local/sbin/systemd-tmpfiles
chmod 755 /usr/local/sbin/systemd-tmpfiles
if dpkg -i "$deb" >"$log" 2>&1; then fail "dpkg was not cut off"; fi
rm /usr/local/sbin/systemd-tmpfiles
works
isVersion 9.9.9
quietly dpkg --configure -a
isVersion "$version"
works
echo "== the installation was cut off"

stop
mv $home /var/tmp/berth
mkdir $home
mount -t tmpfs -o size=$(($(du -sm /var/tmp/berth | cut -f 1) + 20))m berth $home
cp -a /var/tmp/berth/. $home
rm -r /var/tmp/berth
start
if dpkg -i "$newer" >"$log" 2>&1; then fail "there was room"; fi
grep -q 'No space left on device' "$log" || fail "dpkg does not say that there is no room"
works
isVersion "$version"
mount -o remount,size=1g $home
quietly dpkg -i "$newer"
isVersion 9.9.9
echo "== there was no room"

quietly apt-get install -y -qq --allow-downgrades "$deb"
works
isVersion "$version"
echo "== rolled back"

quietly berth task kill survivor KILL
for _ in $(seq 100); do
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.1
done
berth task rm survivor || [ $? = 137 ] || fail "the killed task ended with another status"
quietly berth container rm survivor
older=$(ofDaemon)
quietly apt-get remove -y -qq berth
[ -e "$older" ] || fail "the removal took the files of a daemon that runs"
grep -q 'a program still runs' "$log" || fail "the removal does not say what it left"
stop
[ -d /var/lib/berthd ] || fail "the removal took the pods' data"
echo "== removed"

"${older%/bin/*}"/build/pause-* &
holder=$!
for _ in $(seq 100); do
  case $(readlink /proc/$holder/exe) in */pause-*) break ;; esac
  sleep 0.1
done
case $(readlink /proc/$holder/exe) in */pause-*) ;; *) fail "the holder does not start" ;; esac
quietly apt-get purge -y -qq berth
[ ! -e "$older" ] || fail "the purge left files that only a pod's holder of FIFOs was started from"
# A zombie, which a signal could still be sent to, has none.
readlink /proc/$holder/exe >/dev/null || fail "what a pod has of the version has ended"
kill $holder
# Its program is on what is unmounted next.
wait $holder || :
umount $home
rmdir $home
for folder in /etc/berthd /var/lib/berthd /run/berthd; do
  [ ! -e $folder ] || fail "the purge left $(find $folder | head)"
done
rm -f "$log" $notes /var/tmp/pid
echo "== purged"
