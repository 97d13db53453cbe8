// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { unlessAborted } from "../../base/waits.ts";
import { watchSandbox } from "../container/exit-monitor.ts";
import type { Facade } from "../facade.ts";
import { removeSandboxFiles } from "../sandbox/sandbox-files.ts";
import {
  becomeNotReady,
  netnsPathOf,
  networkRequest,
  type SandboxRecord,
} from "../store/sandbox-record.ts";
import { absentAsUndefined, purgeContainer } from "../task/purge-task.ts";

/**
 * Brings one sandbox back. One that was being made when the daemon died was never answered, so it is
 * undone. Otherwise its task, if there is one, gets its exit monitor again, which finds out by itself
 * when the task has ended meanwhile.
 */
export async function recoverSandbox(
  facade: Facade,
  record: SandboxRecord,
  call: Cancellable,
): Promise<void> {
  if (record.state.kind === "creating") return undoCreation(facade, record, call);
  const { client } = facade.ports;
  const container = await absentAsUndefined(() => client.loadContainer(record.id, call));
  const task = container && (await absentAsUndefined(() => container.task(call)));
  if (!container || !task) {
    await facade.sandboxes.update(record.id, (current) =>
      becomeNotReady(current, "its task was gone when the daemon started"),
    );
    return;
  }
  const { state } = await task.status(call);
  // The record is written beside the task's start: this start never came to its end.
  if (state === "created") return undoCreation(facade, record, call);
  facade.live.of(record.id).container = container;
  watchSandbox(facade, record.id, task, await task.wait({ signal: facade.lifetime }));
  if (state !== "stopped") return;
  await unlessAborted(facade.live.of(record.id).exited ?? Promise.resolve(), call.signal);
}

async function undoCreation(
  facade: Facade,
  record: SandboxRecord,
  call: Cancellable,
): Promise<void> {
  const { ports, paths } = facade;
  const { id } = record;
  await purgeContainer(ports.client, id, undefined, call);
  const netnsPath = netnsPathOf(record);
  if (netnsPath !== "") {
    const usable = (await ports.netns.isAlive(netnsPath)) ? netnsPath : "";
    await ports.network.teardown(networkRequest(record, usable), call);
    await ports.netns.remove(netnsPath, call);
  }
  await removeSandboxFiles(id, paths, ports);
  await facade.sandboxes.delete(id);
  ports.log.info({ sandbox: id }, "half-made sandbox removed");
}
