// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { cgroupsBelow, removeCgroups } from "./cgroups.ts";
import type { CniNetwork } from "./cni.ts";
import { mountsBelow } from "./mounts.ts";
import { isAlive, type ProcessInfo, processes, processesInCgroup, shimsOf } from "./processes.ts";
import { must, run } from "./run.ts";
import { until } from "./until.ts";

/** What belongs to one runtime under test; all a leak check looks at lies below these. */
export interface Territory {
  /** Parent of root, state and everything else on disk. */
  readonly folder: string;
  /** Its gRPC socket: what shims were told. */
  readonly socket: string;
  /** Volatile state; after all pods are removed it holds no sockets, FIFOs or bundles of theirs. */
  readonly state: string;
  readonly cgroupParent: string;
  readonly network: CniNetwork;
  /** Sandbox ids ever made: their shims' sockets are looked for. */
  readonly sandboxes: Iterable<string>;
}

/** What is left of pods while the daemon runs, one line a thing; empty when nothing is. */
export async function leftovers(territory: Territory): Promise<string[]> {
  // The daemon's own: what its pods' network namespaces are pinned below.
  const own = `mount ${path.join(territory.state, "netns")}`;
  return (await everythingLeft(territory)).filter((line) => line !== own);
}

async function everythingLeft(territory: Territory): Promise<string[]> {
  const { folder, socket, cgroupParent, network } = territory;
  return [
    ...shimsOf(socket).map((shim) => `shim ${shim.pid}: ${shim.argv.join(" ")}`),
    ...processesInCgroup(cgroupParent).map((info) => `process ${describe(info)}`),
    ...holdersBelow(folder).map((info) => `process ${describe(info)}`),
    ...(await mountsBelow(folder)).map((mount) => `mount ${mount}`),
    ...(await cgroupsBelow(cgroupParent)).map((group) => `cgroup ${group}`),
    ...(await linksOf(network.bridge)).map((link) => `link ${link}`),
    ...(await iptablesRulesOf(network)).map((rule) => `iptables ${rule}`),
    ...(await addressesOf(network)).map((address) => `address ${address} in ${network.dataDir}`),
    ...shimSockets(territory).map((file) => `shim socket ${file}`),
    ...(await specialFiles(territory.state, socket)).map((file) => `file ${file}`),
  ];
}

/** While the daemon runs: waits a little until nothing of pods is left, and names what is. */
export async function nothingLeft(
  territory: Territory,
  { timeoutMs = 60_000 }: { readonly timeoutMs?: number } = {},
): Promise<void> {
  await until(
    "nothing is left",
    async () => {
      const left = await leftovers(territory);
      if (left.length > 0) throw new Error(left.join("\n"));
      return true;
    },
    { timeoutMs },
  );
}

/** After the daemon's end: fails with the names of what leaked, having waited a little for what ends by itself. */
export async function assertNothingLeft(territory: Territory): Promise<void> {
  let left: string[] = [];
  await until(
    "nothing is left",
    async () => {
      left = await everythingLeft(territory);
      return left.length === 0;
    },
    { timeoutMs: 60_000, everyMs: 100 },
  ).catch(() => {});
  assert.deepEqual(left, [], "left behind");
}

/** Clears away by force what a failed test left, within this territory only. */
export async function sweep(territory: Territory): Promise<void> {
  const doomed = [
    ...shimsOf(territory.socket),
    ...processesInCgroup(territory.cgroupParent),
    ...holdersBelow(territory.folder),
  ];
  for (const { pid } of doomed) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {}
  }
  await until("killed processes are gone", () => doomed.every(({ pid }) => !isAlive(pid)), {
    timeoutMs: 60_000,
  }).catch(() => {});
  for (const mount of (await mountsBelow(territory.folder)).toReversed()) {
    await run("umount", ["-l", mount]);
  }
  for (const link of await linksOf(territory.network.bridge)) {
    await run("ip", ["link", "delete", link]);
  }
  await sweepIptables(territory.network);
  await removeCgroups(territory.cgroupParent);
}

/** What keeps containers' FIFOs open while the daemon is away. */
function holdersBelow(folder: string): ProcessInfo[] {
  return processes(
    ({ argv: [name, held] }) =>
      name === "berth-fifo-holder" && held?.startsWith(`${folder}/`) === true,
  );
}

function describe(info: ProcessInfo): string {
  return `${info.pid}: ${info.argv.join(" ").slice(0, 120)}`;
}

async function linksOf(bridge: string): Promise<string[]> {
  const brif = `/sys/class/net/${bridge}/brif`;
  return existsSync(brif) ? readdir(brif) : [];
}

/** Rules that name the network (masquerade, host ports), per table as iptables-save has them. */
export async function iptablesRulesOf(network: CniNetwork): Promise<string[]> {
  const saved = await must("iptables-save", []);
  // The masquerade's and the port map's rules and chains all carry `name: "NETWORK"` or the subnet.
  const needles = [`"${network.name}"`, `\\"${network.name}\\"`, network.subnet.slice(0, -4)];
  return saved.split("\n").filter((line) => needles.some((needle) => line.includes(needle)));
}

async function sweepIptables(network: CniNetwork): Promise<void> {
  for (const rule of await iptablesRulesOf(network)) {
    if (!rule.startsWith("-A ")) continue;
    const words = [...rule.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
      (match) => match[1]?.replaceAll(/\\(.)/g, "$1") ?? match[2]!,
    );
    await run("iptables", ["-w", "-t", "nat", "-D", ...words.slice(1)]);
  }
}

async function addressesOf(network: CniNetwork): Promise<string[]> {
  const files = await readdir(path.join(network.dataDir, network.name)).catch(() => []);
  return files.filter((name) => /^\d+\.\d+\.\d+\.\d+$/.test(name));
}

/** containerd's shims put their socket at sha256(address/namespace/id) in one folder for all. */
export function shimSocketOf(socket: string, id: string): string {
  const hash = createHash("sha256")
    .update(path.join(socket, "k8s.io", id))
    .digest("hex");
  return `/run/containerd/s/${hash}`;
}

function shimSockets({ socket, sandboxes }: Territory): string[] {
  return [...sandboxes].map((id) => shimSocketOf(socket, id)).filter((file) => existsSync(file));
}

/** Sockets and FIFOs below the state folder other than the daemon's own sockets. */
async function specialFiles(state: string, socket: string): Promise<string[]> {
  const names = await readdir(state, { recursive: true }).catch(() => []);
  const found: string[] = [];
  for (const name of names) {
    const file = path.join(state, name);
    if (file === socket || file === `${socket}.ttrpc`) continue;
    const info = await stat(file).catch(() => undefined);
    if (info?.isFIFO() || info?.isSocket()) found.push(file);
  }
  return found;
}
