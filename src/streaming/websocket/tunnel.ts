// SPDX-License-Identifier: Apache-2.0
import { Duplex } from "node:stream";
import { ownCopy } from "../own-copy.ts";
import { WebSocketConnection } from "./connection.ts";

export interface TunnelOptions {
  readonly transport: Duplex;
  readonly head: Buffer;
  readonly onActivity: () => void;
}

/** Pieces that wait, whatever their size: each costs more than its bytes. */
const heldPiecesLimit = 4096;

/** The bytes in a WebSocket's messages as one connection: SPDY runs over it as over a socket. */
export class WebSocketTunnel extends Duplex {
  readonly #connection: WebSocketConnection;
  #pieces = 0;

  constructor({ transport, head, onActivity }: TunnelOptions) {
    super({ readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 });
    this.#connection = new WebSocketConnection({
      transport,
      head,
      onActivity,
      onData: (bytes) => this.#deliver(bytes),
    });
    this.#connection.gone.addEventListener("abort", () => this.destroy());
  }

  // Node asks for more while there is room for bytes, also when nobody reads.
  override _read(): void {
    if (this.#pieces <= heldPiecesLimit) this.#connection.release(this);
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    if (this.#pieces > 0 && this.readableLength === 0) {
      this.#pieces = 0;
      this.#connection.release(this);
    }
    return chunk;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#connection.send("binary", chunk, undefined, done);
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    const bytes = Buffer.concat(chunks.map(({ chunk }) => chunk));
    this.#connection.send("binary", bytes, undefined, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    done();
    void this.#connection.finish(); // cannot reject
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#connection.destroy();
    done(error);
  }

  #deliver(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const wantsMore = this.push(ownCopy(bytes));
    this.#pieces = this.readableLength === 0 ? 0 : this.#pieces + 1;
    if (!wantsMore || this.#pieces > heldPiecesLimit) this.#connection.hold(this);
  }
}
