// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { allSettled, unlessAborted } from "../../base/waits.ts";
import {
  type RemoveNeeds,
  removeContainerByForce,
  removeUnrecorded,
} from "../container/container-remove.ts";
import type { Operation } from "../lifecycle/operation.ts";
import { type TakeDownNeeds, takeDownSandbox } from "../sandbox/sandbox-take-down.ts";
import { containersOf } from "../store/container-record.ts";
import { absentAsUndefined, purgeTask } from "../task/purge-task.ts";
import type { Verb } from "./verb.ts";

export type RemovePodSandboxNeeds = TakeDownNeeds & RemoveNeeds;
type Needs = RemovePodSandboxNeeds;

const removeMs = 120_000;
/** After so many failures to take its network down a sandbox goes all the same. */
const networkFailuresBorne = 3;

/** RemovePodSandbox: idempotent; stops what runs and removes the containers too. */
export function removePodSandbox(parts: Needs): Verb<"RemovePodSandbox"> {
  return async (request, call) => {
    const record = parts.sandboxes.find(request.podSandboxId);
    if (!record) return {};
    const { id } = record;
    await parts.operations.perform(
      {
        rpc: "RemovePodSandbox",
        object: id,
        joins: true,
        limit: { ms: removeMs, what: `removing sandbox "${id}"` },
      },
      call,
      (op) => remove(parts, op, id),
    );
    return {};
  };
}

async function remove(parts: Needs, op: Operation, id: string): Promise<void> {
  const { sandboxes } = parts;
  await takeDownSandbox(parts, op, id);
  await settleNetwork(parts, id);
  await op.run("remove containers", async () => {
    const containers = containersOf(parts.containers, id);
    await allSettled(containers.map((record) => removeContainerByForce(parts, record, op)));
    await removeUnrecorded(parts, id, op);
  });
  const live = parts.liveSandboxes.of(id);
  const { finished } = live;
  if (finished) await op.run("shim", () => unlessAborted(finished, op.signal));
  const container = await op.run("remains", () => purgeTask(parts.client, id, live.container, op));
  const last = sandboxes.get(id);
  await parts.nri.podRemoved(id, op);
  await op.run("record", async () => {
    try {
      // Both in one go: what is left of one of them alone, after a crash, the next start removes.
      await allSettled([
        container && absentAsUndefined(() => container.delete(op)),
        sandboxes.delete(id),
      ]);
    } catch (error) {
      // The next call finds the sandbox then, and tries again.
      if (last && !sandboxes.get(id)) await sandboxes.put(last);
      throw error;
    }
  });
  parts.liveSandboxes.delete(id);
  parts.events.publish({ type: "deleted", containerId: id, sandboxId: id }, last);
}

/** Refuses to go on while the network is not down, but not for ever. */
async function settleNetwork(
  parts: Pick<Needs, "liveSandboxes" | "log" | "network" | "sandboxes">,
  id: string,
): Promise<void> {
  const { log, network, sandboxes } = parts;
  const record = sandboxes.get(id);
  if (record?.network.kind !== "up" && record?.network.kind !== "pending") return;
  const { networkFailures } = parts.liveSandboxes.of(id);
  if (networkFailures < networkFailuresBorne) {
    throw fault("UNAVAILABLE", `cannot remove sandbox "${id}": its network is not down yet`);
  }
  log.error(
    { sandbox: id, failures: networkFailures },
    "sandbox removed although its network could not be taken down: that is tried again later",
  );
  await network.abandon(id);
}
