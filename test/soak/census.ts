// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Daemon } from "../support/daemon.ts";
import { leftovers, shimSocketOf } from "../support/leaks.ts";
import { mountsBelow } from "../support/mounts.ts";
import { must } from "../support/run.ts";
import { chainsOf } from "./chains.ts";
import { databaseCounts } from "./database.ts";
import { fileCounts, list } from "./files.ts";
import type { Ledger } from "./ledger.ts";
import { processCounts } from "./process-counts.ts";

/** Everything that must be at each quiet point what it was at the first: a name, and how many. */
export type Census = ReadonlyMap<string, number>;

export interface CensusPlace {
  readonly daemon: Daemon;
  readonly ledger: Ledger;
  /** Where copies of the database may lie for a moment. */
  readonly scratch: string;
}

/** Counts what there is now, from outside. What is zero may be left out. */
export async function takeCensus(place: CensusPlace): Promise<Census> {
  const { daemon, ledger, scratch } = place;
  const counts = new Map<string, number>();
  const add = (name: string, count: number): void => {
    counts.set(name, (counts.get(name) ?? 0) + count);
  };
  const addAll = (found: ReadonlyMap<string, number>): void => {
    for (const [name, count] of found) add(name, count);
  };
  addAll(processCounts(daemon));
  // Those that the machine sees are among what is left, below.
  add("daemon's mounts", (await mountsBelow(daemon.folder, daemon.pid())).length);
  addAll(await fileCounts(daemon.folder));
  addAll(await databaseCounts(path.join(daemon.folder, "root"), scratch));
  // Mounts, cgroups, bridge ports, rules with the network's name, addresses, shims, holders, sockets and FIFOs.
  const sandboxes = ledger.sandboxes;
  for (const line of await leftovers({ ...daemon.territory, sandboxes: [] })) {
    const [kind = ""] = line.split(" ", 1);
    add(`left: ${kind}`, 1);
  }
  const rules = await must("iptables-save", []);
  add("iptables chains", chainsOf(rules, daemon.network.name, sandboxes));
  const sockets = new Set(list("/run/containerd/s"));
  for (const id of sandboxes) {
    if (sockets.has(path.basename(shimSocketOf(daemon.socket, id)))) add("shim sockets", 1);
  }
  for (const id of list("/run/containerd/runc/k8s.io"))
    if (ledger.ids.has(id)) add("runc states", 1);
  add("metric series of pods", await podSeries(daemon));
  return counts;
}

/** Lines of /metrics that bear a pod's name. */
async function podSeries(daemon: Daemon): Promise<number> {
  const answer = await fetch(`${daemon.metricsUrl}/metrics`, { headers: { connection: "close" } });
  const text = await answer.text();
  return text.split("\n").filter((line) => /[{,](pod|container)="[^"]+"/.test(line)).length;
}
