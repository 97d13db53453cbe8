// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "../../base/cancellable.ts";
import { sleep } from "../../base/timers.ts";
import type { Check } from "../check.ts";
import { type Finding, ok, warning } from "../finding.ts";
import type { Host } from "../host.ts";

/** Who waits for a disk that works has what it waits for by then. */
const waitsMs = 2_000;
const mostTold = 20;
const containerId = /([0-9a-f]{64})(?:\.scope)?\/?$/m;

export const stuck: Check = {
  name: "stuck",
  about: "processes of containers that nobody can kill",
  run: async ({ host }, call) => {
    const first = await waiting(host, call);
    if (first.size === 0) return [ok("no container's process hangs in the kernel")];
    await sleep(waitsMs, call);
    const found: Finding[] = [];
    for (const [pid, since] of first)
      if ((await waitOf(host, pid)) === since) found.push(...(await told(host, pid)));
    if (found.length === 0) return [ok("no container's process hangs in the kernel")];
    return found.slice(0, mostTold);
  },
};

/** Those of containers, with when they were started. */
async function waiting(host: Host, { signal }: Cancellable): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const pid of await host.names("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    signal.throwIfAborted();
    const since = await waitOf(host, pid);
    if (since === undefined || (await containerOf(host, pid)) === undefined) continue;
    // One that is frozen, as by a pause, waits in the same way on cgroup v1.
    if (/refrigerator|freezer/.test((await host.value(`/proc/${pid}/wchan`)) ?? "")) continue;
    found.set(pid, since);
  }
  return found;
}

/** When a process that waits so that no signal reaches it was started, in the kernel's ticks; undefined for others. */
async function waitOf(host: Host, pid: string): Promise<string | undefined> {
  const stat = (await host.value(`/proc/${pid}/stat`)) ?? "";
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "D" ? fields[19] : undefined;
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
      why: "no signal reaches it until what it waits for answers, a disk or a server: its pod stays in Terminating",
      mend: `cat /proc/${pid}/stack; grep -E ' - (nfs4?|cifs|smb3|ceph|fuse[^ ]*) ' /proc/${pid}/mountinfo; dmesg | tail -n 20 # bring back the server or disk that these name, or: umount -f PLACE`,
    }),
  ];
}
