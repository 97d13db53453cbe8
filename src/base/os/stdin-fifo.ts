// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { errnoOf } from "../errors.ts";
import { sleep } from "../timers.ts";
import { openFifoReader } from "./fifo.ts";

const writeEnd = constants.O_WRONLY | constants.O_NONBLOCK;
const longestPauseMs = 100;

/**
 * Our end of the FIFO that is a process's stdin. Neither opening nor writing waits for the shim, which opens the read
 * end from a thread of its own, on a busy node some time after Start has answered. Until then only our ends keep what
 * was written: a FIFO that nobody has open loses its bytes, and a reader that comes after that waits for a writer for
 * ever. So our write end stays open until there is a reader, however early the input has ended.
 */
export class StdinFifo implements Disposable {
  /** To be written to. Close it with `end`, not with its own method. */
  readonly socket: Socket;
  readonly #path: string;
  /** Held so that we can open and write before there is a reader. */
  #readEnd: number | undefined;

  /** Throws Node's system error. */
  constructor(path: string) {
    this.#path = path;
    this.#readEnd = openFifoReader(path);
    try {
      this.socket = new Socket({ fd: openSync(path, writeEnd), readable: false, writable: true });
    } catch (error) {
      this.#closeReadEnd();
      throw error;
    }
    this.socket.on("error", () => {}); // "close" follows
    this.socket.once("close", () => this.#closeReadEnd());
  }

  /** Settles once all that was written is in the FIFO, or can no longer be. */
  written(): Promise<void> {
    // The callback of an empty write comes after all writes before it.
    return new Promise((resolve) => this.socket.write(Buffer.alloc(0), () => resolve()));
  }

  /** Call it once everything is written: closes the FIFO as soon as it has a reader. */
  end(): void {
    this.#closeReadEnd();
    if (hasReader(this.#path)) this.socket.destroy();
    else void this.#endWhenRead(); // cannot reject
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
    this.#closeReadEnd();
  }

  async #endWhenRead(): Promise<void> {
    const disposed = new AbortController();
    this.socket.once("close", () => disposed.abort());
    try {
      for (
        let pauseMs = 1;
        !hasReader(this.#path);
        pauseMs = Math.min(longestPauseMs, 2 * pauseMs)
      ) {
        await sleep(pauseMs, disposed);
      }
    } catch {
      // The process has ended before it read anything.
    }
    this.socket.destroy();
  }

  #closeReadEnd(): void {
    if (this.#readEnd === undefined) return;
    closeSync(this.#readEnd);
    this.#readEnd = undefined;
  }
}

/** Also true when the name is gone: no reader can come any more. */
function hasReader(path: string): boolean {
  try {
    closeSync(openSync(path, writeEnd));
    return true;
  } catch (error) {
    return errnoOf(error) === "ENOENT"; // ENXIO without a reader
  }
}
