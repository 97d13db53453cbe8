// SPDX-License-Identifier: Apache-2.0

import fs from "node:fs";
import { Socket } from "node:net";
import { ourShares } from "../base/memory/memory-shares.ts";
import { openUntracked } from "../base/os/untracked.ts";
import { startTimer, type Timer } from "../base/timers.ts";
import type { StreamName } from "./line-formatter.ts";

/** Bytes that may wait for a tap's reader, both streams together, while there is memory for them. */
const mostBytes = 4 * 1024 * 1024;
/** Bytes that may always wait: more than a pipe holds. */
const leastBytes = 128 * 1024;
/** All taps share this. */
const allBytes = ourShares().tapBytes;
/** What a piece costs beyond its bytes. Without it, four million reads of one byte would count as 4 MiB. */
const pieceCost = 256;
/** How long a tap may stay over its bound before it is cut. */
const patienceMs = 1_000;

/**
 * Why a tap ended: `end`, the output is at its end and all of it is delivered; `slow`, its reader did
 * not keep up and was cut off; `gone`, its reader closed.
 */
export type TapEnd = "end" | "slow" | "gone";

export interface TapEvents {
  /** It has taken in enough again after being full, or has ended. */
  onRelief(): void;
  /** Called once. */
  onEnd(why: TapEnd): void;
}

/**
 * A copy of a container's output, as it comes, into FIFOs of an attached client. What the client has not read yet
 * waits here up to a limit, which is lower the more taps there are. A full tap has reading stopped for a moment, so
 * that any client of ordinary speed gets everything. A client that does not read half the limit in that moment is cut
 * off, so that it holds up neither the container nor other clients.
 */
export class OutputTap implements Disposable {
  /** Taps that are open in this thread. */
  static #open = new Set<OutputTap>();

  readonly #events: TapEvents;
  readonly #sockets = new Map<StreamName, Socket>();
  #patience: Timer | undefined;
  #pieces = 0;
  #ended = false;

  /** Opens the write ends of FIFOs that are being read; throws Node's system error, ENXIO without a reader. */
  constructor(fifos: readonly (readonly [StreamName, string])[], events: TapEvents) {
    this.#events = events;
    OutputTap.#open.add(this);
    try {
      for (const [name, fifo] of fifos) this.#sockets.set(name, this.#opened(name, fifo));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** More waits than should: nothing more is to be read before `onRelief`. */
  get full(): boolean {
    return this.#patience !== undefined;
  }

  /** Takes the bytes, which must not change afterwards. */
  write(name: StreamName, bytes: Buffer): void {
    const socket = this.#sockets.get(name);
    if (!socket || this.#ended) return;
    // Most of what is written goes into the pipe before `write` returns.
    this.#pieces += 1;
    socket.write(bytes, () => this.#written());
    if (this.#patience === undefined && this.#waiting() > this.#boundBytes) {
      this.#patience = startTimer(() => this.#finish("slow"), patienceMs);
    }
  }

  /**
   * The container's stream has ended: the reader's ends once it has taken everything. After the last stream nobody is
   * held up, so the reader may take its time.
   */
  endStream(name: StreamName): void {
    this.#sockets.get(name)?.end();
    if ([...this.#sockets.values()].every((socket) => socket.writableEnded)) this.#restOver();
  }

  endAll(): void {
    for (const name of this.#sockets.keys()) this.endStream(name);
  }

  /** Closes at once; `onEnd` will not be called. */
  [Symbol.dispose](): void {
    this.#ended = true;
    OutputTap.#open.delete(this);
    this.#restOver();
    for (const socket of this.#sockets.values()) socket.destroy();
  }

  get #boundBytes(): number {
    return Math.min(mostBytes, Math.max(leastBytes, allBytes / OutputTap.#open.size));
  }

  #opened(name: StreamName, fifo: string): Socket {
    const fd = openUntracked(fifo, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
    const socket = new Socket({ fd, readable: false, writable: true });
    socket.on("error", () => this.#finish("gone"));
    socket.on("close", () => {
      this.#sockets.delete(name);
      if (this.#sockets.size === 0) this.#finish("end");
    });
    return socket;
  }

  #written(): void {
    this.#pieces -= 1;
    if (this.#patience === undefined || this.#waiting() > this.#boundBytes / 2) return;
    this.#restOver();
    this.#events.onRelief();
  }

  #restOver(): void {
    this.#patience?.stop();
    this.#patience = undefined;
  }

  #waiting(): number {
    let bytes = this.#pieces * pieceCost;
    for (const socket of this.#sockets.values()) bytes += socket.writableLength;
    return bytes;
  }

  #finish(why: TapEnd): void {
    if (this.#ended) return;
    this[Symbol.dispose]();
    this.#events.onRelief();
    this.#events.onEnd(why);
  }
}
