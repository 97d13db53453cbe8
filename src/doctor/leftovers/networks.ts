// SPDX-License-Identifier: Apache-2.0

import { rm } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { unmount } from "../../base/os/mount.ts";
import { shellWord } from "../../base/shell-word.ts";
import { deleteAttachment } from "../../network/chain.ts";
import { userNamespaceSuffix } from "../../network/ports.ts";
import { type NetworkRecord, ResultCache } from "../../network/result-cache.ts";
import type { Patient } from "../patient.ts";
import { type Ground, isYoung, type Leftover } from "./leftover.ts";
import { foreignTraces, grouped, mostMended } from "./traces.ts";

const delMs = 30_000;
/** Where the host-local plugin of all runtimes keeps which address is whose. */
const hostLocal = "/var/lib/cni/networks";
/** Where the other runtimes keep what they know; with one of them on the node an address may be its. */
const others = ["/var/lib/containerd", "/var/lib/containers/storage", "/var/lib/docker"];

/** Pinned namespaces, records of CNI operations, and addresses, of pods that nobody knows. */
export async function leftNetworks(ground: Ground): Promise<Leftover[]> {
  const records = await recordsOf(ground);
  // Plugins look into the namespace when they take it down.
  const own = [...records.left, ...(await namespacesOf(ground, records))];
  if (await hasOthers(ground)) return own;
  const { known, scan } = ground;
  const live = new Set(scan.seen.flatMap(({ ids }) => [...ids]));
  const isTaken = (id: string): boolean => known.ids.has(id) || records.ids.has(id) || live.has(id);
  return [...own, ...(await addressesOf(ground, isTaken)), ...(await foreignTraces(isTaken))];
}

async function namespacesOf(ground: Ground, records: Records): Promise<Leftover[]> {
  const { known, patient } = ground;
  const { host, layout } = patient;
  const found: Leftover[] = [];
  for (const name of await host.names(layout.netns)) {
    const id = name.endsWith(userNamespaceSuffix)
      ? name.slice(0, -userNamespaceSuffix.length)
      : name;
    const place = path.join(layout.netns, name);
    const facts = await host.stat(place);
    if (facts === undefined || known.ids.has(id) || isYoung(ground, facts.mtimeMs)) continue;
    found.push({
      what: `${place}: a pinned namespace of a pod that berthd does not know`,
      why: "its interfaces and the peers of them on the node stay as long as it is pinned",
      // Where there is a record, only --fix calls DEL before it goes.
      mend: records.ids.has(id) ? "" : `umount -l ${shellWord(place)}; rm ${shellWord(place)}`,
      remove: async () => {
        if ((await records.cache.all()).records.some(({ sandboxId }) => sandboxId === id))
          throw fault("FAILED_PRECONDITION", `pod "${id}" is still attached to its networks`);
        while (unmount(host.at(place), { lazy: true }));
        await rm(host.at(place), { force: true });
      },
    });
  }
  return found;
}

interface Records {
  readonly left: readonly Leftover[];
  readonly ids: ReadonlySet<string>;
  readonly cache: ResultCache;
}

async function recordsOf(ground: Ground): Promise<Records> {
  const { known, patient } = ground;
  const { host, config } = patient;
  const folder = config.cni.cacheDir;
  const cache = new ResultCache(host.at(folder));
  const left: Leftover[] = [];
  const ids = new Set<string>();
  for (const record of (await cache.all()).records) {
    const { sandboxId, abandoned } = record;
    ids.add(sandboxId);
    const file = path.join(folder, `${encodeURIComponent(sandboxId)}.json`);
    const facts = await host.stat(file);
    // What is abandoned is the daemon's to try again.
    if (abandoned || known.ids.has(sandboxId) || isYoung(ground, facts?.mtimeMs ?? 0)) continue;
    const networks = record.attachments.map(({ name }) => name).join(", ");
    left.push({
      what: `${file}: pod "${sandboxId}", which berthd does not know, is still attached to ${networks}`,
      why: "its addresses, host ports and iptables chains stay taken: DEL was never called",
      mend: "",
      remove: async (call) => {
        await detach(patient, record, call);
        await cache.remove(sandboxId);
      },
    });
  }
  return { left, ids, cache };
}

/** DEL as the daemon would call it: the plugins give back addresses, ports and chains. */
async function detach(
  { config, host, layout }: Patient,
  record: NetworkRecord,
  call: Cancellable,
): Promise<void> {
  const { sandboxId, args, capabilityArgs } = record;
  const netns = path.join(layout.netns, sandboxId);
  const netnsPath = (await host.has(netns)) ? host.at(netns) : ""; // it may be gone
  for (const attachment of record.attachments) {
    const context = {
      sandboxId,
      netnsPath,
      args,
      capabilityArgs,
      binDirs: config.cni.binDirs,
      runIdlePlugins: config.cni.runIdlePlugins,
      budgetMs: delMs,
    };
    await deleteAttachment(attachment, context, call);
  }
}

/** Whether another runtime may have made what has our shape. */
async function hasOthers({ patient, scan }: Ground): Promise<boolean> {
  const { host } = patient;
  const { pid: daemon } = await patient.daemon();
  if (!host.isOurs) return true;
  if (scan.seen.some(({ pid, isOthers, isBerthd }) => isOthers || (isBerthd && pid !== daemon)))
    return true;
  for (const folder of others) if (await host.has(folder)) return true;
  return false;
}

/** Told, and never removed: nothing but our record would show whose an address is. */
async function addressesOf(ground: Ground, isTaken: (id: string) => boolean): Promise<Leftover[]> {
  const { host } = ground.patient;
  const found: string[] = [];
  const files: string[] = [];
  for (const network of await host.names(hostLocal)) {
    for (const address of await host.names(path.join(hostLocal, network))) {
      if (!/^[0-9a-f.:]+$/i.test(address)) continue;
      const file = path.join(hostLocal, network, address);
      const [id = ""] = ((await host.text(file)) ?? "").split(/\s/);
      const facts = await host.stat(file);
      if (id === "" || isTaken(id) || isYoung(ground, facts?.mtimeMs ?? 0)) continue;
      found.push(`${address} of network ${network} by "${id}"`);
      files.push(shellWord(file));
    }
  }
  return grouped(found, {
    what: (some) => `addresses are taken by pods that berthd does not know: ${some}`,
    why: "when a network has no address left, no pod starts; nothing shows that they were pods of berthd's, so nothing is removed",
    mend: `rm ${files.slice(0, mostMended).join(" ")}`,
  });
}
