// SPDX-License-Identifier: Apache-2.0

/** Ports of the daemon on the node's loopback, which a pod with the node's network reaches. */
export interface DaemonPorts {
  readonly metrics: number;
  readonly streaming: number;
}

/** What a hostile pod is and does. */
export interface Attack {
  readonly name: string;
  /** An attack of hostile.c and its number; or another command of the image. */
  readonly does: readonly string[] | ((ports: DaemonPorts) => readonly string[]);
  readonly isPrivileged?: true;
  /** Its containers share the pod's process namespace: what a container leaves behind runs on. */
  readonly sharesPids?: true;
  readonly onNodeNetwork?: true;
  /** Its mounts in the volume show on the node. */
  readonly spreadsMounts?: true;
  readonly hasTerminal?: true;
  /** podPidsLimit; default 1000. */
  readonly pids?: number;
  /** How many ExecSync of this command somebody keeps going in it. */
  readonly execs?: { readonly atOnce: number; readonly command: readonly string[] };
  /** The container ends by itself, and is started anew each time. */
  readonly endsItself?: true;
  /** The daemon is killed and started again while it goes on. */
  readonly withRestart?: true;
}

const hostile = (...words: readonly (string | number)[]): readonly string[] => [
  "hostile",
  ...words.map(String),
];
const unlimited = 30_000;

export const attacks: readonly Attack[] = [
  { name: "fork bomb, 200 pids", does: hostile("forks", 1_000_000), pids: 200 },
  {
    name: "fork bomb, no limit",
    does: hostile("forks", 1_000),
    pids: unlimited,
    withRestart: true,
  },
  { name: "fork bomb, beyond its memory", does: hostile("forks", 4_000), pids: unlimited },
  { name: "zombies", does: hostile("zombies", 4_000), pids: unlimited },
  { name: "children that end at once", does: hostile("children", 20) },
  { name: "signals ignored, stopped, sent", does: hostile("signals", 50), withRestart: true },
  {
    name: "its first thread has ended, another has not",
    does: hostile("headless"),
    withRestart: true,
  },
  { name: "kills what is beside it", does: hostile("killer") },
  { name: "names with line ends", does: hostile("names", 50), isPrivileged: true },
  { name: "processor hogs", does: hostile("hogs", 16) },
  { name: "out of memory, again and again", does: hostile("memory") },
  {
    name: "ends out of memory, started anew",
    does: ["sh", "-c", "touch /vol/ready; exec tail /dev/zero"],
    endsItself: true,
  },
  { name: "core dumps", does: hostile("cores") },
  {
    name: "pipes held after the end",
    does: hostile("holder"),
    sharesPids: true,
    withRestart: true,
  },
  { name: "descriptors", does: hostile("descriptors", 20) },
  { name: "100,000 files", does: hostile("inodes", 100_000), withRestart: true },
  { name: "paths beyond PATH_MAX, no UTF-8", does: hostile("paths", 200) },
  { name: "attributes", does: hostile("attributes", 2_000), isPrivileged: true },
  { name: "a tree that is never the same", does: hostile("churn", 5_000), withRestart: true },
  { name: "sparse and growing files", does: hostile("sparse", 100) },
  { name: "writes that reach the disk", does: hostile("syncs", 65_536) },
  { name: "FIFOs where others read", does: hostile("pipes", 1), withRestart: true },
  { name: "sockets where others read", does: hostile("pipes", 0) },
  { name: "a log line without an end", does: hostile("endless"), withRestart: true },
  { name: "a log of empty lines", does: hostile("newlines") },
  { name: "binary logs, both streams", does: hostile("binary") },
  { name: "a terminal's flood", does: hostile("binary"), hasTerminal: true },
  { name: "a byte a write", does: hostile("drops", 20) },
  {
    name: "4,000 mounts, over /etc and /proc",
    does: hostile("mounts", 4_000),
    isPrivileged: true,
    withRestart: true,
  },
  {
    name: "mounts that spread to the node",
    does: hostile("spread", 2_000),
    isPrivileged: true,
    spreadsMounts: true,
    withRestart: true,
  },
  {
    name: "cgroups by thousands",
    does: hostile("cgroups", 4_000),
    isPrivileged: true,
    withRestart: true,
  },
  { name: "frozen children", does: hostile("frozen", 50), isPrivileged: true },
  { name: "freezes itself", does: hostile("freezes"), isPrivileged: true, withRestart: true },
  {
    name: "connections to the metrics port",
    does: ({ metrics }) => hostile("connections", metrics),
    onNodeNetwork: true,
  },
  {
    name: "connections to the streaming port",
    does: ({ streaming }) => hostile("connections", streaming),
    onNodeNetwork: true,
  },
  { name: "execs", does: hostile("signals", 1), execs: { atOnce: 20, command: ["true"] } },
  {
    name: "execs that flood",
    does: hostile("signals", 1),
    execs: { atOnce: 4, command: ["cat", "/dev/zero"] },
  },
];
