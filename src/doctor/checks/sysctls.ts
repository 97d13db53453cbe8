// SPDX-License-Identifier: Apache-2.0
import { watch } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import type { Check } from "../check.ts";
import { error, type Finding, note, ok, warning } from "../finding.ts";
import type { Host } from "../host.ts";

interface Rule {
  readonly name: string;
  /** What to set where it is less. */
  readonly least: number;
  readonly level: typeof error;
  readonly why: string;
}

const rules: readonly Rule[] = [
  {
    name: "net.ipv4.ip_forward",
    least: 1,
    level: error,
    why: "the node forwards nothing: pods reach neither Services nor other nodes, and kubeadm refuses the node",
  },
  {
    name: "net.bridge.bridge-nf-call-iptables",
    least: 1,
    level: warning,
    why: "what pods of one bridge send each other passes by kube-proxy's rules: Services do not answer to pods of the same node",
  },
  {
    name: "fs.inotify.max_user_instances",
    least: 256,
    level: warning,
    why: "kubelet, CNI agents and pods share it for each user: `too many open files` from whatever watches files, also `kubectl logs -f`",
  },
  {
    name: "fs.inotify.max_user_watches",
    least: 65_536,
    level: note,
    why: "pods that watch trees of files fail with `no space left on device`",
  },
  {
    name: "fs.may_detach_mounts",
    least: 1,
    level: error,
    why: "a mount that another process sees cannot be removed: pods stay in Terminating with `device or resource busy`",
  },
  {
    name: "kernel.pid_max",
    least: 65_536,
    level: note,
    why: "all pods of the node share so many processes and threads",
  },
  {
    name: "user.max_user_namespaces",
    least: 1,
    level: warning,
    why: "pods with `hostUsers: false` cannot be made",
  },
  ...["net", "mnt", "pid", "ipc", "uts", "cgroup"].map((kind) => ({
    name: `user.max_${kind}_namespaces`,
    least: 512,
    level: error,
    why: "each pod has one or more: beyond it none is made, `no space left on device`",
  })),
  {
    name: "kernel.keys.root_maxkeys",
    least: 10_000,
    level: warning,
    why: "each container has a keyring: beyond it none is started, `unable to join session keyring: disk quota exceeded`",
  },
];

/** What the kubelet sets itself, unless it is told to leave the kernel alone: then it does not start. */
const kubeletWants: Readonly<Record<string, number>> = {
  "vm.overcommit_memory": 1,
  "vm.panic_on_oom": 0,
  "kernel.panic": 10,
  "kernel.panic_on_oops": 1,
  "kernel.keys.root_maxkeys": 1_000_000,
  "kernel.keys.root_maxbytes": 25_000_000,
};

/** Tables of the kernel that fill up: what is used, and the limit. */
const tables: readonly { readonly used: string; readonly most: string; readonly why: string }[] = [
  {
    used: "net.netfilter.nf_conntrack_count",
    most: "net.netfilter.nf_conntrack_max",
    why: "when it is full, new connections are dropped without a word",
  },
  { used: "fs.file-nr", most: "fs.file-max", why: "when it is full, nobody can open a file" },
];
const fullShare = 0.9;

export const sysctls: Check = {
  name: "sysctls",
  about: "the kernel's settings",
  run: async (patient) => {
    const { host } = patient;
    const found: Finding[] = [];
    for (const rule of rules) found.push(...(await ofRule(host, rule)));
    for (const table of tables) found.push(...(await ofTable(host, table)));
    found.push(...(await ofThreads(host)), ...(await ofInotify(host)));
    found.push(...(await ofKeys(host)), ...(await ofNeighbours(host)));
    const kubelet = await patient.kubelet();
    if (kubelet?.settings["protectKernelDefaults"] === true)
      found.push(...(await protectedOnes(host)));
    return found.length > 0 ? found : [ok("the kernel's settings are as pods need them")];
  },
};

async function ofRule(host: Host, { name, least, level, why }: Rule): Promise<Finding[]> {
  const value = await numberOf(host, name);
  if (value === undefined || value >= least) return [];
  return [
    level({ what: `${name} is ${value}, not ${least} or more`, why, mend: set(name, least) }),
  ];
}

async function ofTable(
  host: Host,
  { used, most, why }: (typeof tables)[number],
): Promise<Finding[]> {
  const [count, limit] = [await numberOf(host, used), await numberOf(host, most)];
  if (count === undefined || limit === undefined || count < limit * fullShare) return [];
  const what = `${used} is ${count} of ${limit}`;
  return [error({ what, why, mend: set(most, 2 * limit) })];
}

