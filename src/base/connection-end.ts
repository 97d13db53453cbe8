// SPDX-License-Identifier: Apache-2.0
import type { Duplex } from "node:stream";

/**
 * Settles, never rejects, when a connection is gone, for whatever reason; `gone` hears of it first, with what broke it. A
 * peer that has ended its side gets no more from ours.
 */
export function connectionEnd(
  connection: Duplex,
  gone: (cause: Error | undefined) => void,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let cause: Error | undefined;
  connection.on("error", (error) => {
    cause = error;
  });
  connection.on("end", () => connection.destroy());
  connection.on("close", () => {
    gone(cause);
    resolve();
  });
  return promise;
}
