// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { isFault } from "../../base/errors.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { Snapshotter } from "../../snapshots/ports.ts";
import type { Facade } from "../facade.ts";
import { act } from "../lifecycle/acts.ts";
import { criNamespace } from "../ports.ts";
import { settled, stopAtOnce } from "../sandbox/sandbox-take-down.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import { absentAsUndefined, purgeTask } from "../task/purge-task.ts";

const removeMs = 120_000;

/** Removes a container and all it has, by force when it runs. A second removal joins the first. */
export function removeContainerByForce(
  facade: Facade,
  record: ContainerRecord,
  call: Cancellable,
): Promise<void> {
  return act(facade, "remove", record.id, (own) => remove(facade, record, own), call);
}

async function remove(facade: Facade, record: ContainerRecord, own: Cancellable): Promise<void> {
  const { id, sandboxId } = record;
  if (!facade.containers.get(id)) return;
  using limit = deadline(removeMs, `removing container "${id}"`, own.signal);
  using op = facade.operations.claim("RemoveContainer", id);
  const live = facade.live.of(id);
  live.ending = true;
  await op.run("stop", () => stopAtOnce(facade, record, limit));
  if (live.finished)
    await op.run("task", () => unlessAborted(live.finished ?? Promise.resolve(), limit.signal));
  await op.run("remains", () => removeRemains(facade, id, limit));
  await op.run("record", () => facade.containers.delete(id));
  facade.live.delete(id);
  facade.publish({ type: "deleted", containerId: id, sandboxId });
}

/**
 * Removes what a sandbox has of containers without a record of ours: a damaged one is set aside at the
 * start, and its container, which may run, can only go with its pod.
 */
export async function removeUnrecorded(
  facade: Facade,
  sandboxId: string,
  call: Cancellable,
): Promise<void> {
  const all = await facade.ports.client.containers([], call);
  const unknown = all.filter(
    ({ id, record }) => record.sandbox === sandboxId && !facade.containers.get(id),
  );
  await settled(unknown.map(({ id }) => removeRemains(facade, id, call)));
}

/** Everything but the CRI record: task, containerd record, snapshot, log FIFOs, files. Idempotent. */
export async function removeRemains(facade: Facade, id: string, call: Cancellable): Promise<void> {
  const { client, snapshotter, images, remover } = facade.ports;
  const live = facade.live.of(id);
  const container = await purgeTask(client, id, live.container, call);
  const parent = parentOf(snapshotter, id);
  await settled([
    container ? absentAsUndefined(() => container.delete(call)) : Promise.resolve(),
    absentAsUndefined(() => snapshotter.remove(criNamespace, id, call)),
    remover.remove(facade.paths.container(id)),
    disposeOf(live.log),
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

async function disposeOf(log: AsyncDisposable | undefined): Promise<void> {
  await log?.[Symbol.asyncDispose]();
}
