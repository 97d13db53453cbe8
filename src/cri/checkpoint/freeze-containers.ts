// SPDX-License-Identifier: Apache-2.0
import { deadline } from "../../base/deadline.ts";
import { fault, isFault } from "../../base/errors.ts";
import { sleep } from "../../base/timers.ts";
import { allSettled } from "../../base/waits.ts";
import type { Task } from "../../client/ports.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { CriParts } from "../parts.ts";

export type FreezeNeeds = Pick<CriParts, "lifetime" | "log">;

/** A container whose processes stand still for a while. */
export interface FrozenContainer {
  readonly id: string;
  readonly task: Task;
}

const freezeMs = 30_000;
const thawMs = 60_000;
/** Pauses between attempts to thaw one: within a thaw, and of thaws that failed. */
const again = { soonMs: 250, lateMs: 5_000 };

/**
 * Does `work` while all of these stand still: all before it begins, none before it has ended. Whatever happens they run on
 * afterwards. What cannot be thawed fails the call, and is tried again as long as the daemon lives. FAILED_PRECONDITION when
 * one stands still already: who froze it decides when it goes on.
 */
export async function whileFrozen<T>(
  parts: FreezeNeeds,
  op: Operation,
  containers: readonly FrozenContainer[],
  work: () => Promise<T>,
): Promise<T> {
  await allSettled(containers.map((container) => refusePaused(container, op)));
  const thawed = (): Promise<unknown> => op.run("thaw", () => thawAll(parts, containers), thawMs);
  let result: T;
  try {
    await op.run("freeze", () => allSettled(containers.map(freeze)));
    op.signal.throwIfAborted();
    result = await work();
  } catch (error) {
    await thawed().catch(() => {}); // told of in the log; why the work failed is the news
    throw error;
  }
  await thawed();
  return result;
}

async function refusePaused({ id, task }: FrozenContainer, op: Operation): Promise<void> {
  const { state } = await task.status(op);
  if (state !== "paused" && state !== "pausing") return;
  throw fault(
    "FAILED_PRECONDITION",
    `cannot checkpoint container "${id}": state is paused, not running`,
  );
}

/** Not under the call's signal: a shim may go on with a pause that nobody waits for, and be done after the thaw. */
async function freeze({ id, task }: FrozenContainer): Promise<void> {
  using limit = deadline(freezeMs, `freezing container "${id}"`);
  await task.pause(limit);
}

/** Thaws them side by side; those that stay frozen in all this time are tried again in the background. */
export async function thawAll(
  parts: FreezeNeeds,
  containers: readonly FrozenContainer[],
  ms = thawMs,
): Promise<void> {
  await allSettled(
    containers.map(async (container) => {
      try {
        await thaw(container, ms);
      } catch (error) {
        parts.log.error({ err: error, container: container.id }, "container stays frozen");
        void thawLater(parts, container);
        throw error;
      }
    }),
  );
}

/** Until it runs, or has ended. */
async function thaw({ id, task }: FrozenContainer, ms: number): Promise<void> {
  using limit = deadline(ms, `thawing container "${id}"`);
  for (;;) {
    try {
      return await task.resume(limit);
    } catch (error) {
      if (isFault(error, "NOT_FOUND")) return;
      const { state } = await task.status(limit);
      if (state !== "paused" && state !== "pausing") return;
    }
    await sleep(again.soonMs, limit);
  }
}

/** Never rejects. */
async function thawLater(
  { lifetime, log }: FreezeNeeds,
  container: FrozenContainer,
): Promise<void> {
  while (!lifetime.aborted) {
    try {
      await sleep(again.lateMs, { signal: lifetime });
      await thaw(container, thawMs);
      log.info({ container: container.id }, "container thawed at last");
      return;
    } catch (error) {
      log.debug({ err: error, container: container.id }, "container still frozen");
    }
  }
}
