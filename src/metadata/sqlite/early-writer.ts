// SPDX-License-Identifier: Apache-2.0
import type { Worker } from "node:worker_threads";
import { ourShares } from "../../base/memory/memory-shares.ts";
import { endThread, startThread } from "../../base/threads/thread.ts";

/** The thread that owns a database; it has none until it is told which. */
export function startWriter(): Worker {
  return startThread(new URL("./writer-thread.ts", import.meta.url), {
    name: "metadata",
    // The default limits would let garbage pile up. What comes and goes at once is a few megabytes, see
    // batchBytes and groupBytes.
    heapMiB: ourShares().databaseHeapMiB,
  });
}

/** That thread, started before there is anything to do for it: it loads its code while the main thread loads the daemon's. */
export class EarlyWriter implements Disposable {
  #worker: Worker | undefined;

  /** `start` is another one only in tests. */
  constructor(start = startWriter) {
    const drop = (): void => {
      this.#worker = undefined;
    };
    // Whoever asks then starts another one, and is told what is amiss.
    this.#worker = start().once("error", drop).once("exit", drop);
  }

  /** It, once, if it is there and well. */
  take(): Worker | undefined {
    const worker = this.#worker;
    this.#worker = undefined;
    return worker;
  }

  [Symbol.dispose](): void {
    const worker = this.take();
    if (worker) void endThread(worker); // never rejects
  }
}
