// SPDX-License-Identifier: Apache-2.0
import os from "node:os";
import type { Cancellable } from "../../base/cancellable.ts";
import { claimExtractor, type Extractor } from "../unpack/extract-layer.ts";

/** Lower than that of what pulls. */
const niceness = 15;

/** One process for a long piece of work that nobody may wait for: at a low priority, and of no pull's turns. */
export class SpareExtractor implements Disposable {
  #extractor: Extractor | undefined;

  /** Lends the process. After an error the next work gets another. */
  async lend<T>(call: Cancellable, work: (extractor: Extractor) => Promise<T>): Promise<T> {
    const extractor = (this.#extractor ??= await start(call));
    try {
      return await work(extractor);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#extractor?.[Symbol.dispose]();
    this.#extractor = undefined;
  }
}

async function start(call: Cancellable): Promise<Extractor> {
  const extractor = await claimExtractor(call);
  try {
    os.setPriority(extractor.pid, niceness);
  } catch {
    // It has ended, which its work will tell.
  }
  return extractor;
}
