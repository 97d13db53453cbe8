// SPDX-License-Identifier: Apache-2.0
import { type DestinationStream, pino } from "pino";

/** How much may wait for a reader that has stopped reading. */
const maxWaitingBytes = 4 * 1024 * 1024;

/**
 * Standard error as a log's destination. A thread of the pool writes, so that no call waits for a journal that hangs,
 * or whose disk is full. When more than a few megabytes wait, lines are dropped, and their number is logged
 * afterwards. What is left is written when the process ends.
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
