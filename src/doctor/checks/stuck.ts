// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "../../base/cancellable.ts";
import { statFields } from "../../base/os/proc.ts";
import { sleep } from "../../base/timers.ts";
import type { Check } from "../check.ts";
import { type Finding, ok, warning } from "../finding.ts";
import type { Host } from "../host.ts";

/** Most that wait have what they wait for by the first of them; only for those that do not, the second is waited. */
const waitsMs = [2_000, 4_000] as const;
const mostTold = 20;
const containerId = /([0-9a-f]{64})(?:\.scope)?\/?$/m;

export const stuck: Check = {
  name: "stuck",
  about: "processes of containers that hang in the kernel",
  run: ({ host }, call) => stuckFindings(host, call),
};

/** Who was never at work between the looks, and still waits in the same place, hangs: a busy disk's client is at work often. */
export async function stuckFindings(
  host: Host,
  call: Cancellable,
  waits: readonly number[] = waitsMs,
): Promise<Finding[]> {
  let hanging = await waiting(host, call);
  for (const ms of waits) {
    if (hanging.size === 0) break;
    await sleep(ms, call);
    hanging = await still(host, hanging);
  }
  const found: Finding[] = [];
  for (const pid of [...hanging.keys()].slice(0, mostTold)) found.push(...(await told(host, pid)));
  return found.length > 0 ? found : [ok("no container's process hangs in the kernel")];
}

/** Those of containers, with how each of them waits. */
async function waiting(host: Host, { signal }: Cancellable): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const pid of await host.names("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    signal.throwIfAborted();
    const wait = await waitOf(host, pid);
    if (wait === undefined || (await containerOf(host, pid)) === undefined) continue;
    // One that is frozen, as by a pause, waits in the same way on cgroup v1.
    if (/refrigerator|freezer/.test((await host.value(`/proc/${pid}/wchan`)) ?? "")) continue;
    found.set(pid, wait);
  }
  return found;
}

async function still(host: Host, before: ReadonlyMap<string, string>) {
  const found = new Map<string, string>();
  for (const [pid, wait] of before) if ((await waitOf(host, pid)) === wait) found.set(pid, wait);
  return found;
}

/**
 * For a process that waits so that no signal wakes it: when it was started, how often it has been off the processor, and
 * where it waits, as far as the kernel tells. undefined for others.
 */
async function waitOf(host: Host, pid: string): Promise<string | undefined> {
  const stat = (await host.value(`/proc/${pid}/stat`)) ?? "";
  const fields = statFields(stat);
  if (fields[0] !== "D") return undefined;
  const status = (await host.value(`/proc/${pid}/status`)) ?? "";
  const switches = status.match(/^(?:non)?voluntary_ctxt_switches:\s*\d+$/gm) ?? [];
  if (switches.length !== 2) return undefined;
  const where = (await host.value(`/proc/${pid}/wchan`)) ?? "";
  return [fields[19], ...switches, where].join(" ");
}

async function containerOf(host: Host, pid: string): Promise<string | undefined> {
  return containerId.exec((await host.value(`/proc/${pid}/cgroup`)) ?? "")?.[1];
}

async function told(host: Host, pid: string): Promise<Finding[]> {
  const id = await containerOf(host, pid);
  const name = (await host.value(`/proc/${pid}/comm`)) ?? "";
  const where = (await host.value(`/proc/${pid}/wchan`)) ?? "";
  if (id === undefined) return [];
  return [
    warning({
      what: `process ${pid} (${name}) of container ${id.slice(0, 13)} hangs in the kernel${/^\w{2,}$/.test(where) ? `, in ${where}` : ""}`,
      why: "most signals do not reach it until what it waits for answers, a disk or a server. SIGKILL may end one that waits for a server; where it does not, its pod stays in Terminating",
      mend: `cat /proc/${pid}/stack; grep -E ' - (nfs4?|cifs|smb3|ceph|fuse[^ ]*) ' /proc/${pid}/mountinfo; dmesg | tail -n 20 # bring back the server or disk that these name, or: umount -f PLACE`,
    }),
  ];
}