/** Each of them counts for both limits: all threads of the node, pods' too. */
async function ofThreads(host: Host): Promise<Finding[]> {
  const loads = (await host.value("/proc/loadavg")) ?? "";
  const count = Number(/^\S+ \S+ \S+ \d+\/(\d+)/.exec(loads)?.[1] ?? 0);
  const found: Finding[] = [];
  for (const most of ["kernel.threads-max", "kernel.pid_max"]) {
    const limit = await numberOf(host, most);
    if (limit === undefined || count < limit * fullShare) continue;
    found.push(
      error({
        what: `the node has ${count} threads, and ${most} is ${limit}`,
        why: "when it is reached, nothing can be started: `resource temporarily unavailable`, `cannot fork`",
        mend: set(most, 2 * limit),
      }),
    );
  }
  return found;
}

/** Root's keys: most containers' keyrings are among them. */
async function ofKeys(host: Host): Promise<Finding[]> {
  const users = (await host.value("/proc/key-users")) ?? "";
  const [, used = "", most = ""] = /^\s*0:\s+\d+\s+\S+\s+(\d+)\/(\d+)/m.exec(users) ?? [];
  if (used === "" || Number(used) < Number(most) * fullShare) return [];
  const why =
    "when it is reached, no container is started: `unable to join session keyring: disk quota exceeded`";
  const mend = set("kernel.keys.root_maxkeys", Math.max(1_000_000, 2 * Number(most)));
  return [error({ what: `root has ${used} of ${most} keys of the kernel's keyrings`, why, mend })];
}

/** The table of neighbours: pods and nodes that this one speaks to. It is one for all network namespaces. */
async function ofNeighbours(host: Host): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const [family, table] of [
    ["ipv4", "arp_cache"],
    ["ipv6", "ndisc_cache"],
  ]) {
    const [, first = ""] = ((await host.value(`/proc/net/stat/${table}`)) ?? "").split("\n");
    const count = Number.parseInt(first, 16);
    const name = `net.${family}.neigh.default.gc_thresh3`;
    const most = await numberOf(host, name);
    if (most === undefined || !(count >= most * fullShare)) continue;
    const what = `the table of neighbours has ${count} entries, and ${name} is ${most}`;
    const why = "when it is full, pods and nodes are not reached: `neighbour table overflow`";
    found.push(error({ what, why, mend: set(name, 4 * most) }));
  }
  return found;
}

/** Whether root, whose are the kubelet and most pods, can watch files at all: nothing tells how many it has. */
async function ofInotify(host: Host): Promise<Finding[]> {
  if (!host.isOurs || process.getuid?.() !== 0) return [];
  try {
    watch("/").close();
    return [];
  } catch (thrown) {
    const errno = errnoOf(thrown);
    const name = `fs.inotify.max_user_${errno === "ENOSPC" ? "watches" : "instances"}`;
    const limit = await numberOf(host, name);
    if (!["EMFILE", "ENOSPC"].includes(errno ?? "") || limit === undefined) return [];
    return [
      error({
        what: `root has all its inotify ${errno === "ENOSPC" ? "watches" : "instances"}: ${name} is ${limit}`,
        why: "kubelet, network add-ons and pods cannot watch files: `too many open files`, `no space left on device`",
        mend: set(name, Math.max(8192, 2 * limit)),
      }),
    ];
  }
}

async function protectedOnes(host: Host): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const [name, wanted] of Object.entries(kubeletWants)) {
    const value = await numberOf(host, name);
    if (value === undefined || value === wanted) continue;
    const what = `${name} is ${value}, and the kubelet wants ${wanted}`;
    const why = "with protectKernelDefaults it does not set it, and does not start";
    found.push(error({ what, why, mend: set(name, wanted) }));
  }
  return found;
}

function set(name: string, value: number): string {
  return `sysctl -w ${name}=${value} && echo ${name}=${value} >>/etc/sysctl.d/90-berth.conf`;
}

/** The first number of its value. */
async function numberOf(host: Host, name: string): Promise<number | undefined> {
  const text = await host.value(`/proc/sys/${name.replaceAll(".", "/")}`);
  const digits = /^-?\d+/.exec(text ?? "")?.[0];
  return digits === undefined ? undefined : Number(digits);
}
