// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { sleep } from "../../base/timers.ts";
import type { ContentStore } from "../../content/ports.ts";
import { joinLimits, joinPatienceMs, registryLimits } from "./limits.ts";

const leastBytes = BigInt((joinPatienceMs / 1000) * registryLimits.bytesPerSecond);
const quickBytes = BigInt((joinPatienceMs / 1000) * joinLimits.quickBytesPerSecond);

/** How long one download waits for other writers of the same blob, all of them together. */
export class OtherWriters {
  #waits = 0;

  /**
   * Waits while somebody else writes a ref: another pull, or a client such as `ctr`. True when the ref is free again;
   * false when the other makes too little progress to be waited for. Rejects with the signal's reason.
   */
  async wait(
    content: Pick<ContentStore, "writing">,
    namespace: string,
    ref: string,
    { signal }: Cancellable,
  ): Promise<boolean> {
    for (;;) {
      const other = content.writing(namespace, ref);
      if (!other) return true;
      if (this.#waits * joinPatienceMs >= joinLimits.mostMs) return false;
      this.#waits += 1;
      const before = other.offsetBytes;
      await sleep(joinPatienceMs, { signal: AbortSignal.any([signal, other.released]) }).catch(
        () => {},
      );
      signal.throwIfAborted();
      if (other.released.aborted) return true;
      const now = content.writing(namespace, ref)?.offsetBytes ?? 0n;
      const isLate = this.#waits * joinPatienceMs >= joinLimits.slowMs;
      if (now - before < (isLate ? quickBytes : leastBytes)) return false;
    }
  }
}
