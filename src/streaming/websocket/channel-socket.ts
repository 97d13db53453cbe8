// SPDX-License-Identifier: Apache-2.0
import type { Duplex } from "node:stream";
import { onAbort } from "../../base/on-abort.ts";
import { Base64Pieces } from "./base64-pieces.ts";
import { Channel, type ChannelCarrier } from "./channel.ts";
import { WebSocketConnection } from "./connection.ts";
import type { HeldPieces } from "./holding-stream.ts";

export interface ChannelSocketOptions {
  readonly transport: Duplex;
  readonly head: Buffer;
  /** Messages are text: the channel as a digit, then base64. Otherwise the first byte is the channel. */
  readonly base64: boolean;
  /** The client may close a channel with the bytes 255 and its number: version 5. */
  readonly halfClose: boolean;
  /** Bytes moved. */
  readonly onActivity: () => void;
}

const closeChannel = 255;
const asciiZero = 0x30;

/** Numbered channels over one WebSocket, as Kubernetes' `channel.k8s.io` protocols have them. */
export class ChannelSocket {
  readonly #connection: WebSocketConnection;
  readonly #options: ChannelSocketOptions;
  readonly #channels = new Map<number, Channel>();
  readonly #held: HeldPieces = { count: 0 };
  readonly #base64 = new Base64Pieces();
  /** The channel of the message that is coming in; undefined before its first byte. */
  #current: number | undefined;
  /** The content of a message that closes a channel: two bytes in all, wherever they were cut. */
  #closing: number[] = [];

  constructor(options: ChannelSocketOptions) {
    this.#options = options;
    this.#connection = new WebSocketConnection({
      transport: options.transport,
      head: options.head,
      onActivity: options.onActivity,
      onData: (bytes, first, last) => this.#receive(bytes, first, last),
    });
    onAbort(this.gone, () => {
      for (const channel of this.#channels.values()) channel.destroy();
      this.#channels.clear();
    });
  }

  /** Aborts when the client is gone. */
  get gone(): AbortSignal {
    return this.#connection.gone;
  }

  /** Messages for channels that were not asked for are dropped. */
  channel(number: number): Channel {
    const carrier: ChannelCarrier = {
      send: (bytes, done) => this.send(number, bytes, done),
      hold: (held) => {
        if (held) this.#connection.hold(channel);
        else this.#connection.release(channel);
      },
    };
    const channel = new Channel(carrier, this.#held);
    this.#channels.set(number, channel);
    return channel;
  }

  send(number: number, bytes: Buffer, done: (error?: Error | null) => void = () => {}): void {
    if (this.#options.base64) {
      const text = Buffer.from(bytes.toString("base64"), "latin1");
      this.#connection.send("text", text, asciiZero + number, done);
    } else {
      this.#connection.send("binary", bytes, number, done);
    }
  }

  ping(): void {
    this.#connection.ping();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  /** Sends a close frame, and settles when the client has closed the connection. */
  async finish(): Promise<void> {
    this.#channels.clear();
    await this.#connection.finish();
  }

  #receive(bytes: Buffer, first: boolean, last: boolean): void {
    if (first) this.#current = undefined;
    let payload = bytes;
    if (this.#current === undefined && payload.length > 0) {
      const number = payload.readUInt8(0);
      this.#current = this.#options.base64 ? number - asciiZero : number;
      payload = payload.subarray(1);
    }
    if (this.#current === undefined) return;
    if (this.#options.halfClose && this.#current === closeChannel) {
      this.#close(payload, last);
      return;
    }
    if (this.#options.base64) payload = this.#base64.decode(payload, last);
    this.#channels.get(this.#current)?.deliver(payload);
  }

  /** A longer message, or one without a number, closes nothing, as with a kubelet. */
  #close(payload: Buffer, last: boolean): void {
    this.#closing.push(...payload.subarray(0, 2 - this.#closing.length));
    if (!last) return;
    const [number = -1, ...more] = this.#closing;
    this.#closing = [];
    if (more.length === 0) this.#channels.get(number)?.deliverEnd();
  }
}
