// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { fault } from "../../base/errors.ts";
import { unlessAborted } from "../../base/waits.ts";
import { removeContainerByForce, removeUnrecorded } from "../container/container-remove.ts";
import { containersOf, type Facade, type Verb } from "../facade.ts";
import { act } from "../lifecycle/acts.ts";
import { removeSandboxFiles } from "../sandbox/sandbox-files.ts";
import { settled, takeDownSandbox } from "../sandbox/sandbox-take-down.ts";
import { purgeContainer } from "../task/purge-task.ts";

const removeMs = 120_000;
/** After so many failures to take its network down a sandbox goes all the same. */
const networkFailuresBorne = 3;

/** RemovePodSandbox: idempotent; stops what runs and removes the containers too. */
export function removePodSandbox(facade: Facade): Verb<"RemovePodSandbox"> {
  return async (request, call) => {
    const record = facade.sandboxes.find(request.podSandboxId);
    if (!record) return {};
    await act(facade, "remove", record.id, (own) => remove(facade, record.id, own), call);
    return {};
  };
}

async function remove(facade: Facade, id: string, own: Cancellable): Promise<void> {
  if (!facade.sandboxes.get(id)) return;
  const { ports, paths } = facade;
  using limit = deadline(removeMs, `removing sandbox "${id}"`, own.signal);
  using op = facade.operations.claim("RemovePodSandbox", id);
  await takeDownSandbox(facade, op, id, limit);
  await settleNetwork(facade, id);
  await op.run("remove containers", async () => {
    await settled(
      containersOf(facade, id).map((record) => removeContainerByForce(facade, record, limit)),
    );
    await removeUnrecorded(facade, id, limit);
  });
  const live = facade.live.of(id);
  if (live.finished)
    await op.run("shim", () => unlessAborted(live.finished ?? Promise.resolve(), limit.signal));
  await op.run("remains", () =>
    settled([
      purgeContainer(ports.client, id, live.container, limit),
      removeSandboxFiles(id, paths, ports),
    ]),
  );
  const last = facade.sandboxes.get(id);
  await op.run("record", () => facade.sandboxes.delete(id));
  facade.live.delete(id);
  facade.publish({ type: "deleted", containerId: id, sandboxId: id }, last);
}

/** Refuses to go on while the network is not down, but not for ever. */
async function settleNetwork(facade: Facade, id: string): Promise<void> {
  const record = facade.sandboxes.get(id);
  if (record?.network.kind !== "up" && record?.network.kind !== "pending") return;
  const { networkFailures } = facade.live.of(id);
  if (networkFailures < networkFailuresBorne) {
    throw fault("UNAVAILABLE", `cannot remove sandbox "${id}": its network is not down yet`);
  }
  facade.ports.log.error(
    { sandbox: id, failures: networkFailures },
    "sandbox removed although its network could not be taken down: that is tried again later",
  );
  await facade.ports.network.abandon(id);
}
