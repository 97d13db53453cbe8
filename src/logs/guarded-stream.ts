// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { pipeBytes } from "../base/os/drain-pipe.ts";
import type { PipePeek } from "../base/os/pipe-peek.ts";
import type { JournalRecord, LogPosition } from "./journal-record.ts";
import { LineFormatter, type LineSink, type StreamName } from "./line-formatter.ts";
import type { LogFile } from "./log-file.ts";
import type { LineTarget, OutputBuffer } from "./output-buffer.ts";
import type { Rest, StreamJournal } from "./read-journal.ts";

export interface GuardedParts {
  readonly name: StreamName;
  readonly maxLineBytes: number;
  readonly journal: StreamJournal;
  readonly file: LogFile;
  readonly output: OutputBuffer;
  readonly peek: PipePeek;
  /** The journal cannot be written, so that a kill may cost lines, or double them. */
  readonly onTrouble: (error: unknown) => void;
}

const nothing: Rest = { area: 0, length: 0 };

/**
 * Turns what a FIFO holds into lines of the log, each of them once, wherever the process is killed:
 *
 * 1. The FIFO's bytes are looked at, and stay there.
 * 2. The journal gets to know which bytes become lines, with which time, and from where on in the file.
 * 3. The lines are written, and what there is of an unfinished one into the journal, where the one before stays.
 * 4. The bytes are taken from the FIFO, by the very call that marks the journal's record as done.
 *
 * After a crash before 4 `recover` makes the same lines of the same bytes, and writes what the file does not have.
 */
export class GuardedStream implements LineTarget {
  readonly #parts: GuardedParts;
  readonly #formatter: LineFormatter;
  #rest: Rest = nothing;
  /** The journal has the whole unfinished line. */
  #isRestThere = true;
  #record: JournalRecord | undefined;

  constructor(parts: GuardedParts) {
    this.#parts = parts;
    this.#formatter = new LineFormatter(parts.name, parts.maxLineBytes, parts.output);
  }

  /** Writes the lines of what the FIFO begins with, and takes it. */
  push(chunk: Buffer, fifo: number, time: Buffer): void {
    const { file, output, journal } = this.#parts;
    const before = this.#rest;
    const lines = this.#formatter.lines;
    file.settle();
    const record = this.#begin("chunk", chunk, time);
    output.begin(this);
    this.#formatter.push(chunk, time);
    this.#saveRest({ isLonger: this.#formatter.lines === lines });
    this.#note({ ...record, after: this.#rest });
    output.flush();
    this.#take(fifo, record);
    if (before.area !== this.#rest.area) journal.dropRest(before);
  }

  /** Writes an unfinished line whose end will not come. */
  end(time: Buffer): void {
    if (this.#formatter.pendingBytes === 0) return;
    const { file, output, journal } = this.#parts;
    file.settle();
    const record = this.#begin("end", undefined, time);
    this.#note(record);
    output.begin(this);
    this.#formatter.end(time);
    output.flush();
    const rest = this.#rest;
    this.#settleOn(record, nothing);
    journal.dropRest(rest); // after: a worker that takes over in between would read zeros
  }

  /** Where lines go that do not fit the buffer, before the others are made. */
  append(buffer: Buffer, length: number, lines: number): void {
    if (this.#record !== undefined) this.#note(this.#record);
    this.#parts.file.append(buffer, length, lines);
  }

  /**
   * Finishes what another worker was at when it ended. Call it first, before the log is mended. False where that cannot
   * be done to the end: lines may be missing then, or there twice.
   */
  recover(fifo: number): boolean {
    const { file, journal, peek } = this.#parts;
    const record = journal.read();
    if (record === undefined) return true;
    if (record.isDone) {
      this.#rest = record.after;
      this.#formatter.beginWith(journal.readRest(record.after));
      return true;
    }
    this.#rest = record.before;
    const chunk = record.length === 0 ? noBytes : peek.look(fifo, record.length);
    if (chunk?.length !== record.length) {
      // The FIFO has forgotten it: nobody had it open.
      const isUntouched = isSame(record.position, file.position);
      if (isUntouched) this.#formatter.beginWith(journal.readRest(record.before));
      this.#settleOn(record, isUntouched ? record.before : nothing);
      return false;
    }
    const made = madeOf(this.#parts.name, record, journal, chunk);
    const how = finish(file, record, made.lines);
    if (how === "foreign") {
      this.#settleOn(record, nothing);
      return false;
    }
    this.#formatter.beginWith(made.pending);
    this.#saveRest({ isLonger: false });
    this.#note({ ...record, after: this.#rest });
    if (record.length > 0) this.#take(fifo, record);
    else this.#settleOn(record, this.#rest);
    return how === "finished";
  }

  #begin(kind: JournalRecord["kind"], chunk: Buffer | undefined, time: Buffer): JournalRecord {
    const record: JournalRecord = {
      kind,
      length: chunk?.length ?? 0,
      sentinel: (chunk?.at(-1) ?? 0) ^ 0xff,
      isDone: false,
      before: this.#rest,
      after: nothing,
      maxLineBytes: this.#parts.maxLineBytes,
      time,
      position: this.#parts.file.position,
    };
    this.#record = record;
    return record;
  }

  #note(record: JournalRecord): void {
    this.#record = undefined;
    try {
      this.#parts.journal.note(record);
    } catch (error) {
      this.#parts.onTrouble(error);
    }
  }

  /** A line that only grew stays where it is; otherwise what was there before may still be needed. */
  #saveRest({ isLonger }: { readonly isLonger: boolean }): void {
    const { pending } = this.#formatter;
    const { area, length } = this.#rest;
    const goesOn = isLonger && this.#isRestThere && pending.length >= length;
    const next = goesOn ? area : other(area);
    try {
      const from = goesOn ? length : 0;
      this.#parts.journal.writeRest(next, from, pending.subarray(from));
      this.#rest = { area: next, length: pending.length };
      this.#isRestThere = true;
    } catch (error) {
      // No space for it: as far as the journal knows the line begins later.
      this.#parts.onTrouble(error);
      this.#rest = { area: next, length: 0 };
      this.#isRestThere = false;
    }
  }

  /** Notes that all is done. */
  #settleOn(record: JournalRecord, rest: Rest): void {
    this.#rest = rest;
    this.#isRestThere = true;
    this.#note({ ...record, after: rest, isDone: true });
  }

