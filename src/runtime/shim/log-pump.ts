// SPDX-License-Identifier: Apache-2.0
import { Socket } from "node:net";
import { StringDecoder } from "node:string_decoder";
import type { Logger } from "../../base/logger.ts";
import { drainPipe, pipeBytes } from "../../base/os/drain-pipe.ts";
import { openFifoBoth } from "../../base/os/fifo.ts";

const maxLineLength = 16_384;

/**
 * Hands what a shim logs, line by line, to the daemon's log. It opens both ends of the FIFO: a shim
 * hangs while nobody reads, so the FIFO must never lose its reader or reach its end in between.
 * Dispose it when the shim is gone; the last lines are read first.
 */
export class ShimLogPump implements Disposable {
  readonly #fd: number;
  readonly #socket: Socket;
  readonly #log: Logger;
  readonly #decoder = new StringDecoder("utf8");
  #rest = "";
  #isClosed = false;

  constructor(fifo: string, log: Logger) {
    this.#log = log;
    this.#fd = openFifoBoth(fifo);
    this.#socket = new Socket({ fd: this.#fd, readable: true, writable: false });
    this.#socket.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#socket.on("error", (err) => log.debug({ err }, "shim log ended"));
    this.#socket.unref();
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    drainPipe(this.#fd, Buffer.allocUnsafe(pipeBytes), (bytes) => this.#take(bytes));
    this.#socket.destroy();
    this.#emit(this.#rest);
  }

  #take(chunk: Buffer): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split("\n");
    this.#rest = (lines.pop() ?? "").slice(0, maxLineLength);
    for (const line of lines) this.#emit(line);
  }

  #emit(line: string): void {
    const text = line.slice(0, maxLineLength).trim();
    if (text === "") return;
    const level = /\blevel=(\w+)/.exec(text)?.[1];
    if (level === "error" || level === "fatal" || level === "panic") {
      this.#log.warn({ shimLog: text }, "shim reported an error");
    } else if (level === undefined || level === "warning") {
      this.#log.info({ shimLog: text }, "shim log");
    } else {
      this.#log.debug({ shimLog: text }, "shim log");
    }
  }
}
