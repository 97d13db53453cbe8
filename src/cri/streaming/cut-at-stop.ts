// SPDX-License-Identifier: Apache-2.0
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
  const onStop = (): void => end.resolve(cut);
  stopping.addEventListener("abort", onStop, { once: true });
  void end.promise.then(() => stopping.removeEventListener("abort", onStop));
}
