// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { punchHole } from "../base/os/punch-hole.ts";
import { pageBytes, TakenMark } from "../base/os/taken-mark.ts";
import { decodeRecord, encodeRecord, type JournalRecord, recordBytes } from "./journal-record.ts";
import type { StreamName } from "./line-formatter.ts";

const flags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW;
/** Distance of the streams' records in the first page. */
const recordRoom = 512;
/** Room for an unfinished line: the ceiling of LineFormatter, and a read more. It takes up what is written only. */
const restRoom = 17 * 1024 * 1024;
/** What an unfinished line may keep of the disk when it is over. */
const restKeptBytes = 32 * 1024;

/**
 * What a log worker is about to do with what it sees in a container's FIFOs, in a file beside them: the next worker,
 * or the next daemon, finishes it when this one is killed. Nothing is synced, since what a process has written to a
 * file outlives it.
 *
 * The first page has a record for each stream. Behind it are two places for each stream's unfinished line: the one
 * that a record begins with stays as it is until the FIFO's bytes are taken.
 */
export class ReadJournal implements Disposable {
  readonly #fd: number;
  readonly #mark: TakenMark;

  /** Opens or makes it; throws when there is no space for its first page, or it cannot be mapped. */
  constructor(path: string) {
    this.#fd = fs.openSync(path, flags, 0o600);
    try {
      const { size } = fs.fstatSync(this.#fd);
      if (size < pageBytes) fs.writeSync(this.#fd, Buffer.alloc(pageBytes), 0, pageBytes, 0);
      this.#mark = new TakenMark(this.#fd);
    } catch (error) {
      fs.closeSync(this.#fd);
      throw error;
    }
  }

  of(stream: StreamName): StreamJournal {
    return new StreamJournal(this.#fd, this.#mark, stream === "stdout" ? 0 : 1);
  }

  [Symbol.dispose](): void {
    this.#mark[Symbol.dispose]();
    fs.closeSync(this.#fd);
  }
}

/** Where an unfinished line is in the journal. */
export interface Rest {
  readonly area: 0 | 1;
  readonly length: number;
}

/** One stream's part of a journal. */
export class StreamJournal {
  readonly #fd: number;
  readonly #mark: TakenMark;
  readonly #offset: number;
  readonly #restOffset: number;
  readonly #bytes = Buffer.alloc(recordBytes);

  constructor(fd: number, mark: TakenMark, index: number) {
    this.#fd = fd;
    this.#mark = mark;
    this.#offset = index * recordRoom;
    this.#restOffset = pageBytes + index * 2 * restRoom;
  }

  /** Undefined where nothing was ever noted, or by a daemon that writes another form. */
  read(): JournalRecord | undefined {
    const bytes = Buffer.alloc(recordBytes);
    const length = fs.readSync(this.#fd, bytes, 0, recordBytes, this.#offset);
    return length === recordBytes ? decodeRecord(bytes) : undefined;
  }

  /** One write within a page: a kill comes before it or after it. */
  note(record: JournalRecord): void {
    encodeRecord(record, this.#bytes);
    fs.writeSync(this.#fd, this.#bytes, 0, recordBytes, this.#offset);
  }

  /** Takes from a FIFO what is noted, and marks the record as done, in one go. Answers how many bytes it took. */
  take(fifo: number, length: number): number {
    return this.#mark.take(fifo, length, this.#offset);
  }

  writeRest(area: 0 | 1, at: number, bytes: Buffer): void {
    const offset = this.#restAt(area) + at;
    let done = 0;
    while (done < bytes.length) {
      done += fs.writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
    }
  }

  readRest({ area, length }: Rest): Buffer {
    const bytes = Buffer.alloc(Math.min(length, restRoom));
    const read = fs.readSync(this.#fd, bytes, 0, bytes.length, this.#restAt(area));
    return bytes.subarray(0, read);
  }

  /** An unfinished line is over: gives back what it took, where that is much. */
  dropRest({ area, length }: Rest): void {
    if (length > restKeptBytes) punchHole(this.#fd, this.#restAt(area), restRoom);
  }

  #restAt(area: 0 | 1): number {
    return this.#restOffset + area * restRoom;
  }
}
