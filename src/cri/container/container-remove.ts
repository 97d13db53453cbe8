// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault } from "../../base/errors.ts";
import { allSettled, unlessAborted } from "../../base/waits.ts";
import type { Snapshotter } from "../../snapshots/ports.ts";
import type { CriParts } from "../parts.ts";
import { criNamespace } from "../ports.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { absentAsUndefined, purgeTask } from "../task/purge-task.ts";
import { type StopNeeds, stopAtOnce } from "../task/stop-task.ts";

export type RemainsNeeds = Pick<
  CriParts,
  "client" | "images" | "liveContainers" | "paths" | "remover" | "snapshotter"
>;

export type RemoveNeeds = StopNeeds & RemainsNeeds & Pick<CriParts, "events">;

const removeMs = 120_000;

/** Removes a container and all it has, by force when it runs. A second removal joins the first. */
export function removeContainerByForce(
  parts: RemoveNeeds,
  { id, sandboxId }: ContainerRecord,
  call: Cancellable,
): Promise<void> {
  const { containers, liveContainers, operations } = parts;
  const request = {
    rpc: "RemoveContainer",
    object: id,
    joins: true,
    limit: { ms: removeMs, what: `removing container "${id}"` },
  };
  return operations.perform(request, call, async (op) => {
    const live = liveContainers.of(id);
    live.refuseNew();
    await op.run("stop", () => stopAtOnce(parts, id, op));
    const { finished } = live;
    if (finished) await op.run("task", () => unlessAborted(finished, op.signal));
    await parts.nri.removed(id, op);
    await op.run("remains", () => removeRemains(parts, id, op));
    await op.run("record", () => containers.delete(id));
    liveContainers.delete(id);
    parts.events.publish({ type: "deleted", containerId: id, sandboxId });
  });
}

/**
 * Removes what a sandbox has of containers without a record of ours: a damaged one is set aside at the
 * start, and its container, which may run, can only go with its pod.
 */
export async function removeUnrecorded(
  parts: RemainsNeeds & Pick<CriParts, "containers">,
  sandboxId: string,
  call: Cancellable,
): Promise<void> {
  const all = await parts.client.containers([], call);
  const unknown = all.filter(
    ({ id, record }) => record.sandbox === sandboxId && !parts.containers.get(id),
  );
  await allSettled(unknown.map(({ id }) => removeRemains(parts, id, call)));
}

/** Everything but the CRI record: task, containerd record, snapshot, log FIFOs, files. Idempotent. */
export async function removeRemains(
  parts: RemainsNeeds,
  id: string,
  call: Cancellable,
): Promise<void> {
  const { client, snapshotter, images, remover } = parts;
  const live = parts.liveContainers.of(id);
  const container = await purgeTask(client, id, live.container, call);
  const parent = parentOf(snapshotter, id);
  await allSettled([
    container ? absentAsUndefined(() => container.delete(call)) : Promise.resolve(),
    absentAsUndefined(() => snapshotter.remove(criNamespace, id, call)),
    remover.remove(parts.paths.container(id)),
    live.closeLog(),
  ]);
  if (parent !== undefined) images.released(parent);
}

function parentOf(snapshotter: Snapshotter, key: string): string | undefined {
  try {
    return snapshotter.stat(criNamespace, key).parent;
  } catch (error) {
    if (isFault(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}
