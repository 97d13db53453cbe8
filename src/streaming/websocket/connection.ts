// SPDX-License-Identifier: Apache-2.0

import type { Duplex } from "node:stream";
import { startTimer } from "../../base/timers.ts";
import { WebSocketParser } from "./frame-parser.ts";
import { CloseCode, closePayload, frameHeader, Opcode } from "./frames.ts";
import { WebSocketError } from "./websocket-error.ts";

export interface WebSocketOptions {
  readonly transport: Duplex;
  /** Bytes that came right behind the request. */
  readonly head: Buffer;
  /** A piece of a message; `first` and `last` mark its ends. */
  readonly onData: (bytes: Buffer, first: boolean, last: boolean) => void;
  /** Bytes moved. */
  readonly onActivity: () => void;
}

/** Answers that wait for a client that sends and does not read. */
const controlBacklogLimit = 256 * 1024;
/** How long a client may take to answer our close frame. */
const lingerMs = 10_000;

/** The server's side of a WebSocket after its handshake. Messages come and go in pieces. */
export class WebSocketConnection {
  readonly #transport: Duplex;
  readonly #options: WebSocketOptions;
  readonly #parser: WebSocketParser;
  readonly #holds = new Set<object>();
  readonly #gone = new AbortController();
  #controlBacklog = 0;
  #closing = false;
  #discarding = false;

  constructor(options: WebSocketOptions) {
    const { transport, head } = options;
    this.#transport = transport;
    this.#options = options;
    this.#parser = new WebSocketParser({
      onData: (bytes, first, last) => {
        if (this.#discarding) return;
        options.onActivity();
        options.onData(bytes, first, last);
      },
      onControl: (opcode, payload) => this.#onControl(opcode, payload),
    });
    transport.on("error", () => {}); // "close" follows
    transport.on("close", () => this.#gone.abort());
    transport.on("end", () => transport.destroy());
    transport.on("data", (chunk: Buffer) => this.#receive(chunk));
    // Later, since whoever makes this listens to nothing yet.
    if (head.length > 0) transport.unshift(head);
    if (transport.destroyed) this.#gone.abort();
  }

  /** Aborts when the client is gone or was cut off. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Sends one message; `prefix` is a byte before the rest. */
  send(
    kind: "text" | "binary",
    bytes: Buffer,
    prefix: number | undefined,
    done: (error?: Error | null) => void,
  ): void {
    if (this.#closing || this.#transport.destroyed) {
      done(new Error("connection is closed"));
      return;
    }
    this.#options.onActivity();
    const transport = this.#transport;
    const header = frameHeader(Opcode[kind], bytes.length, prefix);
    if (bytes.length === 0) {
      transport.write(header, done);
      return;
    }
    transport.cork();
    transport.write(header);
    transport.write(bytes, done);
    transport.uncork();
  }

  /** Sends a ping: a client that vanished shows by the reset. */
  ping(): void {
    this.#sendControl(Opcode.ping, Buffer.alloc(0));
  }

  /** Stops reading until `release` by the same owner. */
  hold(owner: object): void {
    if (this.#discarding) return;
    this.#holds.add(owner);
    this.#transport.pause();
  }

  release(owner: object): void {
    if (this.#holds.delete(owner) && this.#holds.size === 0) this.#transport.resume();
  }

  destroy(): void {
    this.#transport.destroy();
  }

  /**
   * Sends a close frame after everything that was sent. Settles when the client has answered, or closed the
   * connection.
   */
  async finish(code: number = CloseCode.normal): Promise<void> {
    if (this.#transport.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#transport.once("close", resolve);
    const timer = startTimer(() => this.#transport.destroy(), lingerMs);
    this.#discarding = true;
    this.#holds.clear();
    this.#transport.resume();
    this.#sendControl(Opcode.close, closePayload(code));
    this.#closing = true;
    await promise;
    timer.stop();
  }

  #receive(chunk: Buffer): void {
    try {
      this.#parser.push(chunk);
    } catch (error) {
      if (!(error instanceof WebSocketError)) {
        this.#transport.destroy(error as Error);
        return;
      }
      this.#transport.removeAllListeners("data");
      this.#transport.resume(); // what else comes is ignored
      this.#hangUp(error.closeCode);
    }
  }

  #onControl(opcode: number, payload: Buffer): void {
    if (opcode === Opcode.ping) {
      this.#sendControl(Opcode.pong, payload);
    } else if (opcode === Opcode.close) {
      this.#discarding = true;
      this.#hangUp(codeOfClose(payload));
    }
  }

  /** Answers the client's close frame, or sends one to a client that broke the protocol, and ends the connection. */
  #hangUp(code: number): void {
    if (!this.#closing) this.#sendControl(Opcode.close, closePayload(code));
    this.#closing = true;
    this.#transport.end(() => this.#transport.destroy());
    startTimer(() => this.#transport.destroy(), 1000).unref();
  }

  #sendControl(opcode: number, payload: Buffer): void {
    if (this.#closing || this.#transport.destroyed || this.#transport.writableEnded) return;
    const frame = Buffer.concat([frameHeader(opcode, payload.length), payload]);
    this.#controlBacklog += frame.length;
    if (this.#controlBacklog > controlBacklogLimit) {
      this.#transport.destroy();
      return;
    }
    this.#transport.write(frame, () => {
      this.#controlBacklog -= frame.length;
    });
  }
}

/** The code that answers a close frame: the frame's own, where it is one that may be sent (RFC 6455, section 7.4). */
function codeOfClose(payload: Buffer): number {
  if (payload.length === 0) return CloseCode.normal;
  const code = payload.length === 1 ? 0 : payload.readUInt16BE();
  const isDefined = code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
  const isPrivate = code >= 3000 && code <= 4999;
  return isDefined || isPrivate ? code : CloseCode.protocolError;
}
