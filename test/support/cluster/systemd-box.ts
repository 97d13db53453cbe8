// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { makeCgroupRoot } from "../kubelet/kubelet-traces.ts";
import { until } from "../until.ts";
import { type Box, openBox } from "./box.ts";

/** The machine's own, which Debian has whether it is the first process or not. */
export const systemd = "/usr/lib/systemd/systemd";

/** Why there can be no such box. */
export function lackingSystemd(): string | false {
  return existsSync(systemd) ? false : "needs systemd";
}

/**
 * A box whose first process is the machine's systemd, with an /etc of its own. Of the machine's units it has none: what a
 * service wants is there and empty, so that nothing but the test's units runs. Their output is in /var/log/units.log.
 */
export async function openSystemdBox(name: string, folder: string, cgroup: string): Promise<Box> {
  await makeCgroupRoot(cgroup);
  const namespaces = ["--ipc", "--cgroup"];
  const box = await openBox(name, folder, { firstProcess, namespaces, cgroup });
  await until(`systemd of ${name} is up`, async () =>
    (await box.must("systemctl", ["is-active", "box.target"])).startsWith("active"),
  );
  return box;
}

const emptyTargets = "sysinit basic network network-online local-fs multi-user shutdown umount";

const firstProcess = `set -e
mount --make-rshared /
mount -t proc proc /proc
umount --recursive --lazy /sys
mount -t sysfs sysfs /sys
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] && grep -q '[0-9]:name=systemd:' /proc/self/cgroup; then
  mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
  for names in $(cut -d : -f 2 /proc/self/cgroup); do
    mkdir "/sys/fs/cgroup/\${names#name=}"
    case $names in name=*) names=none,$names ;; esac
    mount -t cgroup -o "$names" cgroup "/sys/fs/cgroup/\${names#*=}"
  done
else
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock "$1/etc"
mount --bind "$1/lib" /var/lib
mount --bind "$1/log" /var/log
cp -a /etc/. "$1/etc"
cd "$1/etc"
rm -rf systemd/system kubernetes cni containerd berthd fstab machine-id default/kubelet crictl.yaml
mkdir -p systemd/system/service.d
tr -d - </proc/sys/kernel/random/uuid >machine-id
mount --bind . /etc
printf '[Service]\\nStandardOutput=append:/var/log/units.log\\nStandardError=inherit\\n' >systemd/system/service.d/log.conf
mount -t tmpfs tmpfs /usr/lib/systemd/system-generators
mount -t tmpfs tmpfs /usr/lib/systemd/system
cd /usr/lib/systemd/system
for one in ${emptyTargets}; do printf '[Unit]\\nDescription=%s\\n' "$one" >"$one.target"; done
printf '[Unit]\\nDescription=box\\nWants=multi-user.target\\nAllowIsolate=yes\\n' >box.target
cd /
hostname "$0"
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi
touch /run/box-is-up
export container=berth-test
exec ${systemd} --system --unit=box.target --log-target=console --show-status=no
`;
