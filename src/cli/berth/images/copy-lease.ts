// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readlinkSync } from "node:fs";
import { isFault } from "../../../base/errors.ts";
import { identify, isAlive } from "../../../base/os/proc.ts";
import { nanosOf } from "../../../rpc/timestamp.ts";
import type { Session } from "../call-options.ts";
import { type Lease, openLease } from "../lease.ts";

/** Longer than any copy. */
const leaseMs = 24 * 3_600_000;
/** Of whose copy a lease is: boot, PID namespace, pid and start time of its process. */
const holderLabel = "io.berth/copied-by";

/** Keeps what is copied until its image has its name. A copy that is killed leaves it, for the next one to go on with. */
export async function openCopyLease(session: Session): Promise<Lease> {
  const here = whereabouts();
  if (here === undefined) return openLease(session, leaseMs);
  const { boot, namespace } = here;
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
  if (here === undefined) return;
  for (const { id, labels, createdAt } of leases) {
    const holder = labels[holderLabel];
    const createdMs = Number(nanosOf(createdAt ?? undefined) / 1_000_000n);
    if (holder === undefined || !isLeft({ holder, createdMs }, here)) continue;
    try {
      await service.Delete({ id }, scoped);
    } catch (error) {
      if (!isFault(error, "NOT_FOUND")) throw error; // another copy has ended it meanwhile
    }
  }
}

interface Whereabouts {
  readonly boot: string;
  readonly bootedMs: number;
  readonly namespace: string;
}

/**
 * Whose process is gone. Of one in another PID namespace nobody here knows, nor of one with another boot id, as containers
 * may have, since this machine has booted. Exported for tests.
 */
export function isLeft(
  { holder, createdMs }: { readonly holder: string; readonly createdMs: number },
  { boot, bootedMs, namespace }: Whereabouts,
): boolean {
  const [itsBoot, itsNamespace, pid, startTime = ""] = holder.split(" ");
  if (itsBoot !== boot) return createdMs < bootedMs;
  return itsNamespace === namespace && !isAlive({ pid: Number(pid), startTime });
}

/** undefined where the kernel does not tell all of it, as in some containers. */
function whereabouts(): Whereabouts | undefined {
  try {
    const seconds = /^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1];
    return {
      boot: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      bootedMs: Number(seconds ?? 0) * 1000,
      namespace: readlinkSync("/proc/self/ns/pid"),
    };
  } catch {
    return undefined;
  }
}
