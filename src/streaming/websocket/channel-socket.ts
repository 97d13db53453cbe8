// SPDX-License-Identifier: Apache-2.0
import { Duplex } from "node:stream";
import type { RawData, WebSocket } from "ws";

export interface ChannelSocketOptions {
  readonly socket: WebSocket;
  /** Messages are text: the channel as a digit, then base64. Otherwise the first byte is the channel. */
  readonly base64: boolean;
  /** The client may close a channel with the bytes 255 and its number: version 5. */
  readonly halfClose: boolean;
  /** Bytes moved. */
  readonly onActivity: () => void;
}

const closeChannel = 255;
const asciiZero = 0x30;
/** Answers to pings that wait for a client that sends and does not read. */
const backlogLimit = 1024 * 1024;

/** Numbered channels over one WebSocket, as Kubernetes' `channel.k8s.io` protocols have them. */
export class ChannelSocket {
  readonly #socket: WebSocket;
  readonly #options: ChannelSocketOptions;
  readonly #channels = new Map<number, Channel>();
  readonly #holds = new Set<Channel>();
  readonly #gone = new AbortController();

  constructor(options: ChannelSocketOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.#socket.on("error", () => {}); // "close" follows
    this.#socket.on("close", () => this.#closed());
    this.#socket.on("message", (data) => this.#receive(data));
    this.#socket.on("ping", (data) => this.#pong(data));
  }

  /** Aborts when the client is gone. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Messages for channels that were not asked for are dropped. */
  channel(number: number): Channel {
    const channel = new Channel({
      send: (bytes, done) => this.send(number, bytes, done),
      hold: (held) => this.#hold(channel, held),
    });
    this.#channels.set(number, channel);
    return channel;
  }

  send(number: number, bytes: Buffer, done: (error?: Error) => void = () => {}): void {
    this.#options.onActivity();
    if (this.#options.base64) {
      this.#socket.send(`${number}${bytes.toString("base64")}`, done);
      return;
    }
    const message = Buffer.allocUnsafe(bytes.length + 1);
    message[0] = number;
    bytes.copy(message, 1);
    this.#socket.send(message, { binary: true }, done);
  }

  /** Makes a client that vanished without a word known. */
  ping(): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  destroy(): void {
    this.#socket.terminate();
  }

  /** Says goodbye, and settles when the client has hung up; `ws` gives it 30 s. */
  async finish(): Promise<void> {
    if (this.#gone.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.once("close", () => resolve());
    this.#channels.clear();
    this.#holds.clear();
    this.#socket.resume();
    this.#socket.close(1000);
    await promise;
  }

  #receive(data: RawData): void {
    this.#options.onActivity();
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
    const first = bytes[0];
    if (first === undefined) return;
    if (this.#options.base64) {
      const payload = Buffer.from(bytes.toString("latin1", 1), "base64");
      this.#channels.get(first - asciiZero)?.deliver(payload);
    } else if (this.#options.halfClose && first === closeChannel) {
      this.#channels.get(bytes[1] ?? closeChannel)?.deliverEnd();
    } else {
      this.#channels.get(first)?.deliver(bytes.subarray(1));
    }
  }

  #pong(data: Buffer): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > backlogLimit) this.#socket.terminate();
    else this.#socket.pong(data);
  }

  #hold(channel: Channel, held: boolean): void {
    if (held) {
      this.#holds.add(channel);
      this.#socket.pause();
    } else if (this.#holds.delete(channel) && this.#holds.size === 0) {
      this.#socket.resume();
    }
  }

  #closed(): void {
    this.#gone.abort();
    for (const channel of this.#channels.values()) channel.destroy();
    this.#channels.clear();
  }
}

interface ChannelCarrier {
  send(bytes: Buffer, done: (error?: Error) => void): void;
  /** Stops or resumes the whole connection. */
  hold(held: boolean): void;
}

/** One channel. Ending its writable side sends nothing: the protocols have no word for that. */
export class Channel extends Duplex {
  readonly #carrier: ChannelCarrier;
  #ended = false;

  constructor(carrier: ChannelCarrier) {
    super({ readableHighWaterMark: 256 * 1024, writableHighWaterMark: 64 * 1024 });
    this.#carrier = carrier;
    this.on("error", () => {}); // its writers learn of it by their callbacks
  }

  deliver(bytes: Buffer): void {
    if (this.#ended || this.destroyed || bytes.length === 0) return;
    if (!this.push(bytes)) this.#carrier.hold(true);
  }

  deliverEnd(): void {
    if (this.#ended || this.destroyed) return;
    this.#ended = true;
    this.push(null);
  }

  override _read(): void {
    this.#carrier.hold(false);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#carrier.send(chunk, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#carrier.hold(false);
    done(error);
  }
}
