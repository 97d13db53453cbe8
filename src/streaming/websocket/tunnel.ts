// SPDX-License-Identifier: Apache-2.0
import type { Duplex } from "node:stream";
import { onAbort } from "../../base/on-abort.ts";
import { WebSocketConnection } from "./connection.ts";
import { HoldingStream } from "./holding-stream.ts";

export interface TunnelOptions {
  readonly transport: Duplex;
  readonly head: Buffer;
  readonly onActivity: () => void;
}

/** The bytes in a WebSocket's messages as one connection: SPDY runs over it as over a socket. */
export class WebSocketTunnel extends HoldingStream {
  readonly #connection: WebSocketConnection;

  constructor({ transport, head, onActivity }: TunnelOptions) {
    super({ readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 });
    this.#connection = new WebSocketConnection({
      transport,
      head,
      onActivity,
      onData: (bytes) => this.deliver(bytes),
    });
    onAbort(this.#connection.gone, () => this.destroy());
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
    super._destroy(error, done);
  }

  protected override hold(held: boolean): void {
    if (held) this.#connection.hold(this);
    else this.#connection.release(this);
  }
}