  #take(fifo: number, record: JournalRecord): void {
    let left = record.length - this.#parts.journal.take(fifo, record.length);
    if (left === 0) return;
    this.#parts.onTrouble(new Error("what is taken of a FIFO cannot be marked"));
    while (left > 0) left -= fs.readSync(fifo, Buffer.alloc(left));
    this.#settleOn(record, this.#rest);
  }
}

/** A disk that is full costs what does not fit, as at any write. */
function finish(
  file: LogFile,
  { position }: JournalRecord,
  lines: Buffer,
): "finished" | "foreign" | "failed" {
  try {
    return file.finish(position, lines) ? "finished" : "foreign";
  } catch {
    return "failed";
  }
}

function isSame(one: LogPosition | undefined, other: LogPosition | undefined): boolean {
  return one?.inode === other?.inode && one?.device === other?.device && one?.size === other?.size;
}

const noBytes = Buffer.alloc(0);

function other(area: 0 | 1): 0 | 1 {
  return area === 0 ? 1 : 0;
}

/** The lines as they were made, to the byte, and what is left of an unfinished one. */
function madeOf(
  name: StreamName,
  record: JournalRecord,
  journal: StreamJournal,
  chunk: Buffer,
): { readonly lines: Buffer; readonly pending: Buffer } {
  const sink = new GrowingSink();
  const formatter = new LineFormatter(name, record.maxLineBytes, sink);
  formatter.beginWith(journal.readRest(record.before));
  if (record.kind === "end") formatter.end(record.time);
  else formatter.push(chunk, record.time);
  return { lines: sink.lines, pending: formatter.pending };
}

/** All lines of one read: the shortest ones become forty times as long, which is 3 MiB. */
class GrowingSink implements LineSink {
  buffer = Buffer.allocUnsafeSlow(pipeBytes);
  #length = 0;

  get lines(): Buffer {
    return this.buffer.subarray(0, this.#length);
  }

  reserve(bytes: number): number {
    const needed = this.#length + bytes;
    if (needed > this.buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.buffer.length));
      this.buffer.copy(larger, 0, 0, this.#length);
      this.buffer = larger;
    }
    return this.#length;
  }

  commit(bytes: number): void {
    this.#length += bytes;
  }
}
