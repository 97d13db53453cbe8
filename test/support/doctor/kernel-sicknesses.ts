// SPDX-License-Identifier: Apache-2.0
import { mkdir, rm, utimes } from "node:fs/promises";
import path from "node:path";
import { runningKubelet } from "./made-node.ts";
import { berthdToml, kubeletYaml, type Sickness } from "./sickness.ts";

export const ofKernel: readonly Sickness[] = [
  {
    name: "a kernel of long ago",
    check: "kernel",
    make: ({ write }) => write("/proc/sys/kernel/osrelease", "3.10.0-1160.el7\n"),
    level: "error",
    says: /kernel 3\.10\.0-1160\.el7 is too old/,
  },
  {
    name: "a kernel without overlayfs",
    check: "kernel",
    make: ({ write }) => write("/proc/modules", "br_netfilter 1 0 - Live 0x0\n"),
    level: "error",
    says: /the kernel has no overlay/,
    mends: true,
  },
  {
    name: "a kernel without br_netfilter",
    check: "kernel",
    make: async ({ root, write }) => {
      await rm(path.join(root, "proc/sys/net/bridge"), { recursive: true });
      await write("/proc/modules", "overlay 1 0 - Live 0x0\n");
    },
    level: "warning",
    says: /the kernel has no br_netfilter/,
    mends: true,
  },
  {
    name: "a node that does not forward",
    check: "sysctls",
    make: ({ write }) => write("/proc/sys/net/ipv4/ip_forward", "0\n"),
    level: "error",
    says: /net\.ipv4\.ip_forward is 0/,
    mends: true,
  },
  {
    name: "bridges past iptables",
    check: "sysctls",
    make: ({ write }) => write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0\n"),
    level: "warning",
    says: /bridge-nf-call-iptables is 0/,
    mends: true,
  },
  {
    name: "few inotify instances",
    check: "sysctls",
    make: ({ write }) => write("/proc/sys/fs/inotify/max_user_instances", "128\n"),
    level: "warning",
    says: /max_user_instances is 128/,
    mends: true,
  },
  {
    name: "mounts that cannot be detached",
    check: "sysctls",
    make: ({ write }) => write("/proc/sys/fs/may_detach_mounts", "0\n"),
    level: "error",
    says: /fs\.may_detach_mounts is 0/,
    mends: true,
  },
  {
    name: "a full table of connections",
    check: "sysctls",
    make: ({ write }) => write("/proc/sys/net/netfilter/nf_conntrack_count", "262000\n"),
    level: "error",
    says: /nf_conntrack_count is 262000 of 262144/,
    mends: true,
  },
  {
    name: "settings of the kernel that the kubelet may not set",
    check: "sysctls",
    make: ({ write }) => write(kubeletYaml, "protectKernelDefaults: true\n"),
    level: "error",
    says: /vm\.overcommit_memory is 0, and the kubelet wants 1/,
    mends: true,
  },
  {
    name: "no cgroups",
    check: "cgroups",
    make: ({ root }) => rm(path.join(root, "sys/fs/cgroup"), { recursive: true }),
    level: "error",
    says: /no cgroups are mounted/,
  },
  {
    name: "no memory controller",
    check: "cgroups",
    make: ({ write }) => write("/sys/fs/cgroup/cgroup.controllers", "cpu pids\n"),
    level: "error",
    says: /no cgroup controller memory/,
  },
  {
    name: "cgroup v1 under a kubelet that refuses it",
    check: "cgroups",
    make: async ({ root, write }) => {
      await rm(path.join(root, "sys/fs/cgroup"), { recursive: true });
      for (const name of ["cpu,cpuacct", "memory", "pids"])
        await mkdir(path.join(root, "sys/fs/cgroup", name), { recursive: true });
      await write(kubeletYaml, "cgroupDriver: cgroupfs\n");
    },
    level: "error",
    says: /the kubelet refuses cgroup v1/,
    mends: true,
  },
  {
    name: "an old kubelet with another cgroup driver",
    check: "cgroups",
    make: async ({ root, write }) => {
      await runningKubelet(write, root, 28);
      await write(kubeletYaml, "cgroupDriver: systemd\n");
    },
    level: "error",
    says: /the kubelet is set to the cgroup driver systemd, and berthd to cgroupfs/,
    mends: true,
  },
  {
    name: "a kubelet with another cgroup driver that asks",
    check: "cgroups",
    make: ({ write }) => write(kubeletYaml, "cgroupDriver: systemd\n"),
    level: "note",
    says: /cgroup driver systemd, and berthd to cgroupfs/,
    mends: true,
  },
  {
    name: "systemd's cgroups without systemd",
    check: "cgroups",
    make: async ({ root, write }) => {
      await write(berthdToml, "[runtime.handlers.runc]\nsystemd_cgroup = true\n");
      await rm(path.join(root, "run/systemd"), { recursive: true });
    },
    level: "error",
    says: /systemd does not run here/,
    mends: true,
  },
  {
    name: "a database of tomorrow",
    check: "clock",
    make: async ({ root, write }) => {
      await write("/var/lib/berthd/meta.db", "");
      const tomorrow = new Date(Date.now() + 86_400_000);
      await utimes(path.join(root, "var/lib/berthd/meta.db"), tomorrow, tomorrow);
    },
    level: "warning",
    says: /it went back/,
  },
  {
    name: "a clock that nobody keeps",
    check: "clock",
    make: ({ root }) => rm(path.join(root, "proc/70"), { recursive: true }),
    level: "note",
    says: /nothing on this node keeps the clock right/,
  },
  {
    name: "a kernel that loads no more modules",
    check: "kernel",
    make: async ({ write }) => {
      await write("/proc/modules", "br_netfilter 1 0 - Live 0x0\n");
      await write("/proc/sys/kernel/modules_disabled", "1\n");
    },
    level: "error",
    says: /the kernel has no overlay/,
    advises: /^echo overlay >\/etc\/modules-load\.d\/berth-overlay\.conf # .*modules_disabled is 1/,
  },
  {
    name: "a kernel without seccomp",
    check: "kernel",
    make: ({ root }) => rm(path.join(root, "proc/sys/kernel/seccomp"), { recursive: true }),
    level: "warning",
    says: /the kernel has no seccomp/,
    advises: /CONFIG_SECCOMP_FILTER=y/,
  },
  {
    name: "a hardened node that may have no network namespaces",
    check: "sysctls",
    make: ({ write }) => write("/proc/sys/user/max_net_namespaces", "0\n"),
    level: "error",
    says: /user\.max_net_namespaces is 0/,
    mends: true,
  },
  {
    name: "few keys for root",
    check: "sysctls",
    make: ({ write }) => write("/proc/sys/kernel/keys/root_maxkeys", "200\n"),
    level: "warning",
    says: /kernel\.keys\.root_maxkeys is 200/,
    leadsTo: /session keyring/,
    mends: true,
  },
  {
    name: "root's keys used up by containers' keyrings",
    check: "sysctls",
    make: ({ write }) => write("/proc/key-users", "    0:   300 299/299 195/200 7367/20000\n"),
    level: "error",
    says: /root has 195 of 200 keys/,
    advises: /^sysctl -w kernel\.keys\.root_maxkeys=1000000 &&/,
  },
  {
    name: "a full table of neighbours",
    check: "sysctls",
    make: ({ write }) =>
      write("/proc/net/stat/arp_cache", "entries  allocs\n000003ff 0000121e\n000003ff 0000ffff\n"),
    level: "error",
    says: /the table of neighbours has 1023 entries, and net\.ipv4\.neigh\.default\.gc_thresh3 is 1024/,
    mends: true,
  },
  {
    name: "no more open files",
    check: "sysctls",
    make: ({ write }) => write("/proc/sys/fs/file-nr", "99500\t0\t100000\n"),
    level: "error",
    says: /fs\.file-nr is 99500 of 100000/,
    mends: true,
  },
];
