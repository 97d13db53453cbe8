// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { unlessAborted } from "../../base/waits.ts";
import { type WatchSandboxNeeds, watchSandbox } from "../container/exit-monitor.ts";
import type { CriParts } from "../parts.ts";
import { type RemoveFilesNeeds, removeSandboxFiles } from "../sandbox/sandbox-files.ts";
import {
  becomeNotReady,
  netnsPathOf,
  networkRequest,
  type SandboxRecord,
} from "../store/sandbox-record.ts";
import { absentAsUndefined, purgeContainer } from "../task/purge-task.ts";

export type RecoverSandboxNeeds = WatchSandboxNeeds &
  RemoveFilesNeeds &
  Pick<CriParts, "client" | "netns" | "network">;

/**
 * Brings one sandbox back. One that was being made when the daemon died was never answered, so it is
 * undone. Otherwise its task, if there is one, gets its exit monitor again, which finds out by itself
 * when the task has ended meanwhile.
 */
export async function recoverSandbox(
  parts: RecoverSandboxNeeds,
  record: SandboxRecord,
  call: Cancellable,
): Promise<void> {
  if (record.state.kind === "creating") return undoCreation(parts, record, call);
  const { client } = parts;
  const container = await absentAsUndefined(() => client.loadContainer(record.id, call));
  const found = container && (await absentAsUndefined(() => container.found(call)));
  if (!container || !found) {
    await parts.sandboxes.update(record.id, (current) =>
      becomeNotReady(current, "its task was gone when the daemon started"),
    );
    return;
  }
  const { task } = found;
  const { state } = found.status;
  // The record is written beside the task's start: this start never came to its end.
  if (state === "created") return undoCreation(parts, record, call);
  parts.liveSandboxes.of(record.id).keep(container);
  const exit = await task.wait({ signal: parts.lifetime });
  watchSandbox(parts, record.id, { task, exit });
  if (state !== "stopped") return;
  await unlessAborted(parts.liveSandboxes.of(record.id).exited ?? Promise.resolve(), call.signal);
}

async function undoCreation(
  parts: RecoverSandboxNeeds,
  record: SandboxRecord,
  call: Cancellable,
): Promise<void> {
  const { client, log, netns, network, sandboxes } = parts;
  const { id } = record;
  await purgeContainer(client, id, undefined, call);
  const netnsPath = netnsPathOf(record);
  if (netnsPath !== "") {
    const usable = (await netns.isAlive(netnsPath)) ? netnsPath : "";
    await network.teardown(networkRequest(record, usable), call);
    await netns.remove(netnsPath, call);
  }
  await removeSandboxFiles(parts, id);
  await sandboxes.delete(id);
  log.info({ sandbox: id }, "half-made sandbox removed");
}
