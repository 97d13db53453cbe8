// SPDX-License-Identifier: Apache-2.0
import { Socket } from "node:net";

interface PolledHandle {
  onread: () => void;
}

const noRoom = Buffer.alloc(0);

/**
 * Tells when a FIFO has something to read, and reads nothing. Node has no poller for that. But a stream that has no
 * room for what comes is told so, in place of being read (libuv's UV_ENOBUFS), and is asked again in the next turn.
 * Takes the descriptor over.
 */
export class ReadyPoll implements Disposable {
  readonly #socket: Socket;

  /** Throws where Node's sockets are not what they were. */
  constructor(fd: number, onReady: () => void) {
    const onread = { buffer: noRoom, callback: () => true };
    this.#socket = new Socket({ fd, readable: true, writable: false, onread });
    this.#socket.on("error", () => {});
    const handle: unknown = Reflect.get(this.#socket, "_handle");
    if (typeof handle !== "object" || handle === null || !("onread" in handle)) {
      this.#socket.destroy();
      throw new Error("a socket of Node has no handle that tells of reads");
    }
    (handle as PolledHandle).onread = onReady;
    this.#socket.pause(); // it has begun by itself
  }

  /** Begins, or goes on after `pause`. Nothing is told before. */
  resume(): void {
    this.#socket.resume();
  }

  pause(): void {
    this.#socket.pause();
  }

  /** Closes the descriptor. */
  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
