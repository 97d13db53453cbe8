// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";
import { constants, createDeflate, type Deflate } from "node:zlib";
import { headerDictionary } from "../../../src/streaming/spdy/dictionary.ts";
import { FrameParser } from "../../../src/streaming/spdy/frame-parser.ts";
import {
  controlFrame,
  dataHeader,
  FrameType,
  pingFrame,
  resetFrame,
  words,
} from "../../../src/streaming/spdy/frames.ts";

export interface UpgradeAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  readonly client: SpdyClient | undefined;
}

/** Asks for an upgrade to SPDY, as kubectl and crictl do: `protocols` as header lines of their own. */
export async function upgradeToSpdy(
  url: string,
  protocols: readonly string[],
  options: {
    readonly method?: string;
    /** "" asks for none. */
    readonly upgrade?: string;
    readonly ca?: string | Buffer;
  } = {},
): Promise<UpgradeAnswer> {
  const { method = "POST", upgrade = "SPDY/3.1", ca } = options;
  const { request } = url.startsWith("https:") ? https : http;
  const outgoing = request(url, {
    method,
    agent: false,
    ...(ca === undefined ? {} : { ca, ALPNProtocols: ["http/1.1"] }),
    headers: {
      ...(upgrade === "" ? {} : { connection: "Upgrade", upgrade }),
      ...(protocols.length === 0 ? {} : { "x-stream-protocol-version": [...protocols] }),
      "content-length": "0",
    },
  });
  outgoing.end();
  const { promise, resolve, reject } = Promise.withResolvers<UpgradeAnswer>();
  outgoing.once("error", reject);
  outgoing.once("upgrade", (response, socket, head) => {
    const client = new SpdyClient(socket, head);
    resolve({ status: 101, headers: response.headers, body: "", client });
  });
  outgoing.once("response", (response) => {
    const pieces: Buffer[] = [];
    response.on("data", (piece: Buffer) => pieces.push(piece));
    response.on("end", () => {
      const body = Buffer.concat(pieces).toString();
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body,
        client: undefined,
      });
    });
  });
  return promise;
}

/** What the server sent on one stream. */
export class ClientStream {
  readonly id: number;
  readonly replied: Promise<void>;
  /** Settles with FIN or RST. */
  readonly ended: Promise<"fin" | "reset" | "closed">;
  readonly markReplied: () => void;
  readonly markEnded: (how: "fin" | "reset" | "closed") => void;
  bytes = 0;
  pieces: Buffer[] = [];
  /** Instead of gathering pieces. */
  onData: ((piece: Buffer) => void) | undefined;

  constructor(id: number) {
    this.id = id;
    const replied = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<"fin" | "reset" | "closed">();
    this.replied = replied.promise;
    this.ended = ended.promise;
    this.markReplied = replied.resolve;
    this.markEnded = ended.resolve;
  }

  take(piece: Buffer): void {
    this.bytes += piece.length;
    if (this.onData) this.onData(piece);
    else if (piece.length > 0) this.pieces.push(piece);
  }

  async text(): Promise<string> {
    await this.ended;
    return Buffer.concat(this.pieces).toString();
  }
}

/** A SPDY client that is as strict as Go's: data before the reply fails the test. */
export class SpdyClient {
  readonly socket: Duplex;
  readonly closed: Promise<unknown>;
  readonly pings: number[] = [];
  goneAway = false;
  readonly #deflate: Deflate = createDeflate({
    dictionary: headerDictionary,
    flush: constants.Z_SYNC_FLUSH,
  });
  #deflated: Buffer[] = [];
  readonly #streams = new Map<number, ClientStream>();
  #lastId = -1;
  #isClosed = false;

  constructor(socket: Duplex, head: Buffer) {
    this.socket = socket;
    this.#deflate.on("data", (piece: Buffer) => this.#deflated.push(piece));
    const replied = new Set<number>();
    const parser = new FrameParser({
      onData: (id, bytes, fin) => {
        if (!replied.has(id)) throw new Error(`data before the reply on stream ${id}`);
        const stream = this.#streams.get(id);
        stream?.take(bytes);
        if (fin) stream?.markEnded("fin");
      },
      onControl: (type, _flags, payload) => {
        const id = payload.length >= 4 ? payload.readUInt32BE(0) : 0;
        if (type === FrameType.synReply) {
          replied.add(id);
          this.#streams.get(id)?.markReplied();
        } else if (type === FrameType.rstStream) {
          this.#streams.get(id)?.markReplied();
          this.#streams.get(id)?.markEnded("reset");
        } else if (type === FrameType.ping) {
          this.pings.push(id);
          if (id % 2 === 0) this.socket.write(pingFrame(id));
        } else if (type === FrameType.goAway) {
          this.goneAway = true;
        }
      },
    });
    this.closed = new Promise((resolve) => {
      socket.once("close", resolve);
    });
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      this.#isClosed = true;
      this.#deflate.destroy();
      for (const stream of this.#streams.values()) {
        stream.markReplied();
        stream.markEnded("closed");
      }
    });
    if (head.length > 0) parser.push(head);
    socket.on("data", (chunk: Buffer) => parser.push(chunk));
  }

  /** Opens a stream and waits for the reply. Where the connection has closed, the stream has ended as "closed". */
  async open(headers: Readonly<Record<string, string>>, flags = 0): Promise<ClientStream> {
    const block = await Promise.race([this.deflate(formatHeaders(headers)), this.closed]);
    this.#lastId += 2;
    const stream = new ClientStream(this.#lastId);
    if (this.#isClosed || !Buffer.isBuffer(block)) {
      stream.markReplied();
      stream.markEnded("closed");
      return stream;
    }
    this.#streams.set(stream.id, stream);
    this.socket.write(synStreamFrame(stream.id, flags, block));
    await stream.replied;
    return stream;
  }

  deflate(block: Buffer): Promise<Buffer> {
    return new Promise((resolve) => {
      this.#deflate.write(block, () => {
        const whole = Buffer.concat(this.#deflated);
        this.#deflated = [];
        resolve(whole);
      });
    });
  }

  async write(stream: ClientStream, bytes: Buffer | string): Promise<void> {
    const data = Buffer.from(bytes as Buffer);
    this.socket.cork();
    this.socket.write(dataHeader(stream.id, data.length, false));
    const more = this.socket.write(data);
    this.socket.uncork();
    if (!more) await Promise.race([once(this.socket, "drain"), this.closed]);
  }

  end(stream: ClientStream): void {
    this.socket.write(dataHeader(stream.id, 0, true));
  }

  reset(stream: ClientStream): void {
    this.socket.write(resetFrame(stream.id, 5));
  }

  destroy(): void {
    this.socket.destroy();
  }
}

export function synStreamFrame(streamId: number, flags: number, headers: Buffer): Buffer {
  const payload = Buffer.concat([words(streamId, 0), Buffer.alloc(2), headers]);
  return controlFrame(FrameType.synStream, flags, payload);
}

export function formatHeaders(headers: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(headers);
  const text = (value: string): Buffer[] => [words(Buffer.byteLength(value)), Buffer.from(value)];
  return Buffer.concat([
    words(entries.length),
    ...entries.flatMap(([name, value]) => [...text(name), ...text(value)]),
  ]);
}
