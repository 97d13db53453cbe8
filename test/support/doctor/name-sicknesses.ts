// SPDX-License-Identifier: Apache-2.0
import { rm, stat, symlink } from "node:fs/promises";
import path from "node:path";
import { must } from "../run.ts";
import { runningKubelet, runningProcess } from "./made-node.ts";
import { kubeletConf, kubeletYaml, type Sickness } from "./sickness.ts";

const conflist = "/etc/cni/net.d/10-pods.conflist";
const resolv = "/etc/resolv.conf";

function kubeletWith(text: string): string {
  return `kind: KubeletConfiguration\ncontainerRuntimeEndpoint: unix:///run/berthd/berthd.sock\nfailCgroupV1: false\n${text}`;
}

/** A network of pods with these addresses. */
function network(...subnets: readonly string[]): string {
  const ipam = { type: "host-local", ranges: subnets.map((subnet) => [{ subnet }]) };
  const plugins = [{ type: "bridge", bridge: "pods0", ipMasq: true, ipam }];
  return JSON.stringify({ cniVersion: "1.0.0", name: "pods", plugins });
}

export const ofNames: readonly Sickness[] = [
  {
    name: "a node without a name server",
    check: "names",
    make: ({ write }) => write(resolv, "search example.org\n"),
    level: "warning",
    says: /\/etc\/resolv\.conf names no server/,
    mends: true,
  },
  {
    name: "a node whose resolv.conf leads to nothing",
    check: "names",
    make: async ({ root, write }) => {
      await rm(path.join(root, resolv));
      await symlink("/run/gone", path.join(root, resolv));
      await write("/run/systemd/resolve/stub-resolv.conf", "nameserver 192.0.2.53\n");
    },
    level: "warning",
    says: /there is no \/etc\/resolv\.conf: the node has no name server/,
    advises: /^ln -sf \/run\/systemd\/resolve\/stub-resolv\.conf \/etc\/resolv\.conf$/,
  },
  {
    name: "pods that are given the loopback for a name server",
    check: "names",
    make: async ({ write }) => {
      await write(resolv, "nameserver 127.0.0.53\n");
      await write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.53\n");
    },
    level: "warning",
    says: /the kubelet gives pods the name server 127\.0\.0\.53 of \/etc\/resolv\.conf/,
    mends: true,
  },
  {
    name: "a file of name servers for pods that is not there",
    check: "names",
    make: ({ write }) => write(kubeletYaml, kubeletWith("resolvConf: /run/gone.conf\n")),
    level: "error",
    says: /the kubelet's resolvConf, \/run\/gone\.conf, is not there/,
    mends: true,
  },
  {
    name: "a node by a name that Kubernetes does not take",
    check: "names",
    make: ({ write }) => write("/proc/sys/kernel/hostname", "My_Node\n"),
    level: "error",
    says: /my_node is no name for a node/,
    mends: true,
  },
  {
    name: "a node that is called so by a flag",
    check: "names",
    make: async ({ root, write }) => {
      await write("/var/lib/kubelet/kubeadm-flags.env", 'X="--hostname-override=a_b"\n');
      await runningKubelet(write, root, 37, "--hostname-override=a_b");
    },
    level: "error",
    says: /a_b is no name for a node/,
    advises: /sed -i -E 's#\(--hostname-override\[= \]\).*a-b#' .*kubelet$/,
  },
  {
    name: "a node by the name that all have at first",
    check: "names",
    make: ({ write }) => write("/proc/sys/kernel/hostname", "localhost\n"),
    level: "warning",
    says: /the node is called localhost/,
  },
  {
    name: "a node without a machine-id",
    check: "names",
    make: ({ write }) => write("/etc/machine-id", ""),
    level: "warning",
    says: /the node has no machine-id/,
    mends: true,
  },
  {
    name: "a kubelet without its cluster's authority",
    check: "kubelet",
    make: async ({ write }) => {
      const x509 = "authentication:\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\n";
      await write(kubeletYaml, kubeletWith(x509));
      const data = Buffer.from("an authority").toString("base64");
      const cluster = `    certificate-authority-data: ${data}\n    server: https://127.0.0.1:1\n`;
      await write(kubeletConf, `clusters:\n- cluster:\n${cluster}  name: here\n`);
    },
    level: "error",
    says: /the kubelet's clientCAFile, \/etc\/kubernetes\/pki\/ca\.crt, is not there/,
    mends: true,
  },
  {
    name: "a kubelet without its certificate",
    check: "kubelet",
    make: ({ write }) => write(kubeletYaml, kubeletWith("tlsCertFile: /etc/gone.crt\n")),
    level: "error",
    says: /the kubelet's tlsCertFile, \/etc\/gone\.crt, is not there/,
    mends: true,
  },
  {
    name: "a kubelet whose flag sets another cgroup driver",
    check: "cgroups",
    make: async ({ root, write }) => {
      await rm(path.join(root, "run/systemd/system"), { recursive: true });
      await write("/var/lib/kubelet/kubeadm-flags.env", 'X="--cgroup-driver=systemd"\n');
      await runningKubelet(write, root, 30, "--cgroup-driver=systemd");
    },
    level: "error",
    says: /the kubelet is set to the cgroup driver systemd, and berthd to cgroupfs/,
    advises: /sed -i -E 's#\(--cgroup-driver\[= \]\).*cgroupfs#' .*kubelet$/,
  },
  {
    name: "a node with next to no threads left",
    check: "sysctls",
    make: ({ write }) => write("/proc/sys/kernel/threads-max", "300\n"),
    level: "error",
    says: /the node has 299 threads, and kernel\.threads-max is 300/,
    mends: true,
  },
  {
    name: "a kernel whose modules were replaced by another one's",
    check: "kernel",
    make: async ({ write }) => {
      await write("/proc/modules", "br_netfilter 1 0 - Live 0x0\n");
      await write("/lib/modules/6.12.2/modules.builtin", "");
    },
    level: "error",
    says: /the kernel has no overlay/,
    advises:
      /^echo overlay >\S+ # and start the node anew .*: the kernel that runs has no modules any more/,
  },
  {
    name: "a network whose plugin runs iptables, which is not there",
    check: "firewall",
    make: async ({ root, write }) => {
      await write(conflist, network("10.99.0.0/16"));
      await rm(path.join(root, "usr/sbin/iptables"));
    },
    level: "error",
    says: /there is no iptables on berthd's PATH, which the plugin bridge of network pods runs/,
    advises: /^apt-get install -y --reinstall iptables$/,
  },
  {
    name: "addresses of IPv6 where that is off",
    check: "cni",
    make: async ({ write }) => {
      await write(conflist, network("10.99.0.0/16", "fd00:99::/64"));
      await write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n");
    },
    level: "error",
    says: /network pods gives addresses of fd00:99::\/64, and IPv6 is off on this node/,
    mends: true,
  },
  {
    name: "a network's file that leads to nothing",
    check: "cni",
    make: ({ root }) => symlink("/gone", path.join(root, "etc/cni/net.d/00-gone.conflist")),
    level: "warning",
    says: /CNI configuration "\/etc\/cni\/net\.d\/00-gone\.conflist": cannot be read: ENOENT/,
  },
  {
    name: "a broken network before one that could be used, which it does not say to remove",
    check: "cni",
    make: ({ write }) =>
      write(
        "/etc/cni/net.d/00-left.conflist",
        '{"cniVersion":"1.0.0","name":"left","plugins":[{"type":"zebra"}]}',
      ),
    level: "note",
    says: /network pods of \/etc\/cni\/net\.d\/10-pods\.conflist is not used/,
    leadsTo: /when \/etc\/cni\/net\.d\/00-left\.conflist is put aside/,
    advises: /^$/,
  },
  {
    name: "a process of a container that waits for a dead disk",
    check: "stuck",
    make: async ({ write }) => {
      await write("/proc/99/stat", `99 (dd) D 1 ${"0 ".repeat(17)}4711 0\n`);
      await write(
        "/proc/99/status",
        "voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t1\n",
      );
      await write("/proc/99/cgroup", `0::/kubepods/pod1/${"a".repeat(64)}\n`);
      await write("/proc/99/comm", "dd\n");
      await write("/proc/99/wchan", "io_schedule");
    },
    level: "warning",
    says: /process 99 \(dd\) of container a{13} hangs in the kernel, in io_schedule/,
  },
  {
    name: "a device that two files define",
    check: "plugins",
    make: async ({ write }) => {
      const edits = '"containerEdits":{"env":["A=1"]}';
      const text = `{"cdiVersion":"0.6.0","kind":"v.com/d","devices":[{"name":"x",${edits}}]}`;
      await write("/etc/cdi/a.json", text);
      await write("/etc/cdi/b.json", text);
    },
    level: "warning",
    says: /\/etc\/cdi\/b\.json defines v\.com\/d=x, which \/etc\/cdi\/a\.json does, too/,
    mends: true,
  },
  {
    name: "addresses of IPv6 that are not forwarded",
    check: "cni",
    make: async ({ write }) => {
      await write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0\n");
      await write("/proc/sys/net/ipv6/conf/all/forwarding", "0\n");
      await write(conflist, network("10.99.0.0/16", "fd00:99::/64"));
    },
    level: "error",
    says: /network pods gives addresses of fd00:99::\/64, and net\.ipv6\.conf\.all\.forwarding is 0/,
    mends: true,
  },
  {
    name: "fewer addresses than pods",
    check: "cni",
    make: ({ write }) => write(conflist, network("10.99.0.0/26")),
    level: "warning",
    says: /has 61 addresses, and the kubelet takes 110 pods/,
    mends: true,
  },
  {
    name: "a network whose addresses are used up",
    check: "cni",
    make: async ({ write }) => {
      await write(conflist, network("10.99.0.0/29"));
      for (const at of [2, 3, 4, 5, 6])
        await write(`/var/lib/cni/networks/pods/10.99.0.${at}`, "x\r\neth0");
      await write("/var/lib/cni/networks/pods/last_reserved_ip.0", "10.99.0.6");
      await write("/var/lib/cni/networks/pods/lock", "");
    },
    level: "error",
    says: /network pods of \S+ has given 5 of its 5 addresses/,
    advises: /^berth doctor --only leftovers --fix; ls/,
  },
  {
    name: "an iptables that hangs with the lock of all others",
    check: "firewall",
    make: async ({ root, write }) => {
      await write("/run/xtables.lock", "");
      const { ino } = await stat(path.join(root, "run/xtables.lock"));
      await runningProcess(write, root, 4711, "iptables-restor");
      const rest = Array.from({ length: 18 }, () => "0").join(" ");
      await write("/proc/4711/stat", `4711 (iptables-restor) S ${rest} 100000 0 0\n`);
      await write(
        "/proc/locks",
        `1: POSIX  ADVISORY  WRITE 1 fd:00:${ino} 0 EOF\n2: FLOCK  ADVISORY  WRITE 4711 fd:00:${ino} 0 EOF\n`,
      );
    },
    level: "error",
    says: /process 4711 \(iptables-restor\) has \/run\/xtables\.lock for 4000 s/,
    advises: /^kill -9 4711 /,
  },
  {
    name: "a node that is called otherwise than when it joined",
    check: "names",
    make: async ({ write }) =>
      write(
        "/var/lib/kubelet/pki/kubelet-client-current.pem",
        await certificateOf("/O=system:nodes/CN=system:node:node-0"),
      ),
    level: "error",
    says: /the kubelet calls the node node-1, and its certificate is for node-0/,
    mends: true,
  },
];

async function certificateOf(subject: string): Promise<string> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"];
  return must("openssl", ["req", "-x509", ...key, "/dev/null", "-subj", subject, "-days", "90"]);
}
