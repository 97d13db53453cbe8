// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { allSettled, settlesWithin } from "../../base/waits.ts";
import type { LateRecords } from "../lifecycle/late-records.ts";
import type { CriParts } from "../parts.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import type { SandboxRecord } from "../store/sandbox-record.ts";
import { lateExecs } from "./leftover-execs.ts";
import { findLeftovers, type LeftoverNeeds } from "./leftovers.ts";
import { type RecoverCheckpointsNeeds, recoverCheckpoints } from "./recover-checkpoints.ts";
import { type RecoverContainerNeeds, recoverContainer } from "./recover-container.ts";
import {
  type RecoverLateNeeds,
  recoverLate,
  runsAllTheSame,
  type Unrecovered,
} from "./recover-late.ts";
import { type RecoverSandboxNeeds, recoverSandbox } from "./recover-sandbox.ts";

type Needs = RecoverContainerNeeds &
  RecoverSandboxNeeds &
  RecoverCheckpointsNeeds &
  LeftoverNeeds &
  RecoverLateNeeds &
  Pick<CriParts, "lateTask">;

const recordMs = 10_000;
/** Usually there are none or they go at once; a network's plugins, or a task that does not end, are not waited for. */
const leftoversMs = 300;

export interface RecoverySummary {
  readonly sandboxes: number;
  readonly containers: number;
  /** Records that could not be recovered in time; they are shown as unknown or not ready, unless they run all the same. */
  readonly failed: readonly { readonly id: string; readonly reason: string }[];
  /** What belonged to no record and was removed. */
  readonly leftovers: readonly string[];
  /** Settles once nothing of the recovery goes on; never rejects. */
  readonly rest: Promise<void>;
}

/** FIFOs of containers that went with their shim, and of execs that nobody waits for any more. */
async function removeOrphanLogs(
  { log, logs }: Pick<CriParts, "log" | "logs">,
  kept: readonly string[],
): Promise<void> {
  try {
    const folders = await logs.removeOrphans(kept);
    if (folders > 0) log.info({ folders }, "FIFOs without a container removed");
  } catch (error) {
    log.error({ err: error }, "FIFOs without a container could not be removed");
  }
}

/**
 * Makes the façade whole after a start: every record is compared with the runtime, all side by side,
 * each with its own deadline; then what belongs to no record goes, which may take longer. Assumes that the runtime below has
 * recovered its tasks, and that nobody calls yet. A bad record never fails the others, and one whose task is late is shown as it
 * was until that is there, or gone.
 */
export async function recoverAll(
  parts: Needs,
  late: LateRecords,
  call: Cancellable,
): Promise<RecoverySummary> {
  const { sandboxes, containers, lateTask } = parts;
  const failed: { id: string; reason: string }[] = [];
  /** Answers whether that is to be tried again. */
  const guarded = async (record: Unrecovered): Promise<boolean> => {
    using limit = deadline(recordMs, `recovering "${record.id}"`, call.signal);
    try {
      await record.attempt(limit);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      failed.push({ id: record.id, reason });
      parts.log.error({ err: error, id: record.id }, "record could not be recovered");
      if (await runsAllTheSame(parts, record, error)) return true;
      record.giveUp(reason);
    }
    return false;
  };
  // Shown first, in the order of their making; nobody sees them before the gate opens.
  for (const record of sandboxes.stored()) {
    if (record.state.kind !== "creating") sandboxes.show(record);
  }
  for (const record of containers.stored()) containers.show(record);
  /** The first attempts at what is late, and all that goes on with a record beside the calls. */
  const firsts = new Map<string, Promise<void>>();
  const pending = new Map<string, Promise<void>>();
  /** What it waits for is not waited for here. */
  const bringBack = async (
    record: Unrecovered,
    sandboxId: string,
    before: readonly (Promise<void> | undefined)[],
  ): Promise<void> => {
    const awaited = before.filter((one) => one !== undefined);
    if (awaited.length === 0) {
      if (await guarded(record)) pending.set(record.id, recoverLate(parts, record));
      return;
    }
    const attempt = Promise.all(awaited).then(() => guarded(record));
    const first = late.during(record.id, sandboxId, attempt);
    firsts.set(
      record.id,
      first.then(() => {}),
    );
    const work = first.then((goesOn) => (goesOn ? recoverLate(parts, record) : undefined));
    pending.set(record.id, work);
  };
  await Promise.all(
    sandboxes
      .stored()
      .map((one) => bringBack(sandboxToRecover(parts, one), one.id, [lateTask(one.id)])),
  );
  await Promise.all(
    containers.stored().map((one) => {
      const before = [lateTask(one.id), firsts.get(one.sandboxId)];
      return bringBack(containerToRecover(parts, one), one.sandboxId, before);
    }),
  );
  const thawed = await recoverCheckpoints(parts, pending);
  const endLateExecs = await lateExecs(parts, pending);
  const removeLeftovers = await findLeftovers(parts, [...pending.keys()], call);
  await removeOrphanLogs(parts, [...failed.map(({ id }) => id), ...pending.keys()]);
  const leftovers: string[] = [];
  const removed = removeLeftovers(call).then((names) => void leftovers.push(...names));
  await settlesWithin(removed, leftoversMs);
  const rest = allSettled([removed, thawed.later, endLateExecs(), ...pending.values()]).then(
    () => {},
  );
  return { sandboxes: sandboxes.size, containers: containers.size, failed, leftovers, rest };
}

function sandboxToRecover(parts: Needs, record: SandboxRecord): Unrecovered {
  const { liveSandboxes, sandboxes } = parts;
  const { id, state } = record;
  const isReady = (): boolean => sandboxes.get(id)?.state.kind === "ready";
  return {
    id,
    ids: [id],
    pid: state.kind === "ready" ? state.pid : 0,
    isPending: () => isReady() && liveSandboxes.of(id).task === undefined,
    attempt: async (limit) => {
      try {
        await recoverSandbox(parts, record, limit);
      } finally {
        if (!sandboxes.get(id)) liveSandboxes.delete(id);
      }
    },
    // Not stored: the next start shall try again.
    giveUp: (reason) =>
      sandboxes.show({ ...(sandboxes.get(id) ?? record), state: { kind: "notReady", reason } }),
  };
}

function containerToRecover(parts: Needs, record: ContainerRecord): Unrecovered {
  const { containers, liveContainers } = parts;
  const { id, sandboxId, state } = record;
  const isRunning = (): boolean => containers.get(id)?.state.kind === "running";
  return {
    id,
    ids: [id, sandboxId],
    pid: state.kind === "running" ? state.pid : 0,
    isPending: () => isRunning() && liveContainers.of(id).task === undefined,
    attempt: async (limit) => {
      try {
        await recoverContainer(parts, record, limit);
      } finally {
        if (!containers.get(id)) {
          // It was removed meanwhile, before it had what is held of it now.
          await liveContainers.get(id)?.closeLog();
          liveContainers.delete(id);
        }
      }
    },
    giveUp: (reason) =>
      containers.show({ ...(containers.get(id) ?? record), state: { kind: "unknown", reason } }),
  };
}
