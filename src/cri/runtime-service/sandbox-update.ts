// SPDX-License-Identifier: Apache-2.0
import type { Facade, Verb } from "../facade.ts";

/**
 * UpdatePodSandboxResources: remembers what the kubelet has made of the pod's cgroup, which is its own
 * to change; verbose status shows it. NOT_FOUND for an unknown sandbox.
 */
export function updatePodSandboxResources(facade: Facade): Verb<"UpdatePodSandboxResources"> {
  return async ({ podSandboxId, overhead, resources }) => {
    const { id } = facade.sandboxes.require(podSandboxId);
    using op = facade.operations.claim("UpdatePodSandboxResources", id);
    await op.run("record", () =>
      facade.sandboxes.update(id, (record) => ({ ...record, resources: { overhead, resources } })),
    );
    return {};
  };
}
