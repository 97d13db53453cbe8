// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { drainPipe, pipeBytes } from "../../base/os/drain-pipe.ts";
import { openFifoReader } from "../../base/os/fifo.ts";

const scrap = Buffer.allocUnsafeSlow(pipeBytes);

/** Settles when the process that holds a FIFO is gone, or when the watch is disposed. Never rejects. */
export interface ProcessEnd extends Disposable {
  readonly ended: Promise<void>;
}

/**
 * Watches for the end of a process that is no child of ours (any more): the kernel closes what it held. What somebody
 * writes there says nothing. Throws system errors for a FIFO that is not there.
 */
export function watchEnd(fifo: string): ProcessEnd {
  const fd = openFifoReader(fifo);
  // A FIFO that has no writer any more when it is opened never wakes the poller.
  if (drainPipe(fd, scrap, () => {})) {
    closeSync(fd);
    return { ended: Promise.resolve(), [Symbol.dispose]: () => {} };
  }
  const socket = new Socket({ fd, readable: true, writable: false });
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("error", () => {}); // "close" follows
  socket.on("close", () => resolve());
  socket.resume();
  socket.unref();
  return { ended: promise, [Symbol.dispose]: () => void socket.destroy() };
}
