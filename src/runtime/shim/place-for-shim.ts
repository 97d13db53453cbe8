// SPDX-License-Identifier: Apache-2.0
import { BriefTurns } from "../../base/brief-turns.ts";
import type { Cancellable } from "../../base/cancellable.ts";
import { ownHeadroom } from "../../base/memory/memory-headroom.ts";
import { ourShares, shimStartBytes } from "../../base/memory/memory-shares.ts";

const { runtimeCalls, keptBytes } = ourShares();
const turns = new BriefTurns({ atOnce: runtimeCalls, bytes: 0, briefMs: 2_000 });

/**
 * A turn to start a task's shim. RESOURCE_EXHAUSTED when the daemon's cgroup, in which shims are unless they
 * have their own, has no memory for another.
 */
export async function placeForShim(task: string, call: Cancellable): Promise<Disposable> {
  using turn = new DisposableStack();
  turn.use(await turns.acquire(call));
  // What is kept beside it, for it stays, is for what ends the others.
  const claim = { what: `a shim for task "${task}"`, kept: keptBytes };
  turn.use(await ownHeadroom().claim(shimStartBytes, claim, call));
  return turn.move();
}
