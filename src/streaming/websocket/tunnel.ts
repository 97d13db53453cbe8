// SPDX-License-Identifier: Apache-2.0
import { Duplex } from "node:stream";
import { WebSocketConnection } from "./connection.ts";

export interface TunnelOptions {
  readonly transport: Duplex;
  readonly head: Buffer;
  readonly onActivity: () => void;
}

/** The bytes in a WebSocket's messages as one connection: SPDY runs over it as over a socket. */
export class WebSocketTunnel extends Duplex {
  readonly #connection: WebSocketConnection;

  constructor({ transport, head, onActivity }: TunnelOptions) {
    super({ readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 });
    this.#connection = new WebSocketConnection({
      transport,
      head,
      onActivity,
      onData: (bytes) => {
        if (bytes.length > 0 && !this.push(bytes)) this.#connection.hold(this);
      },
    });
    this.#connection.gone.addEventListener("abort", () => this.destroy());
  }

  override _read(): void {
    this.#connection.release(this);
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
}
