// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readlinkSync } from "node:fs";
import { identify, isAlive } from "../../../base/os/proc.ts";
import type { Session } from "../call-options.ts";
import { type Lease, openLease } from "../lease.ts";

/** Longer than any copy. */
const leaseMs = 24 * 3_600_000;
/** Of whose copy a lease is: boot, PID namespace, pid and start time of its process. */
const holderLabel = "io.berth/copied-by";

/** Keeps what is copied until its image has its name. A copy that is killed leaves it, for the next one to go on with. */
export async function openCopyLease(session: Session): Promise<Lease> {
  const { boot, namespace } = whereabouts();
  const { pid = process.pid, startTime = "" } = identify(process.pid) ?? {};
  const holder = [boot, namespace, pid, startTime].join(" ");
  return openLease(session, leaseMs, { [holderLabel]: holder });
}

/** Ends the leases of copies that were killed: call it where all that they may hold is held by images. */
export async function endLeftLeases(session: Session): Promise<void> {
  const { scoped } = session;
  const service = session.client("containerd.services.leases.v1.Leases");
  const { leases } = await service.List({ filters: [] }, scoped);
  const here = whereabouts();
  for (const { id, labels } of leases) {
    const holder = labels[holderLabel];
    if (holder !== undefined && isLeft(holder, here)) await service.Delete({ id }, scoped);
  }
}

interface Whereabouts {
  readonly boot: string;
  readonly namespace: string;
}

/** Whose process is gone. Of one in another PID namespace nobody here knows. */
function isLeft(holder: string, { boot, namespace }: Whereabouts): boolean {
  const [itsBoot, itsNamespace, pid, startTime = ""] = holder.split(" ");
  if (itsBoot !== boot) return true;
  return itsNamespace === namespace && !isAlive({ pid: Number(pid), startTime });
}

function whereabouts(): Whereabouts {
  return {
    boot: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    namespace: readlinkSync("/proc/self/ns/pid"),
  };
}
