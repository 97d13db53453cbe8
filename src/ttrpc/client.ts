// SPDX-License-Identifier: Apache-2.0

import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { connectionEnd } from "../base/connection-end.ts";
import { fault, RuntimeFault, toFault } from "../base/errors.ts";
import { onAbort } from "../base/on-abort.ts";
import { startTimer } from "../base/timers.ts";
import { codeOf } from "../rpc/status.ts";
import {
  encodeFrame,
  type Frame,
  FrameReader,
  FrameType,
  maxPayloadBytes,
  type OversizedFrame,
} from "./frame.ts";
import { decodeResponse, encodeRequest } from "./message.ts";

/** Requests that may wait for a server to read them; a few of the largest. */
const maxUnreadBytes = 4 * maxPayloadBytes;

export interface TtrpcCall {
  readonly signal?: AbortSignal | undefined;
  /** Sent to the server and kept here too: a server may ignore it (the 1.6 shim's Wait does). */
  readonly timeoutMs?: number | undefined;
  readonly metadata?: readonly (readonly [key: string, value: string])[] | undefined;
}

/** A unix socket, or one of several streams on it. */
export type Connection = Duplex & { unref?(): unknown };

/** What the server has answered with: the call reached it, and the connection is well. */
export class AnsweredFault extends RuntimeFault {
  override readonly name = "AnsweredFault";
}

interface PendingCall {
  readonly name: string;
  resolve(payload: Buffer): void;
  reject(error: RuntimeFault): void;
}

/**
 * One ttrpc connection over a stream of bytes: unary calls, any number at once, answered in any order.
 *
 * The protocol has no cancel frame: aborting a call gives up the wait, while the server works on
 * (only `timeoutMs` reaches it). When the connection closes, every pending and later call fails with
 * UNAVAILABLE and `closed` settles.
 */
export class TtrpcClient implements Disposable {
  /** Settles, never rejects, when the connection is gone, for whatever reason. */
  readonly closed: Promise<void>;
  readonly #socket: Connection;
  readonly #reader = new FrameReader();
  readonly #pending = new Map<number, PendingCall>();
  #nextStreamId = 1;
  #failure: RuntimeFault | undefined;

  constructor(socket: Connection) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    this.closed = connectionEnd(socket, (cause) => {
      this.#fail(fault("UNAVAILABLE", "ttrpc connection is closed", { cause }));
    });
  }

  /** Connects; UNAVAILABLE when nobody listens, DEADLINE_EXCEEDED or CANCELLED by the signal. */
  static async connect(path: string, call: { readonly signal: AbortSignal }): Promise<TtrpcClient> {
    if (call.signal.aborted) throw toFault(call.signal.reason);
    const socket = connect({ path });
    const { promise, resolve, reject } = Promise.withResolvers<TtrpcClient>();
    using _reaction = onAbort(call.signal, (reason) => {
      socket.destroy();
      reject(toFault(reason));
    });
    const refuse = (error: Error): void =>
      reject(
        fault("UNAVAILABLE", `cannot connect to "${path}": ${error.message}`, { cause: error }),
      );
    socket.once("error", refuse);
    socket.once("connect", () => {
      socket.off("error", refuse);
      resolve(new TtrpcClient(socket));
    });
    return await promise;
  }

  get isClosed(): boolean {
    return this.#failure !== undefined;
  }

  /** Keeps the process alive or not while nothing but this connection is open. */
  unref(): void {
    this.#socket.unref?.();
  }

  /** Makes one unary call; the answer is the method's encoded response. */
  async call(
    service: string,
    method: string,
    payload: Uint8Array,
    options: TtrpcCall = {},
  ): Promise<Buffer> {
    const name = `${service}/${method}`;
    const { signal, timeoutMs } = options;
    if (this.#failure !== undefined) throw this.#failure;
    if (signal?.aborted === true) throw toFault(signal.reason);
    const request = encodeRequest({
      service,
      method,
      payload,
      timeoutNanos: timeoutMs === undefined ? 0 : nanosOf(timeoutMs),
      metadata: options.metadata ?? [],
    });
    if (request.byteLength > maxPayloadBytes) {
      throw fault("RESOURCE_EXHAUSTED", `request of ${name} is ${request.byteLength} bytes long`);
    }
    if (this.#socket.writableLength > maxUnreadBytes) {
      throw fault("UNAVAILABLE", `${name} cannot be asked: the server does not read`);
    }
    const streamId = this.#takeStreamId();
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.#pending.set(streamId, { name, resolve, reject });
    using _reaction = onAbort(signal, (reason) => reject(toFault(reason)));
    const timer =
      timeoutMs === undefined
        ? undefined
        : startTimer(
            () => reject(fault("DEADLINE_EXCEEDED", `${name} took longer than ${timeoutMs} ms`)),
            timeoutMs,
          );
    this.#socket.write(
      encodeFrame({ streamId, type: FrameType.request, flags: 0, payload: request }),
    );
    try {
      return await promise;
    } finally {
      timer?.stop();
      this.#pending.delete(streamId);
    }
  }

  /** Closes the connection; pending calls fail with UNAVAILABLE. */
  close(): void {
    this.#fail(fault("UNAVAILABLE", "ttrpc connection is closed"));
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // Servers want odd, strictly increasing ids, so a connection ends after 2^31 calls.
  #takeStreamId(): number {
    const id = this.#nextStreamId;
    if (id > 0xffffffff) {
      this.close();
      throw fault("UNAVAILABLE", "ttrpc connection has used up its stream ids");
    }
    this.#nextStreamId += 2;
    return id;
  }

  #receive(chunk: Buffer): void {
    for (const frame of this.#reader.push(chunk)) this.#settle(frame);
  }

  #settle(frame: Frame | OversizedFrame): void {
    const pending = this.#pending.get(frame.streamId);
    // No pending call: its caller gave up, and the answer came late.
    if (pending === undefined) return;
    if ("oversizedBytes" in frame) {
      pending.reject(
        fault(
          "RESOURCE_EXHAUSTED",
          `answer of ${pending.name} is ${frame.oversizedBytes} bytes long`,
        ),
      );
      return;
    }
    if (frame.type !== FrameType.response) {
      pending.reject(fault("INTERNAL", `${pending.name} answered a frame of type ${frame.type}`));
      return;
    }
    try {
      const response = decodeResponse(frame.payload);
      if (response.code === 0) pending.resolve(response.payload);
      else pending.reject(new AnsweredFault(codeOf(response.code), response.message));
    } catch (error) {
      pending.reject(fault("INTERNAL", `answer of ${pending.name} is malformed`, { cause: error }));
    }
  }

  #fail(failure: RuntimeFault): void {
    this.#failure ??= failure;
    for (const pending of this.#pending.values()) pending.reject(this.#failure);
    this.#pending.clear();
  }
}

/** The time-out as an int64 in which 0 means none; a time that does not fit counts as none. */
function nanosOf(timeoutMs: number): number {
  const nanos = Math.max(1, Math.round(timeoutMs * 1e6));
  return nanos < 2 ** 63 ? nanos : 0;
}
