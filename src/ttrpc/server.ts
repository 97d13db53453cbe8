// SPDX-License-Identifier: Apache-2.0

import { chmod, mkdir, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import path from "node:path";
import type { Duplex } from "node:stream";
import { timeLimit } from "../base/deadline.ts";
import { fault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { statusOf } from "../rpc/status.ts";
import {
  encodeFrame,
  type Frame,
  FrameReader,
  FrameType,
  maxPayloadBytes,
  type OversizedFrame,
} from "./frame.ts";
import { decodeRequest, encodeResponse } from "./message.ts";
import type { TtrpcRegistry } from "./registry.ts";
import { namespaceKey } from "./service-client.ts";

/** sun_path holds 108 bytes, the last one a terminator. */
const maxSocketPathBytes = 107;

/** A ttrpc server on a unix socket (mode 0600). Disposing it ends all connections. */
export class TtrpcServer implements AsyncDisposable {
  readonly path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #shutdown = new AbortController();
  readonly #registry: TtrpcRegistry;
  readonly #log: Logger;

  private constructor(socketPath: string, registry: TtrpcRegistry, log: Logger) {
    this.path = socketPath;
    this.#registry = registry;
    this.#log = log;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Listens on `socketPath`, replacing a stale socket there. INVALID_ARGUMENT when it is too long. */
  static async listen(options: {
    readonly path: string;
    readonly registry: TtrpcRegistry;
    readonly log: Logger;
  }): Promise<TtrpcServer> {
    if (Buffer.byteLength(options.path) > maxSocketPathBytes) {
      throw fault(
        "INVALID_ARGUMENT",
        `socket path "${options.path}" is longer than ${maxSocketPathBytes} bytes`,
      );
    }
    await mkdir(path.dirname(options.path), { recursive: true, mode: 0o711 });
    await rm(options.path, { force: true });
    const self = new TtrpcServer(options.path, options.registry, options.log);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    self.#server.once("error", reject);
    self.#server.listen(options.path, resolve);
    await promise;
    self.#server.off("error", reject);
    self.#server.on("error", (err) => options.log.error({ err }, "ttrpc server failed"));
    await chmod(options.path, 0o600);
    return self;
  }

  async close(): Promise<void> {
    this.#shutdown.abort(fault("UNAVAILABLE", "server is shutting down"));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    const connection = new ServerConnection(
      socket,
      this.#registry,
      this.#log,
      this.#shutdown.signal,
    );
    socket.on("data", (chunk: Buffer) => connection.receive(chunk));
    socket.on("error", (err) => this.#log.debug({ err }, "ttrpc connection failed"));
    socket.on("close", () => {
      this.#sockets.delete(socket);
      connection.end();
    });
  }
}

/** One peer's connection: its owner passes in what arrives, and when the connection has ended. */
export class ServerConnection {
  readonly #socket: Duplex;
  readonly #registry: TtrpcRegistry;
  readonly #log: Logger;
  readonly #gone = new AbortController();
  readonly #signal: AbortSignal;
  readonly #reader = new FrameReader();
  #lastStreamId = 0;
  #openCalls = 0;

  constructor(socket: Duplex, registry: TtrpcRegistry, log: Logger, shutdown: AbortSignal) {
    this.#socket = socket;
    this.#registry = registry;
    this.#log = log;
    this.#signal = AbortSignal.any([this.#gone.signal, shutdown]);
  }

  receive(chunk: Buffer): void {
    for (const frame of this.#reader.push(chunk)) {
      // Each call ends in an answer or, when the peer is gone, in nothing: it cannot reject.
      void this.#answer(frame);
    }
  }

  end(): void {
    this.#gone.abort(fault("CANCELLED", "peer closed the connection"));
  }

  async #answer(frame: Frame | OversizedFrame): Promise<void> {
    if (frame.type !== FrameType.request) return; // data frames: no streaming method is registered
    this.#openCalls += 1;
    try {
      const payload = await this.#dispatch(frame);
      if (payload.byteLength > maxPayloadBytes - 64) {
        throw fault("RESOURCE_EXHAUSTED", `answer is ${payload.byteLength} bytes long`);
      }
      this.#send(frame.streamId, encodeResponse({ code: 0, message: "", payload }));
    } catch (error) {
      const status = statusOf(error);
      this.#log.debug({ err: error, code: status.code }, "ttrpc call failed");
      this.#send(frame.streamId, encodeResponse({ ...status, payload: Buffer.alloc(0) }));
    } finally {
      this.#openCalls -= 1;
    }
  }

  async #dispatch(frame: Frame | OversizedFrame): Promise<Buffer> {
    const { streamId } = frame;
    if (streamId % 2 === 0 || streamId <= this.#lastStreamId) {
      throw fault(
        "INVALID_ARGUMENT",
        `stream id ${streamId} is not odd and above ${this.#lastStreamId}`,
      );
    }
    this.#lastStreamId = streamId;
    if ("oversizedBytes" in frame) {
      throw fault("RESOURCE_EXHAUSTED", `request is ${frame.oversizedBytes} bytes long`);
    }
    const { openCalls } = this.#registry.limits;
    if (this.#openCalls > openCalls) {
      throw fault("RESOURCE_EXHAUSTED", `connection has more than ${openCalls} open calls`);
    }
    const request = decode(frame.payload);
    const headers = Object.fromEntries(request.metadata);
    const timeoutMs = request.timeoutNanos / 1e6;
    using limit = timeoutMs > 0 ? timeLimit(timeoutMs, this.#signal) : undefined;
    const signal = limit?.signal ?? this.#signal;
    const handler = this.#registry.handler(request.service, request.method);
    return await handler(request.payload, { signal, namespace: headers[namespaceKey], headers });
  }

  /** A peer that does not read its answers is not read from either. */
  #send(streamId: number, payload: Buffer): void {
    if (this.#socket.destroyed) return;
    const frame = encodeFrame({ streamId, type: FrameType.response, flags: 0, payload });
    if (this.#socket.write(frame) || this.#socket.isPaused()) return;
    this.#socket.pause();
    this.#socket.once("drain", () => this.#socket.resume());
  }
}

function decode(payload: Buffer): ReturnType<typeof decodeRequest> {
  try {
    return decodeRequest(payload);
  } catch (error) {
    throw fault("INVALID_ARGUMENT", "request envelope is malformed", { cause: error });
  }
}
