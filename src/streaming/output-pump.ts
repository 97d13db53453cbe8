// SPDX-License-Identifier: Apache-2.0

import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { startInterval } from "../base/timers.ts";
import { untilAborted } from "../base/waits.ts";

/**
 * Carries one output of a process to the client, no faster than the client reads. Without a sink, or
 * once the client has closed that stream, the output is read and dropped, so that the process never
 * waits for a reader.
 */
export class OutputPump {
  /** Settles when the FIFO has ended and all of it was handed to the sink, or the FIFO was closed. */
  readonly ended: Promise<void>;
  readonly #source: Socket;
  #sink: Writable | undefined;
  #held = false;
  #lastReadAt = performance.now();

  constructor(source: Socket, sink: Writable | undefined) {
    this.#source = source;
    this.#sink = sink;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    source.on("end", resolve);
    source.on("close", () => resolve());
    source.on("data", (bytes: Buffer) => this.#take(bytes));
    sink?.on("drain", () => this.#release());
    sink?.on("close", () => {
      this.#sink = undefined;
      this.#release();
    });
  }

  /** How long nothing has come; 0 while the client holds it up. */
  get silentMs(): number {
    return this.#held ? 0 : performance.now() - this.#lastReadAt;
  }

  #take(bytes: Buffer): void {
    this.#lastReadAt = performance.now();
    if (this.#sink === undefined || this.#sink.writableEnded || this.#sink.destroyed) return;
    if (this.#sink.write(bytes)) return;
    this.#held = true;
    this.#source.pause();
  }

  #release(): void {
    this.#held = false;
    this.#lastReadAt = performance.now();
    this.#source.resume();
  }
}

/**
 * Waits for all output of a process that has exited: to the end of every FIFO, or until none of them
 * gave a byte for `idleMs`, since a child in the background may hold them open for ever.
 */
export async function drained(
  pumps: readonly OutputPump[],
  idleMs: number,
  signal: AbortSignal,
): Promise<void> {
  const silent = Promise.withResolvers<void>();
  const since = performance.now();
  using _timer = startInterval(
    () => {
      const silentMs = Math.min(performance.now() - since, ...pumps.map((pump) => pump.silentMs));
      if (silentMs >= idleMs) silent.resolve();
    },
    Math.max(10, Math.min(250, idleMs / 4)),
  );
  const ended = Promise.all(pumps.map((pump) => pump.ended));
  await untilAborted(Promise.race([ended, silent.promise]), signal);
}
