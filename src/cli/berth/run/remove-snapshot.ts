// SPDX-License-Identifier: Apache-2.0
import { isFault } from "../../../base/errors.ts";
import { timeoutSignal } from "../../../base/timers.ts";
import type { Session } from "../call-options.ts";

/** Of an undo: the command's own time may be over. */
const limitMs = 10_000;

/** Removes a container's snapshot, if it is there. */
export async function removeSnapshot(
  session: Session,
  snapshotter: string,
  key: string,
): Promise<void> {
  const snapshots = session.client("containerd.services.snapshots.v1.Snapshots");
  const call = { ...session.scoped, signal: timeoutSignal(limitMs) };
  try {
    await snapshots.Remove({ snapshotter, key }, call);
  } catch (error) {
    if (!isFault(error, "NOT_FOUND")) throw error;
  }
}
