// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";
import net from "node:net";
import { drainPipe, pipeBytes } from "../../base/os/drain-pipe.ts";
import { openFifoReader } from "../../base/os/fifo.ts";
import { type Discarded, discard, stopDiscarding } from "./discarding.ts";

/** Returned when no more is wanted: what still comes is dropped, so that the writer reaches its end. */
export const enough = Symbol("enough");

/** After a promise nothing is read until it settles. */
export type Taken = void | Promise<void> | typeof enough;

/** One buffer for all readers: a chunk is handed on and forgotten before the next is read. */
const chunk = Buffer.allocUnsafeSlow(pipeBytes);

/**
 * Reads a FIFO through epoll, without holding a thread of the pool. It is open when the constructor
 * returns, as a shim wants it before Create; its end comes when the last writer closes.
 */
export class FifoReader implements Disposable {
  readonly #socket: net.Socket | undefined;
  #discarded: Discarded | undefined;
  /** Settles at the end of the stream, also when the reader was disposed before. Never rejects. */
  readonly ended: Promise<void>;

  /**
   * `onData` must use the bytes before it returns: the buffer is used again. When it returns a promise, no more is
   * read until that settles, and the writer waits once the FIFO is full. With `drainFirst`, for a FIFO whose writers
   * may have left already, what it holds is read at once: opened after its last writer has left it would never wake
   * the poller, and its end would go unnoticed.
   */
  constructor(
    path: string,
    onData: (bytes: Buffer) => Taken,
    options: { readonly drainFirst?: boolean } = {},
  ) {
    const fd = openFifoReader(path);
    if (options.drainFirst && drainPipe(fd, chunk, (bytes) => void onData(bytes))) {
      closeSync(fd);
      this.ended = Promise.resolve();
      return;
    }
    const socket = new net.Socket({
      fd,
      readable: true,
      writable: false,
      onread: {
        buffer: chunk,
        callback: (length) => {
          const busy = onData(chunk.subarray(0, length));
          if (busy === undefined) return true;
          if (busy === enough) {
            this.#discarded = { fd, onEnd: () => void socket.destroy() };
            discard(this.#discarded);
            return false;
          }
          const goOn = (): void => void socket.resume();
          busy.then(goOn, goOn);
          return false;
        },
      },
    });
    this.#socket = socket;
    this.ended = new Promise((resolve) => {
      socket.once("close", () => resolve());
    });
    socket.on("error", () => {}); // "close" follows
    socket.resume();
  }

  [Symbol.dispose](): void {
    if (this.#discarded) stopDiscarding(this.#discarded);
    this.#socket?.destroy();
  }
}
