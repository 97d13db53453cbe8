// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { sleep } from "../../base/timers.ts";
import type { ContentStore } from "../../content/ports.ts";
import { joinPatienceMs, registryLimits } from "./limits.ts";

/**
 * Waits while somebody else writes a ref: another pull, or a client such as `ctr`. True when the ref is
 * free again; false when the other gets on too slowly to be waited for. Rejects with the signal's reason.
 */
export async function awaitOtherWriter(
  content: ContentStore,
  namespace: string,
  ref: string,
  { signal }: Cancellable,
): Promise<boolean> {
  const least = BigInt((joinPatienceMs / 1000) * registryLimits.bytesPerSecond);
  for (let before = 0n; ; ) {
    const other = content.writing(namespace, ref);
    if (!other) return true;
    before = other.offsetBytes;
    await sleep(joinPatienceMs, { signal: AbortSignal.any([signal, other.released]) }).catch(
      () => {},
    );
    signal.throwIfAborted();
    if (other.released.aborted) return true;
    const now = content.writing(namespace, ref)?.offsetBytes ?? 0n;
    if (now - before < least) return false;
  }
}
