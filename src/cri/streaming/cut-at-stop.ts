// SPDX-License-Identifier: Apache-2.0
import { onAbort } from "../../base/on-abort.ts";
import type { SessionEnd } from "../../streaming/ports.ts";

const cut: SessionEnd = {
  kind: "failed",
  message: "berthd is stopping: the session was cut off",
};

/** Ends a session with a word to its client when the daemon stops, unless it has ended before. */
export function cutAtStop(
  stopping: AbortSignal,
  end: { readonly promise: Promise<unknown>; readonly resolve: (end: SessionEnd) => void },
): void {
  const reaction = onAbort(stopping, () => end.resolve(cut));
  void end.promise.then(() => reaction[Symbol.dispose]());
}
