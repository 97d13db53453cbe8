// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from "node:fs";
import type { Cancellable } from "./base/cancellable.ts";
import { errnoOf, fault } from "./base/errors.ts";
import type { Logger } from "./base/logger.ts";
import { lockFolder } from "./base/os/folder-lock.ts";
import { sleep } from "./base/timers.ts";
import { inState } from "./config/layout.ts";

/** So long may a daemon that has just been killed still have it, or who cleans up old files. */
const patienceMs = 2_000;
const pauseMs = 20;

export interface HoldOptions extends Cancellable {
  readonly log: Logger;
  /** How long it waits for the folder. */
  readonly patienceMs?: number;
}

/**
 * Keeps every other daemon from `state`, whose shims it would take for its own. The database does the same for root.
 * FAILED_PRECONDITION where another one has it. Where the file system knows no locks it is only told.
 */
export async function holdState(state: string, options: HoldOptions): Promise<Disposable> {
  mkdirSync(state, { recursive: true, mode: inState.state.mode });
  const end = performance.now() + (options.patienceMs ?? patienceMs);
  for (;;) {
    try {
      return lockFolder(state);
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") {
        options.log.warn({ err: error, state }, "state cannot be kept from other daemons");
        return { [Symbol.dispose]: () => {} };
      }
    }
    if (performance.now() >= end) {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot use state "${state}": another daemon is at work in it; each needs a state, a root and an address of its own`,
      );
    }
    await sleep(pauseMs, options);
  }
}
