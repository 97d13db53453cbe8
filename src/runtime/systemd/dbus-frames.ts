// SPDX-License-Identifier: Apache-2.0
import { GrowingBuffer } from "../../base/growing-buffer.ts";
import { type DbusMessage, fixedBytes, messageBytes, parseMessage } from "./dbus-message.ts";

/** Answers and signals of systemd's are short. What is longer is another's, and passed over without being kept. */
const maxMessageBytes = 64 * 1024;

/** Takes messages out of a stream of bytes; those that are too long, or not understood, are passed over. */
export class DbusFrames {
  #begun = new GrowingBuffer(maxMessageBytes);
  #toSkip = 0;

  /** Hands on the messages that this chunk completes. RangeError for what is no D-Bus: there is no way on from there. */
  push(chunk: Buffer, take: (message: DbusMessage) => void): void {
    let rest = chunk;
    while (rest.byteLength > 0) {
      const skipped = Math.min(this.#toSkip, rest.byteLength);
      this.#toSkip -= skipped;
      rest = rest.subarray(skipped);
      rest = rest.subarray(this.#gather(rest, fixedBytes));
      if (this.#begun.length < fixedBytes) break;
      const size = messageBytes(this.#begun.bytes());
      if (size > maxMessageBytes) {
        this.#toSkip = size - this.#begun.length;
        this.#begun.clear();
        continue;
      }
      rest = rest.subarray(this.#gather(rest, size));
      if (this.#begun.length < size) break;
      const message = understood(this.#begun.bytes());
      this.#begun.clear();
      if (message !== undefined) take(message);
    }
  }

  /** Adds what is lacking to so many bytes; answers how many that were. */
  #gather(bytes: Buffer, size: number): number {
    return this.#begun.add(bytes.subarray(0, Math.max(0, size - this.#begun.length)));
  }
}

function understood(bytes: Buffer): DbusMessage | undefined {
  try {
    return parseMessage(bytes);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
