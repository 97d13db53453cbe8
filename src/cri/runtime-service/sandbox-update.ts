// SPDX-License-Identifier: Apache-2.0
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<CriParts, "nri" | "operations" | "sandboxes">;

/**
 * UpdatePodSandboxResources: remembers what the kubelet has made of the pod's cgroup, which is its own
 * to change; verbose status shows it. NOT_FOUND for an unknown sandbox.
 */
export function updatePodSandboxResources({
  nri,
  operations,
  sandboxes,
}: Needs): Verb<"UpdatePodSandboxResources"> {
  return async ({ podSandboxId, overhead, resources }, call) => {
    const { id } = sandboxes.require(podSandboxId);
    const request = { rpc: "UpdatePodSandboxResources", object: id };
    await operations.perform(request, call, async (op) => {
      await nri.podUpdates(op, sandboxes.require(id), overhead, resources);
      const updated = await op.run("record", () =>
        sandboxes.update(id, (record) => ({ ...record, resources: { overhead, resources } })),
      );
      if (updated) await nri.podUpdated(updated, op);
    });
    return {};
  };
}
