// SPDX-License-Identifier: Apache-2.0
import { setImmediate as loopTurn } from "node:timers/promises";
import { Descriptors } from "./descriptors.ts";
import { type Job, jobs } from "./jobs.ts";
import type { TreeWork } from "./ports.ts";

/** Pieces between two looks at the signal. */
const piecesAtOnce = 16;

/** Runs jobs on the thread that asks: for programs that have nothing else to do, and for tests. */
export function workHere(): TreeWork {
  const descriptors = new Descriptors();
  return {
    run: async (kind, request, { signal }) => {
      const table: Readonly<Record<string, (request: never, open: Descriptors) => Job<unknown>>> =
        jobs;
      const job = table[kind]?.(request as never, descriptors);
      try {
        for (let pieces = 1; ; pieces += 1) {
          const step = job?.next();
          if (step?.done !== false) return step?.value as never;
          if (pieces % piecesAtOnce !== 0) continue;
          await loopTurn();
          signal.throwIfAborted();
        }
      } finally {
        job?.return(undefined);
      }
    },
  };
}
