// SPDX-License-Identifier: Apache-2.0
import { type Cancellable, cleanupDeadline } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { toFault } from "../../base/errors.ts";
import { allSettled, settlesWithin, unlessAborted } from "../../base/waits.ts";
import { podName } from "../facts/pod-of.ts";
import { bothSettled } from "../lifecycle/both-settled.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { CriParts } from "../parts.ts";
import { containersOf } from "../store/container-record.ts";
import {
  becomeNotReady,
  netnsPathOf,
  networkRequest,
  type SandboxRecord,
  withoutNetwork,
} from "../store/sandbox-record.ts";
import { killNow, purgeTask } from "../task/purge-task.ts";
import { type StopNeeds, stopAtOnce } from "../task/stop-task.ts";
import { type RemoveVolumesNeeds, removeImageVolumes } from "./image-volumes.ts";
import { type RemoveFilesNeeds, removeSandboxFiles } from "./sandbox-files.ts";

export type TakeDownNeeds = StopNeeds &
  RemoveVolumesNeeds &
  RemoveFilesNeeds &
  Pick<CriParts, "facts" | "liveSandboxes" | "log" | "netns" | "network" | "nri" | "sandboxes">;

/**
 * A plugin that hangs on DEL must not take a kubelet's two minutes for StopPodSandbox: it would
 * never learn that the pod has stopped, and never come to remove it.
 */
const networkMs = 60_000;
const namespaceMs = 10_000;
/** How long killed containers may take before the sandbox's own process is killed as well. */
const containersMs = 5_000;
/** How long its network stays for plugins that shall have it when they learn of the stop. */
const pluginsMs = 10_000;

/**
 * Takes a sandbox out of service: its containers and then its task, which are killed and not asked. Nothing needs its
 * network any more, so that goes at the same time; but for plugins, which may have to take things back from it: before it
 * goes they are told. May be called again at any stage. A network that cannot be taken down
 * is logged and remembered, and fails nothing here: a broken plugin must not keep a pod from ending.
 */
export async function takeDownSandbox(
  parts: TakeDownNeeds,
  op: Operation,
  id: string,
): Promise<void> {
  parts.liveSandboxes.of(id).refuseNew();
  let ending: Promise<void> | undefined;
  const end = (): Promise<void> => (ending ??= endTasks(parts, op, id));
  await bothSettled(end, async () => {
    if (parts.nri.active) {
      await settlesWithin(end(), pluginsMs);
      await parts.nri.podStopped(id, op);
    }
    await op.run("network", () => takeDownNetwork(parts, id, op));
  });
  await parts.nri.podStopped(id, op);
}

async function endTasks(parts: TakeDownNeeds, op: Operation, id: string): Promise<void> {
  const stopContainers = (): Promise<unknown> =>
    op.run("containers", () =>
      allSettled(containersOf(parts.containers, id).map((it) => stopAtOnce(parts, it.id, op))),
    );
  const stopping = stopContainers();
  await settlesWithin(stopping, containersMs);
  await op.run("task", () => stopSandboxTask(parts, id, op));
  // The end of a shim that held them has ended them too.
  await stopping.catch(stopContainers);
  await op.run("image volumes", () => removeImageVolumes(parts, id, op));
  // Beside CNI, which takes longer: RemovePodSandbox has it behind it.
  await op.run("files", () => removeSandboxFiles(parts, id));
}

async function stopSandboxTask(parts: TakeDownNeeds, id: string, call: Cancellable): Promise<void> {
  const live = parts.liveSandboxes.of(id);
  if (live.task && live.exited) {
    if (!live.hasExited) await killNow(live.task, call);
    await unlessAborted(live.exited, call.signal);
  } else {
    await purgeTask(parts.client, id, live.container, call);
  }
  await parts.sandboxes.update(id, (record) => becomeNotReady(record, "it was stopped"));
}

async function takeDownNetwork(parts: TakeDownNeeds, id: string, call: Cancellable): Promise<void> {
  const record = parts.sandboxes.get(id);
  if (!record) return;
  const { kind } = record.network;
  if (kind === "host" || kind === "down") return;
  const isDown = await tryTakeDown(parts, record, call);
  await parts.sandboxes.update(id, (current) => {
    if (isDown) return withoutNetwork(current);
    const netnsPath = netnsPathOf(current);
    return { ...current, network: { kind: "pending", netnsPath } };
  });
}

function tellOfNetwork(
  { facts }: Pick<TakeDownNeeds, "facts">,
  { config }: SandboxRecord,
  error: unknown,
): void {
  const { metadata } = config;
  if (!metadata) return;
  const message = `CNI DEL failed, what the network's plugins gave the pod is not free yet: ${toFault(error).message}`;
  facts.tell({ kind: "NetworkCleanupFailed", pod: podName(metadata), subject: "", message });
}

async function tryTakeDown(
  parts: Pick<TakeDownNeeds, "facts" | "liveSandboxes" | "log" | "netns" | "network">,
  record: SandboxRecord,
  call: Cancellable,
): Promise<boolean> {
  const { log, netns, network } = parts;
  const path = netnsPathOf(record);
  let isDown = true;
  try {
    using limit = deadline(networkMs, `taking down the network of "${record.id}"`, call.signal);
    const usable = path !== "" && (await netns.isAlive(path)) ? path : "";
    await network.teardown(networkRequest(record, usable), limit);
  } catch (error) {
    isDown = false;
    log.warn({ err: error, sandbox: record.id }, "pod network could not be taken down");
    tellOfNetwork(parts, record, error);
  }
  try {
    if (path !== "") await netns.remove(path, { signal: cleanupDeadline(namespaceMs) });
  } catch (error) {
    isDown = false;
    log.warn({ err: error, sandbox: record.id, path }, "network namespace could not be removed");
  }
  if (!isDown) parts.liveSandboxes.of(record.id).networkFailed();
  return isDown;
}
