// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { sleep } from "../base/timers.ts";
import type { ContentStore } from "./ports.ts";

export interface RefWait extends Cancellable {
  readonly namespace: string;
  /** How long to wait at most, in milliseconds. */
  readonly patienceMs: number;
}

/**
 * Waits until nobody writes a ref, but not for ever: whoever opens it then may still be refused. Rejects with the signal's
 * reason.
 */
export async function untilFree(
  content: Pick<ContentStore, "writing">,
  ref: string,
  { namespace, patienceMs, signal }: RefWait,
): Promise<void> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const other = content.writing(namespace, ref);
    const leftMs = end - performance.now();
    if (!other || leftMs <= 0) return;
    await sleep(leftMs, { signal: AbortSignal.any([signal, other.released]) }).catch(() => {});
    signal.throwIfAborted();
  }
}
