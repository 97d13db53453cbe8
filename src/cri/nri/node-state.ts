// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
import { mapAtOnce } from "../../base/map-at-once.ts";
import type { ContainerUpdate } from "../../nri/messages.ts";
import type { NodeState } from "../../nri/ports.ts";
import { type ChangeLimitsNeeds, changeLimits } from "../container/change-limits.ts";
import type { CriParts } from "../parts.ts";
import { type KillNeeds, killContainer } from "../task/stop-task.ts";
import { toLimitChange } from "./resource-messages.ts";

export type UpdateNeeds = ChangeLimitsNeeds & Pick<CriParts, "log" | "operations">;
type Needs = UpdateNeeds & KillNeeds & Pick<CriParts, "liveSandboxes" | "nri" | "sandboxes">;

/** What a plugin makes of another container must not hold up for long what it was asked about. */
const updateMs = 10_000;
const evictMs = 60_000;
/** Answers may have thousands. */
const updatesAtOnce = 16;

/** What plugins know of the node, and may ask of it. */
export function nodeState(parts: Needs): NodeState {
  const { containers, log, nri, operations, sandboxes } = parts;
  return {
    // Who comes when a removal has been told hears nothing more of it.
    pods: () =>
      [...sandboxes.list()]
        .filter(({ id }) => !parts.liveSandboxes.get(id)?.isTold("removed"))
        .map((record) => nri.pod(record)),
    containers: () =>
      [...containers.list()]
        .filter(({ state }) => state.kind === "created" || state.kind === "running")
        .filter(({ id }) => !parts.liveContainers.get(id)?.isTold("removed"))
        .map((record) => nri.container(record)),
    hasContainer: (id) => containers.get(id) !== undefined,
    update: (updates, call) => failedUpdates(parts, updates, call),
    evict: async (id, reason, call) => {
      const record = containers.get(id);
      if (record === undefined || record.state.kind === "exited") return;
      if (record.state.kind === "created") {
        throw fault("FAILED_PRECONDITION", `cannot evict container "${id}": it has not started`);
      }
      log.warn({ container: id, reason }, "container is evicted");
      parts.liveContainers.of(id).evict(reason);
      const limit = { ms: evictMs, what: `the eviction of container "${id}"` };
      await operations.perform({ rpc: "NRI eviction", object: id, limit }, call, (op) =>
        op.run("stop", () => killContainer(parts, record, op)),
      );
    },
  };
}

/** Applies updates of containers, those of one container in turn; answers those that failed and may not. */
export async function failedUpdates(
  parts: UpdateNeeds,
  updates: readonly ContainerUpdate[],
  call: Cancellable,
): Promise<readonly ContainerUpdate[]> {
  const failed = await mapAtOnce(updates, updatesAtOnce, async (update) => {
    const applied = await tryUpdate(parts, update, call);
    return applied || update.ignoreFailure ? [] : [update];
  });
  call.signal.throwIfAborted();
  return failed.flat();
}

/** True when it holds, or when nobody knows the container. */
async function tryUpdate(
  parts: UpdateNeeds,
  { containerId: id, linux, ignoreFailure }: ContainerUpdate,
  call: Cancellable,
): Promise<boolean> {
  if (!linux?.resources || !parts.containers.get(id)) return true;
  const change = toLimitChange(linux.resources);
  const limit = { ms: updateMs, what: `a plugin's update of container "${id}"` };
  try {
    await parts.operations.perform({ rpc: "NRI update", object: id, limit }, call, (op) =>
      changeLimits(parts, op, id, change),
    );
    return true;
  } catch (error) {
    const gone = isFault(error, "NOT_FOUND");
    if (!gone) {
      const level = ignoreFailure ? "info" : "warn";
      parts.log[level]({ err: error, container: id }, "a plugin's update of a container failed");
    }
    return gone;
  }
}
