// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { Socket } from "node:net";
import { drainPipe, pipeBytes } from "../base/os/drain-pipe.ts";
import { closeUntracked, openUntracked } from "../base/os/untracked.ts";

/** Used by all readers of a thread: `onData` must be done with the bytes when it returns. */
const readBuffer = Buffer.allocUnsafeSlow(pipeBytes);

export interface FifoEvents {
  /** The bytes are valid during the call only. */
  onData(chunk: Buffer): void;
  /** Called once: every writer is gone and all bytes were handed over. */
  onEnd(): void;
}

/**
 * Reads a FIFO through the event loop's poller. A blocking open would wait for a writer and a
 * `fs.createReadStream` would hold a thread of the pool for as long as the FIFO is silent.
 */
export class FifoReader implements Disposable {
  readonly #events: FifoEvents;
  readonly #fd: number;
  #socket: Socket | undefined;
  #paused = false;
  #ended = false;

  /** Opens the read end; throws Node's system error. Nothing is read before `start`. */
  constructor(path: string, events: FifoEvents) {
    this.#events = events;
    this.#fd = openUntracked(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  }

  /**
   * Starts reading. For a FIFO whose writers may have left already, `drainFirst` reads what it holds at once: a FIFO
   * opened after its last writer left never wakes the poller, so its end would go unnoticed. While there is a writer
   * the poller reads on, however fast it writes.
   */
  start({ drainFirst }: { readonly drainFirst: boolean }): void {
    if (drainFirst && this.#drain()) {
      closeUntracked(this.#fd);
      this.#end();
      return;
    }
    const socket = new Socket({
      fd: this.#fd,
      readable: true,
      writable: false,
      onread: {
        buffer: readBuffer,
        callback: (size, buffer) => {
          this.#events.onData(buffer.subarray(0, size) as Buffer);
          if (size < buffer.length) return true;
          // The poller would read thirty times more before it serves anybody else.
          setImmediate(() => this.#readOn());
          return false;
        },
      },
    });
    this.#socket = socket;
    socket.on("end", () => this.#end());
    socket.on("error", () => this.#end());
    socket.on("close", () => this.#end());
    socket.resume();
  }

  /** Reads no more until `resume`; writers wait once the pipe is full. */
  pause(): void {
    this.#paused = true;
    if (!this.#ended) this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#readOn();
  }

  /** Reads at once what the FIFO holds, and no more than it can hold: for an end that cannot wait for the poller. */
  readRest(): void {
    if (this.#socket !== undefined && !this.#ended && this.#drain()) this.#end();
  }

  /** Stops reading; `onEnd` will not be called. */
  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#socket === undefined) closeUntracked(this.#fd);
    else this.#socket.destroy();
  }

  /** True at the end of the stream, false while a writer lives. */
  #drain(): boolean {
    return drainPipe(this.#fd, readBuffer, (bytes) => this.#events.onData(bytes));
  }

  #readOn(): void {
    if (!this.#ended && !this.#paused) this.#socket?.resume();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket?.destroy();
    this.#events.onEnd();
  }
}
