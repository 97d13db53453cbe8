// SPDX-License-Identifier: Apache-2.0
import { BriefTurns } from "../../base/brief-turns.ts";
import type { Cancellable } from "../../base/cancellable.ts";
import { ownRoom } from "../../base/memory/memory-room.ts";
import { ourShares, shimStartBytes } from "../../base/memory/memory-shares.ts";

const turns = new BriefTurns({
  atOnce: ourShares().runtimeCalls,
  bytes: shimStartBytes,
  briefMs: 2_000,
});
/** What is to be left beside a new shim, which stays: for what ends the others. */
const { keptBytes } = ourShares();

/**
 * A turn to start a task's shim. RESOURCE_EXHAUSTED when the daemon's cgroup, in which shims are unless they
 * have their own, has no memory for another.
 */
export async function placeForShim(task: string, call: Cancellable): Promise<Disposable> {
  using turn = new DisposableStack();
  turn.use(await turns.acquire(call));
  await ownRoom().require(keptBytes + shimStartBytes, `a shim for task "${task}"`, call);
  return turn.move();
}
