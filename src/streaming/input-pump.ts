// SPDX-License-Identifier: Apache-2.0
import type { Readable } from "node:stream";
import type { StdinFifo } from "../base/os/stdin-fifo.ts";

/**
 * Carries the client's stdin to a process, no faster than the process reads. When the client has closed it and all of
 * it is in the FIFO, `onEnd` is awaited (CloseIO), and only then our end is closed: the shim holds a write end too,
 * and in the other order the process would never see the end.
 */
export function pumpInput(source: Readable, stdin: StdinFifo, onEnd: () => Promise<void>): void {
  const sink = stdin.socket;
  sink.on("drain", () => source.resume());
  // A process that is gone takes no more; what the client still sends is dropped.
  sink.on("close", () => source.resume());
  source.on("data", (bytes: Buffer) => {
    if (sink.destroyed || sink.writableEnded) return;
    if (!sink.write(bytes)) source.pause();
  });
  source.on("end", () => {
    if (sink.destroyed) return;
    // onEnd does not reject
    void stdin
      .written()
      .then(onEnd)
      .finally(() => stdin.end());
  });
}
