// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { maxPipeBytes, pipeBytes } from "../base/os/drain-pipe.ts";
import type { PipePeek } from "../base/os/pipe-peek.ts";
import { openUntracked } from "../base/os/untracked.ts";
import { ReadyPoll } from "./ready-poll.ts";

export interface PeekEvents {
  /** What the FIFO holds. The bytes are valid during the call only, which must take them out of the FIFO. */
  onData(chunk: Buffer, fifo: number): void;
  /** Called once: every writer is gone and all bytes were handed over. */
  onEnd(): void;
}

/** As FifoReader, for those who take the bytes themselves once they are done with them. */
export class PeekReader implements Disposable {
  readonly #events: PeekEvents;
  readonly #peek: PipePeek;
  readonly #fd: number;
  readonly #poll: ReadyPoll;
  #ended = false;

  /** Opens the read end; throws Node's system error. Nothing is handed over before `start`. */
  constructor(path: string, peek: PipePeek, events: PeekEvents) {
    this.#events = events;
    this.#peek = peek;
    this.#fd = openUntracked(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    this.#poll = new ReadyPoll(this.#fd, () => void this.#hand());
  }

  get fd(): number {
    return this.#fd;
  }

  start({ drainFirst }: { readonly drainFirst: boolean }): void {
    if (drainFirst) this.readRest();
    if (!this.#ended) this.#poll.resume();
  }

  pause(): void {
    if (!this.#ended) this.#poll.pause();
  }

  resume(): void {
    if (!this.#ended) this.#poll.resume();
  }

  /** Hands over at once what the FIFO holds, and no more than any can hold. */
  readRest(): void {
    for (let left = maxPipeBytes; left > 0; left -= pipeBytes) {
      if (this.#ended || !this.#hand()) return;
    }
  }

  /** Stops reading; `onEnd` will not be called. */
  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#poll[Symbol.dispose]();
  }

  /** False where there is nothing more for now. */
  #hand(): boolean {
    if (this.#ended) return false;
    const chunk = this.#look();
    if (chunk === undefined) return false;
    if (chunk.length > 0) {
      this.#events.onData(chunk, this.#fd);
      return true;
    }
    this[Symbol.dispose]();
    this.#events.onEnd();
    return false;
  }

  /** A FIFO that cannot be read is at its end. */
  #look(): Buffer | undefined {
    try {
      return this.#peek.look(this.#fd);
    } catch {
      return Buffer.alloc(0);
    }
  }
}
