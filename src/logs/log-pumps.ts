// SPDX-License-Identifier: Apache-2.0

import { errnoOf } from "../base/errors.ts";
import { PipePeek } from "../base/os/pipe-peek.ts";
import { startTimer, type Timer } from "../base/timers.ts";
import type { BusyMark } from "./busy-mark.ts";
import { ContainerPump, type Guard } from "./container-pump.ts";
import type { StreamName } from "./line-formatter.ts";
import { LogClock } from "./log-clock.ts";
import { LogFile } from "./log-file.ts";
import type {
  AddTap,
  CloseAll,
  LogCounts,
  LogNotice,
  NumberedRequest,
  OpenPump,
} from "./messages.ts";
import { OutputBuffer } from "./output-buffer.ts";
import { ReadJournal } from "./read-journal.ts";

const countsPeriodMs = 1000;

/** All pumps of a log worker: carries out its requests and sends what happens. */
export class LogPumps {
  readonly #send: (notice: LogNotice) => void;
  readonly #pumps = new Map<string, ContainerPump>();
  readonly #moved = new Set<string>();
  readonly #clock = new LogClock();
  readonly #output = new OutputBuffer();
  readonly #busy: BusyMark;
  #countsTimer: Timer | undefined;
  #peek: PipePeek | undefined;

  constructor(send: (notice: LogNotice) => void, busy: BusyMark) {
    this.#send = send;
    this.#busy = busy;
  }

  /** Carries out one request and answers it with `done` or `failed`; never throws. */
  handle(request: NumberedRequest): void {
    const { sequence } = request;
    try {
      if (request.kind === "close-all") this.#closeAll();
      else this.#busy.during(Number(request.key), () => this.#carryOut(request));
      this.#send({ kind: "done", sequence });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#send({ kind: "failed", sequence, errno: errnoOf(error) ?? "UNKNOWN", message });
    }
  }

  /** Drops everything at once; nothing more is read or written: another worker has the FIFOs. */
  leave(): void {
    this.#countsTimer?.stop();
    for (const pump of this.#pumps.values()) pump.leave();
    this.#pumps.clear();
    this.#peek?.[Symbol.dispose]();
    this.#peek = undefined;
  }

  /** Leaves what the FIFOs hold to the next daemon's worker. */
  #closeAll(): void {
    this.#countsTimer?.stop();
    for (const key of this.#pumps.keys()) this.#busy.during(Number(key), () => this.#close(key));
  }

  #carryOut(request: Exclude<NumberedRequest, CloseAll>): void {
    switch (request.kind) {
      case "open":
        return this.#open(request);
      case "reopen":
        return this.#pump(request.key).file.reopen();
      case "tap":
        return this.#tap(request);
      case "untap":
        return this.#pumps.get(request.key)?.removeTap(request.tap);
      case "close":
        this.#pumps.get(request.key)?.readRest();
        return this.#close(request.key);
    }
  }

  #open(request: OpenPump): void {
    const { key, resume } = request;
    const { logPath, logFolder } = request;
    const place = logPath === "" ? undefined : { file: logPath, folder: logFolder };
    const file = new LogFile(place, {
      began: (errno) => this.#send({ kind: "loss-began", key, errno }),
      ended: (lostBytes) => this.#send({ kind: "loss-ended", key, lostBytes }),
    });
    const number = Number(key);
    const pump = new ContainerPump({
      file,
      guard: this.#guard(request),
      maxLineBytes: request.maxLineBytes,
      clock: this.#clock,
      output: this.#output,
      busy: (work) => this.#busy.during(number, work),
      onUnfinished: (stream, memory) => this.#send({ kind: "unfinished", key, stream, memory }),
      onProgress: () => this.#noteProgress(key),
      onEnded: () => this.#send({ kind: "ended", key, counts: file.counts() }),
    });
    try {
      this.#tolerate(request, () => file.open());
      for (const [name, fifo] of streamsOf(request)) {
        this.#tolerate(request, () => pump.addStream(name, fifo, request.unfinished[name]));
      }
      this.#tolerate(request, () => {
        if (!pump.recover()) throw new Error("the log is not where the read journal has it");
      });
      this.#tolerate(request, () => file.mend());
    } catch (error) {
      pump[Symbol.dispose]();
      throw error;
    }
    this.#pumps.set(key, pump);
    pump.start({ drainFirst: resume });
  }

  /** A log works without it, as long as the daemon is not killed. */
  #guard({ key, journal }: OpenPump): Guard | undefined {
    if (journal === "") return undefined;
    let isTold = false;
    const onTrouble = (error: unknown): void => {
      if (isTold) return;
      isTold = true;
      const message = error instanceof Error ? error.message : String(error);
      this.#send({ kind: "unguarded", key, message });
    };
    try {
      this.#peek ??= new PipePeek();
      return { journal: new ReadJournal(journal), peek: this.#peek, onTrouble };
    } catch (error) {
      onTrouble(error);
      return undefined;
    }
  }

  /**
   * Runs a step in opening a pump. A container that already runs must get its output read, whatever happened to its
   * files: when resuming, a failure is reported and the rest goes on.
   */
  #tolerate(request: OpenPump, step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!request.resume || !(error instanceof Error)) throw error;
      this.#send({ kind: "trouble", key: request.key, message: error.message });
    }
  }

  #tap(request: AddTap): void {
    const { key, tap } = request;
    this.#pump(key).addTap(tap, streamsOf(request), (why) => {
      this.#send({ kind: "tap-ended", key, tap, why });
    });
  }

  #pump(key: string): ContainerPump {
    const pump = this.#pumps.get(key);
    if (pump === undefined) throw Object.assign(new Error("no such log"), { code: "ENOENT" });
    return pump;
  }

  #close(key: string): void {
    this.#pumps.get(key)?.[Symbol.dispose]();
    this.#pumps.delete(key);
  }

  #noteProgress(key: string): void {
    this.#moved.add(key);
    this.#countsTimer ??= startTimer(() => this.#sendCounts(), countsPeriodMs);
  }

  #sendCounts(): void {
    this.#countsTimer = undefined;
    const counts: (readonly [string, LogCounts])[] = [];
    for (const key of this.#moved) {
      const pump = this.#pumps.get(key);
      if (pump !== undefined) counts.push([key, pump.file.counts()]);
    }
    this.#moved.clear();
    if (counts.length > 0) this.#send({ kind: "counts", counts });
  }
}

function streamsOf(request: OpenPump | AddTap): readonly (readonly [StreamName, string])[] {
  const streams: (readonly [StreamName, string])[] = [];
  if (request.stdout !== "") streams.push(["stdout", request.stdout]);
  if (request.stderr !== "") streams.push(["stderr", request.stderr]);
  return streams;
}
