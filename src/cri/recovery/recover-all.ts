// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { settlesWithin } from "../../base/waits.ts";
import type { CriParts } from "../parts.ts";
import type { NamedRecord } from "../store/record-store.ts";
import { findLeftovers, type LeftoverNeeds } from "./leftovers.ts";
import { type RecoverCheckpointsNeeds, recoverCheckpoints } from "./recover-checkpoints.ts";
import { type RecoverContainerNeeds, recoverContainer } from "./recover-container.ts";
import { type RecoverSandboxNeeds, recoverSandbox } from "./recover-sandbox.ts";

type Needs = RecoverContainerNeeds & RecoverSandboxNeeds & RecoverCheckpointsNeeds & LeftoverNeeds;

const recordMs = 10_000;
/** Usually there are none or they go at once; a network's plugins, or a task that does not end, are not waited for. */
const leftoversMs = 300;

export interface RecoverySummary {
  readonly sandboxes: number;
  readonly containers: number;
  /** Records that could not be recovered; they are shown as unknown or not ready. */
  readonly failed: readonly { readonly id: string; readonly reason: string }[];
  /** What belonged to no record and was removed. */
  readonly leftovers: readonly string[];
  /** Settles once nothing of the recovery goes on; never rejects. */
  readonly rest: Promise<void>;
}

/** FIFOs of containers that went with their shim, and of execs that nobody waits for any more. */
async function removeOrphanLogs({ log, logs }: Pick<CriParts, "log" | "logs">): Promise<void> {
  try {
    const folders = await logs.removeOrphans();
    if (folders > 0) log.info({ folders }, "FIFOs without a container removed");
  } catch (error) {
    log.error({ err: error }, "FIFOs without a container could not be removed");
  }
}

/**
 * Makes the façade whole after a start: every record is compared with the runtime, all side by side,
 * each with its own deadline; then what belongs to no record goes, which may take longer. Assumes that the runtime below has
 * recovered its tasks, and that nobody calls yet. A bad record never fails the others.
 */
export async function recoverAll(parts: Needs, call: Cancellable): Promise<RecoverySummary> {
  const { sandboxes, containers } = parts;
  const failed: { id: string; reason: string }[] = [];
  const guarded = async <R extends NamedRecord>(
    record: R,
    work: (parts: Needs, record: R, call: Cancellable) => Promise<void>,
    giveUp: (reason: string) => void,
  ): Promise<void> => {
    using limit = deadline(recordMs, `recovering "${record.id}"`, call.signal);
    try {
      await work(parts, record, limit);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      failed.push({ id: record.id, reason });
      parts.log.error({ err: error, id: record.id }, "record could not be recovered");
      giveUp(reason);
    }
  };
  // Shown first, in the order of their making; nobody sees them before the gate opens.
  for (const record of sandboxes.stored()) {
    if (record.state.kind !== "creating") sandboxes.show(record);
  }
  for (const record of containers.stored()) containers.show(record);
  await Promise.all(
    sandboxes.stored().map((record) =>
      guarded(record, recoverSandbox, (reason) =>
        // Not stored: the next start shall try again.
        sandboxes.show({ ...record, state: { kind: "notReady", reason } }),
      ),
    ),
  );
  await Promise.all(
    containers
      .stored()
      .map((record) =>
        guarded(record, recoverContainer, (reason) =>
          containers.show({ ...record, state: { kind: "unknown", reason } }),
        ),
      ),
  );
  await recoverCheckpoints(parts);
  const removeLeftovers = await findLeftovers(parts, call);
  await removeOrphanLogs(parts);
  const leftovers: string[] = [];
  const rest = removeLeftovers(call).then((removed) => void leftovers.push(...removed));
  await settlesWithin(rest, leftoversMs);
  return { sandboxes: sandboxes.size, containers: containers.size, failed, leftovers, rest };
}
