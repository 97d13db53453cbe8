// SPDX-License-Identifier: Apache-2.0
import { Duplex } from "node:stream";
import { setImmediate } from "node:timers/promises";

/** A server that neither reads on nor hangs up for so long never will: the fuzzer fails far earlier. */
const patienceMs = 30_000;

/** A server's side of a connection without a network: `arrive` is what the client sends. */
export class MemoryTransport extends Duplex {
  readonly #written: Buffer[] = [];

  constructor() {
    super({ readableHighWaterMark: 64 * 1024, writableHighWaterMark: 1024 * 1024 });
    this.on("error", () => {});
  }

  /** All that the server has sent. */
  get written(): Buffer {
    return Buffer.concat(this.#written);
  }

  arrive(...pieces: readonly Buffer[]): void {
    for (const piece of pieces) {
      if (!this.destroyed && piece.length > 0) this.push(Buffer.from(piece));
    }
  }

  /** Settles once the server has taken all that arrived and reads on, or has hung up. Throws when it never does. */
  async allTaken(): Promise<void> {
    const since = performance.now();
    do {
      await setImmediate();
      if (this.destroyed) return;
      const waitsMs = performance.now() - since;
      if (waitsMs > patienceMs) throw new Error("the server neither reads on nor hangs up");
    } while (this.readableLength > 0 || this.readableFlowing !== true);
    await setImmediate(); // what was read is handed on in a turn of its own
    await setImmediate();
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#written.push(Buffer.from(chunk));
    done();
  }
}
