// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { rm } from "node:fs/promises";
import type { Cancellable } from "../base/cancellable.ts";
import { isFault } from "../base/errors.ts";
import { openFifoBoth } from "../base/os/fifo.ts";
import { unlessAborted } from "../base/waits.ts";
import type { IoConfig } from "../client/ports.ts";
import type { StreamName } from "./line-formatter.ts";
import { logFault } from "./log-fault.ts";
import type { LogCounts, LogRequest, OpenPump, UnfinishedLines } from "./messages.ts";
import { OpenTaps } from "./open-taps.ts";
import type { TapEnd } from "./output-tap.ts";
import type { ContainerLog, LogTap, TapFifos } from "./ports.ts";

const nothing: LogCounts = { lines: 0, bytes: 0, lostBytes: 0 };

export interface PumpedLogParts {
  readonly containerId: string;
  readonly config: IoConfig;
  /** Folder of the FIFOs, removed with the log; undefined when it is not ours. */
  readonly folder: string | undefined;
  readonly request: OpenPump;
  readonly held: Promise<void>;
  readonly send: (request: LogRequest) => Promise<void>;
  readonly onDisposed: () => void;
}

/** A container's log as the daemon sees it; the worker does the reading and writing. */
export class PumpedLog implements ContainerLog {
  readonly config: IoConfig;
  readonly containerId: string;
  readonly held: Promise<void>;
  readonly #parts: PumpedLogParts;
  readonly #taps: OpenTaps;
  readonly #end = Promise.withResolvers<void>();
  /** Counts of workers that died. */
  #before: LogCounts = nothing;
  #latest: LogCounts = nothing;
  #unfinished: UnfinishedLines = {};
  #stdinFd = -1;
  #isStarted = false;
  #state: "open" | "ended" | "disposed" = "open";

  constructor(parts: PumpedLogParts) {
    this.#parts = parts;
    this.config = parts.config;
    this.containerId = parts.containerId;
    this.held = parts.held;
    this.#taps = new OpenTaps(parts.request.key, parts.send);
  }

  /** Folder of the FIFOs, when it is ours. */
  get folder(): string | undefined {
    return this.#parts.folder;
  }

  /** Holds both ends of the stdin FIFO, so that the shim's open never waits and the process sees no EOF. */
  openStdin({ tolerant }: { readonly tolerant: boolean }): void {
    try {
      this.#stdinFd = openFifoBoth(this.config.stdin);
    } catch (error) {
      if (!tolerant) throw error;
    }
  }

  async start(): Promise<void> {
    await this.#parts.send(this.#parts.request);
    this.#isStarted = true;
  }

  /** Where its log goes; "" where it is discarded. */
  get logPath(): string {
    return this.#parts.request.logPath;
  }

  /** Has a new worker take over the FIFOs. */
  async reattach(): Promise<void> {
    this.leaveWorker();
    if (this.#state !== "open" || !this.#isStarted) return;
    this.#before = this.counts();
    this.#latest = nothing;
    const unfinished = this.#unfinished;
    await this.#parts.send({ ...this.#parts.request, resume: true, unfinished });
  }

  /** Notes that no worker has the FIFOs any more. */
  leaveWorker(): void {
    this.#taps.endAll("lost");
  }

  unfinishedIn(stream: StreamName, memory: SharedArrayBuffer | undefined): void {
    this.#unfinished = { ...this.#unfinished, [stream]: memory };
  }

  ended(counts: LogCounts): void {
    this.#latest = counts;
    if (this.#state === "open") this.#state = "ended";
    this.#end.resolve();
  }

  counted(counts: LogCounts): void {
    this.#latest = counts;
  }

  async drained({ signal }: Cancellable): Promise<void> {
    await unlessAborted(this.#end.promise, signal);
  }

  async closeStdin(): Promise<void> {
    if (this.#stdinFd === -1) return;
    fs.closeSync(this.#stdinFd);
    this.#stdinFd = -1;
  }

  async reopen({ signal }: Cancellable): Promise<void> {
    signal.throwIfAborted();
    const { key } = this.#parts.request;
    try {
      await this.#parts.send({ kind: "reopen", key });
    } catch (error) {
      throw this.#failure("reopen log", error);
    }
  }

  async tap(fifos: TapFifos, { signal }: Cancellable): Promise<LogTap> {
    signal.throwIfAborted();
    try {
      return await this.#taps.open(fifos);
    } catch (error) {
      throw this.#failure("attach to the output", error);
    }
  }

  tapEnded(tap: string, why: TapEnd): void {
    this.#taps.ended(tap, why);
  }

  counts(): LogCounts {
    return {
      lines: this.#before.lines + this.#latest.lines,
      bytes: this.#before.bytes + this.#latest.bytes,
      lostBytes: this.#before.lostBytes + this.#latest.lostBytes,
    };
  }

  /** Undoes a start that failed, whatever it got to; the folder is the caller's. */
  async abandon(): Promise<void> {
    if (this.#state === "disposed") return;
    this.#state = "disposed";
    this.#parts.onDisposed();
    this.#taps.endAll("end");
    await this.closeStdin();
    // A dead worker holds nothing any more.
    await this.#parts.send({ kind: "close", key: this.#parts.request.key }).catch(() => {});
    this.#end.resolve();
  }

  #failure(verb: string, error: unknown): unknown {
    if (!isFault(error, "INTERNAL")) return error;
    return logFault(`cannot ${verb} of container "${this.containerId}"`, error.cause);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "disposed") return;
    await this.abandon();
    if (this.#parts.folder !== undefined) {
      await rm(this.#parts.folder, { recursive: true, force: true });
    }
  }
}
