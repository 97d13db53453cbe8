// SPDX-License-Identifier: Apache-2.0
import { type Cancellable, cleanupDeadline } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { settlesWithin, unlessAborted } from "../../base/waits.ts";
import { containersOf, type Facade } from "../facade.ts";
import { awaitAct } from "../lifecycle/acts.ts";
import { bothSettled } from "../lifecycle/both-settled.ts";
import type { Claim as Operation } from "../lifecycle/claim.ts";
import type { ContainerRecord } from "../store/container-record.ts";
import {
  becomeNotReady,
  netnsPathOf,
  networkRequest,
  type SandboxRecord,
  withoutNetwork,
} from "../store/sandbox-record.ts";
import { killNow, purgeTask } from "../task/purge-task.ts";
import { stopContainerTask } from "../task/stop-task.ts";
import { removeImageVolumes } from "./image-volumes.ts";

/**
 * A plugin that hangs on DEL must not take a kubelet's two minutes for StopPodSandbox: it would
 * never learn that the pod has stopped, and never come to remove it.
 */
const networkMs = 60_000;
const namespaceMs = 10_000;
/** How long killed containers may take before the sandbox's own process is killed as well. */
const containersMs = 5_000;

/**
 * Takes a sandbox out of service: its containers and then its task, and beside that its network, which
 * nothing needs any more: what runs is killed, not asked. May be called again at any stage. A network that cannot be taken down is logged and remembered, and
 * fails nothing here: a broken plugin must not keep a pod from ending.
 */
export async function takeDownSandbox(
  facade: Facade,
  op: Operation,
  id: string,
  call: Cancellable,
): Promise<void> {
  facade.live.of(id).ending = true;
  await bothSettled(
    async () => {
      const stopContainers = (): Promise<void> =>
        op.run("containers", () =>
          settled(containersOf(facade, id).map((record) => stopAtOnce(facade, record, call))),
        );
      const stopping = stopContainers();
      await settlesWithin(stopping, containersMs);
      await op.run("task", () => stopSandboxTask(facade, id, call));
      // The end of a shim that held them has ended them too.
      await stopping.catch(stopContainers);
      await op.run("image volumes", () => removeImageVolumes(facade, id, call));
    },
    () => op.run("network", () => takeDownNetwork(facade, id, call)),
  );
}

/** Waits for all; then throws the first failure, if any. */
export async function settled(work: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) {
    if (result.status === "rejected") throw result.reason;
  }
}

/** Kills a container if it runs, or will in a moment. */
export async function stopAtOnce(
  facade: Facade,
  record: ContainerRecord,
  call: Cancellable,
): Promise<void> {
  await awaitAct(facade, "start", record.id, call);
  const current = facade.containers.get(record.id);
  if (current?.state.kind !== "running" && current?.state.kind !== "unknown") return;
  await stopContainerTask(facade, current, 0, call);
}

async function stopSandboxTask(facade: Facade, id: string, call: Cancellable): Promise<void> {
  const live = facade.live.of(id);
  if (live.task && live.exited) {
    if (!live.hasExited) await killNow(live.task, call);
    await unlessAborted(live.exited, call.signal);
  } else {
    await purgeTask(facade.ports.client, id, live.container, call);
  }
  await facade.sandboxes.update(id, (record) => becomeNotReady(record, "it was stopped"));
}

async function takeDownNetwork(facade: Facade, id: string, call: Cancellable): Promise<void> {
  const record = facade.sandboxes.get(id);
  if (!record) return;
  const { kind } = record.network;
  if (kind === "host" || kind === "down") return;
  const isDown = await tryTakeDown(facade, record, call);
  await facade.sandboxes.update(id, (current) => {
    if (isDown) return withoutNetwork(current);
    const netnsPath = netnsPathOf(current);
    return { ...current, network: { kind: "pending", netnsPath } };
  });
}

async function tryTakeDown(
  facade: Facade,
  record: SandboxRecord,
  call: Cancellable,
): Promise<boolean> {
  const { netns, network, log } = facade.ports;
  const path = netnsPathOf(record);
  let isDown = true;
  try {
    using limit = deadline(networkMs, `taking down the network of "${record.id}"`, call.signal);
    const usable = path !== "" && (await netns.isAlive(path)) ? path : "";
    await network.teardown(networkRequest(record, usable), limit);
  } catch (error) {
    isDown = false;
    log.warn({ err: error, sandbox: record.id }, "pod network could not be taken down");
  }
  try {
    if (path !== "") await netns.remove(path, { signal: cleanupDeadline(namespaceMs) });
  } catch (error) {
    isDown = false;
    log.warn({ err: error, sandbox: record.id, path }, "network namespace could not be removed");
  }
  if (!isDown) facade.live.of(record.id).networkFailures += 1;
  return isDown;
}
