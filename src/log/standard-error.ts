// SPDX-License-Identifier: Apache-2.0
import { type DestinationStream, pino } from "pino";

/** What waits for a reader that stands still. */
const maxWaitingBytes = 4 * 1024 * 1024;

/**
 * Standard error as a log's destination. A thread of the pool writes, so that a journal that stands still (its disk is
 * full, or hangs) holds up no call; what is more than a few megabytes is dropped then, and how many lines
 * that were is logged afterwards. The process's end writes what is left.
 */
export function standardError(): DestinationStream {
  const out = pino.destination({ dest: 2, sync: false, maxLength: maxWaitingBytes });
  let dropped = 0;
  out.on("drop", () => {
    dropped += 1;
  });
  out.on("drain", () => {
    if (dropped === 0) return;
    const lines = dropped;
    dropped = 0;
    const time = new Date().toISOString();
    out.write(
      `${JSON.stringify({ level: "warn", time, lines, msg: "log lines were dropped: nobody read them" })}\n`,
    );
  });
  return out;
}
