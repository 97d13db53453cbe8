// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault } from "../../base/errors.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { Client, Container, Process, Task } from "../../client/ports.ts";

const sigkill = 9;

/** Sends SIGKILL; no error when the process has ended. */
export async function killNow(process: Process, call: Cancellable): Promise<void> {
  try {
    await process.kill(sigkill, call);
  } catch (error) {
    if (!isFault(error, "NOT_FOUND")) throw error;
  }
}

/**
 * Kills, waits, deletes: whatever state the task is in. No error when it is gone meanwhile. One that was to be restored, and
 * was not, has no pid: nothing of it can be killed, and its exit never comes.
 */
export async function endTask(task: Task, call: Cancellable): Promise<void> {
  await absentAsUndefined(async () => {
    if (task.pid === 0) return;
    const exit = await task.wait(call);
    await killNow(task, call);
    await unlessAborted(exit.status, call.signal);
  });
  await absentAsUndefined(() => task.delete(call));
}

/** Ends whatever task the container has, known to us or not. Answers the container, if there is one. */
export async function purgeTask(
  client: Client,
  id: string,
  known: Container | undefined,
  call: Cancellable,
): Promise<Container | undefined> {
  const container = known ?? (await absentAsUndefined(() => client.loadContainer(id, call)));
  const task = container && (await absentAsUndefined(() => container.task(call)));
  if (task) await endTask(task, call);
  return container;
}

/** Ends the container's task and deletes its containerd record. No error when nothing is there. */
export async function purgeContainer(
  client: Client,
  id: string,
  known: Container | undefined,
  call: Cancellable,
): Promise<void> {
  const container = await purgeTask(client, id, known, call);
  if (container) await absentAsUndefined(() => container.delete(call));
}

/** The step's answer; undefined when what it looks for is not there. */
export async function absentAsUndefined<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (isFault(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}
