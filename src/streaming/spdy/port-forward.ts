// SPDX-License-Identifier: Apache-2.0

import type { Duplex } from "node:stream";
import { onAbort } from "../../base/on-abort.ts";
import { startTimer, type Timer } from "../../base/timers.ts";
import { type Dial, joinPort } from "../port-connection.ts";
import { SpdyConnection } from "./connection.ts";
import type { SpdyStream } from "./stream.ts";

export interface SpdyPortForwardOptions {
  readonly transport: Duplex;
  readonly head: Buffer;
  readonly dial: Dial;
  /** How long a stream waits for the other one of its pair. */
  readonly creationTimeoutMs: number;
  readonly onActivity: () => void;
}

/** Connections at once, also those whose streams were reset while the pod was still being connected to. */
const maxForwards = 1000;
/** Two for each forwarded connection. */
const maxStreams = 2 * maxForwards;

interface Pair {
  data: SpdyStream | undefined;
  error: SpdyStream | undefined;
  readonly timer: Timer;
}

/**
 * Serves `portforward.k8s.io`: each forwarded connection is a pair of streams with one `requestid`, of
 * which "error" carries the reason when the port cannot be reached.
 */
export class SpdyPortForward {
  readonly #connection: SpdyConnection;
  readonly #options: SpdyPortForwardOptions;
  readonly #pairs = new Map<string, Pair>();
  #forwards = 0;

  constructor(options: SpdyPortForwardOptions) {
    this.#options = options;
    this.#connection = new SpdyConnection(options.transport, {
      head: options.head,
      maxStreams,
      onActivity: options.onActivity,
      onStream: (stream) => this.#onStream(stream),
    });
    onAbort(this.gone, () => {
      for (const { timer } of this.#pairs.values()) timer.stop();
      this.#pairs.clear();
    });
  }

  get gone(): AbortSignal {
    return this.#connection.gone;
  }

  ping(): void {
    this.#connection.ping();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  finish(): Promise<void> {
    return this.#connection.finish();
  }

  #onStream(stream: SpdyStream): void {
    const kind = stream.headers.get("streamtype");
    if (kind !== "data" && kind !== "error") {
      stream.destroy();
      return;
    }
    const requestId = requestIdOf(stream, kind);
    const pair = this.#pairs.get(requestId) ?? this.#newPair(requestId);
    if (pair[kind] !== undefined) {
      stream.destroy();
      return;
    }
    pair[kind] = stream;
    const { data, error } = pair;
    if (data === undefined || error === undefined) {
      // A pair is forgotten when its client resets one of the two: the name may come again, and names without streams
      // must not pile up.
      stream.once("close", () => this.#giveUp(requestId, pair));
      return;
    }
    this.#pairs.delete(requestId);
    pair.timer.stop();
    void this.#forward(data, error); // reports its failures to the client
  }

  #giveUp(requestId: string, pair: Pair): void {
    if (this.#pairs.get(requestId) !== pair) return;
    this.#pairs.delete(requestId);
    pair.timer.stop();
    pair.data?.destroy();
    pair.error?.destroy();
  }

  #newPair(requestId: string): Pair {
    const giveUp = (): void => this.#giveUp(requestId, pair);
    const timer = startTimer(giveUp, this.#options.creationTimeoutMs);
    const pair: Pair = { data: undefined, error: undefined, timer };
    this.#pairs.set(requestId, pair);
    return pair;
  }

  async #forward(data: SpdyStream, error: SpdyStream): Promise<void> {
    error.resume(); // the client closes its half at once
    const port = portOf(data);
    if (port === undefined) {
      error.end(`"${data.headers.get("port") ?? ""}" is no port`);
      data.destroy();
      return;
    }
    if (this.#forwards >= maxForwards) {
      error.end(`cannot connect to port ${port}: ${maxForwards} connections are open`);
      data.destroy();
      return;
    }
    this.#forwards += 1;
    await joinPort(this.#options.dial, port, data, (message) => error.end(message));
    this.#forwards -= 1;
    error.end();
  }
}

/** Clients before Kubernetes 1.0 name no request; theirs are known by their stream numbers, error first. */
function requestIdOf(stream: SpdyStream, kind: "data" | "error"): string {
  const given = stream.headers.get("requestid") ?? "";
  if (given !== "") return given;
  return String(kind === "error" ? stream.id : stream.id - 2);
}

function portOf(stream: SpdyStream): number | undefined {
  const text = stream.headers.get("port") ?? "";
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port > 0 && port <= 65_535 ? port : undefined;
}
