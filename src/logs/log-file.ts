// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { errnoOf } from "../base/errors.ts";
import { finishWrite } from "./finish-write.ts";
import type { LogPosition } from "./journal-record.ts";
import { mendTail } from "./mend-tail.ts";
import type { LogCounts } from "./messages.ts";
import { type LogPlace, openLogFile, openRotated } from "./open-log-file.ts";

const LF = 0x0a;

/** The calls that can fail for want of space; tests replace them. */
export interface LogFileCalls {
  write(fd: number, buffer: Buffer, offset: number, length: number): number;
}

const systemCalls: LogFileCalls = { write: (fd, ...rest) => fs.writeSync(fd, ...rest) };

/** Called when output begins to be lost, and when that ends. */
export interface LossObserver {
  began(errno: string): void;
  ended(lostBytes: number): void;
}

/**
 * One container's log file. Whole lines are appended, and written at once: nothing is buffered here, so a rotation
 * between two appends neither loses nor doubles a line.
 *
 * A write that fails (disk full, quota, I/O error) costs the lines that did not fit; the container goes on. If the
 * disk fills in the middle of a line, the rest of that line is kept and goes out first when there is space again, so
 * the file never holds a torn line.
 *
 * Writes are synchronous. With many containers that costs a quarter of the CPU of asynchronous ones, and it is the
 * back-pressure: no output is read while a write is under way.
 */
export class LogFile {
  readonly #place: LogPlace | undefined;
  readonly #observer: LossObserver;
  readonly #calls: LogFileCalls;
  #fd = -1;
  #position: LogPosition | undefined;
  #torn: Buffer | undefined;
  #lossAtStart = -1;
  #lines = 0;
  #bytes = 0;
  #lostBytes = 0;

  /** Opens nothing yet. Without a place all output is discarded, which counts as written. */
  constructor(
    place: LogPlace | undefined,
    observer: LossObserver,
    calls: LogFileCalls = systemCalls,
  ) {
    this.#place = place;
    this.#observer = observer;
    this.#calls = calls;
  }

  /**
   * Opens the file, see openLogFile, and makes its folder (0755) when it is missing. `mend` it before anything is
   * appended. When it throws, the file stays closed and what is appended counts as lost until a reopen succeeds.
   */
  open(): void {
    if (this.#place === undefined) return;
    this.#fd = openLogFile(this.#place, { makeFolders: true });
    this.#lookAt();
  }

  /** Ends a line that a crash left unfinished. Throws Node's system error. */
  mend(): void {
    if (this.#fd === -1) return;
    mendTail(this.#fd);
    this.#lookAt();
  }

  /** Where the next line will be; undefined without a file. */
  get position(): LogPosition | undefined {
    return this.#position;
  }

  /** Writes what is left of a torn line, where there is space again. */
  settle(): void {
    this.#finishTornLine();
  }

  /**
   * Brings the file to where a write that was broken off would have: `bytes` from `position` on, of which some may be
   * there, also when the file was rotated since. False where something else is there.
   */
  finish(position: LogPosition | undefined, bytes: Buffer): boolean {
    const own = this.#position;
    if (this.#place === undefined || this.#fd === -1 || own === undefined) return true;
    let fd: number | undefined;
    if (position !== undefined && !isSame(position, own)) fd = rotated(this.#place, position);
    try {
      if (fd !== undefined && position) return finishWrite(fd, position.size, bytes);
      const from = position !== undefined && isSame(position, own) ? position.size : own.size;
      return finishWrite(this.#fd, from, bytes);
    } finally {
      if (fd !== undefined) fs.closeSync(fd);
      this.#lookAt();
    }
  }

  /**
   * Goes on in a new file of the same name, after a rotation. When it cannot be opened the old one stays in use and
   * the error is thrown; a missing folder is not made.
   */
  reopen(): void {
    if (this.#place === undefined) return;
    const fd = openLogFile(this.#place, { makeFolders: false });
    this.#finishTornLine();
    // A line that stays torn ends with the old file; its rest must not start the new one.
    this.#dropTornLine();
    this.close();
    this.#fd = fd;
    this.#lookAt();
  }

  /** Appends buffer[0, length), which are `lines` whole lines. Never throws. */
  append(buffer: Buffer, length: number, lines: number): void {
    if (this.#place === undefined) {
      this.#count(length, lines);
      return;
    }
    if (!this.#finishTornLine()) {
      this.#lose(length, "");
      return;
    }
    let written = 0;
    try {
      if (this.#fd === -1)
        throw Object.assign(new Error("log file is not open"), { code: "EBADF" });
      while (written < length) {
        written += this.#calls.write(this.#fd, buffer, written, length - written);
      }
      this.#grow(written);
      this.#count(length, lines);
      this.#endLoss();
    } catch (error) {
      this.#grow(written);
      this.#writtenInPart(buffer, written, length, errnoOf(error) ?? "EIO");
    }
  }

  counts(): LogCounts {
    return { lines: this.#lines, bytes: this.#bytes, lostBytes: this.#lostBytes };
  }

  close(): void {
    if (this.#fd !== -1) fs.closeSync(this.#fd);
    this.#fd = -1;
    this.#position = undefined;
  }

  #lookAt(): void {
    const { dev, ino, size } = fs.fstatSync(this.#fd, { bigint: true });
    this.#position = { device: dev, inode: ino, size: Number(size) };
  }

  /** Nobody else appends, so nobody needs to be asked. */
  #grow(bytes: number): void {
    if (this.#position) this.#position = { ...this.#position, size: this.#position.size + bytes };
  }

  #writtenInPart(buffer: Buffer, written: number, length: number, errno: string): void {
    const wholeEnd = written === 0 ? 0 : buffer.lastIndexOf(LF, written - 1) + 1;
    this.#count(wholeEnd, countLines(buffer, wholeEnd));
    let lostFrom = wholeEnd;
    if (wholeEnd < written) {
      const lineEnd = buffer.indexOf(LF, written) + 1;
      this.#torn = Buffer.from(buffer.subarray(written, lineEnd));
      this.#bytes += written - wholeEnd;
      lostFrom = lineEnd;
    }
    this.#lose(length - lostFrom, errno);
  }

  /** Writes the rest of a torn line, if there is one. True when the file ends with a whole line. */
  #finishTornLine(): boolean {
    while (this.#torn !== undefined) {
      try {
        const written = this.#calls.write(this.#fd, this.#torn, 0, this.#torn.length);
        this.#bytes += written;
        this.#grow(written);
        this.#torn = this.#torn.subarray(written);
      } catch {
        return false;
      }
      if (this.#torn.length === 0) {
        this.#torn = undefined;
        this.#lines += 1;
      }
    }
    return true;
  }

  #dropTornLine(): void {
    if (this.#torn === undefined) return;
    this.#lostBytes += this.#torn.length;
    this.#torn = undefined;
  }

  #count(bytes: number, lines: number): void {
    this.#bytes += bytes;
    this.#lines += lines;
  }

  #lose(bytes: number, errno: string): void {
    if (this.#lossAtStart === -1) {
      this.#lossAtStart = this.#lostBytes;
      this.#observer.began(errno);
    }
    this.#lostBytes += bytes;
  }

  #endLoss(): void {
    if (this.#lossAtStart === -1) return;
    const lost = this.#lostBytes - this.#lossAtStart;
    this.#lossAtStart = -1;
    this.#observer.ended(lost);
  }
}

/** Undefined where it cannot be found: then nothing of the write is anywhere that a reader looks. */
function rotated(place: LogPlace, position: LogPosition): number | undefined {
  try {
    return openRotated(place, position);
  } catch {
    return undefined;
  }
}

function isSame(one: LogPosition, other: LogPosition): boolean {
  return one.device === other.device && one.inode === other.inode;
}

function countLines(buffer: Buffer, end: number): number {
  let lines = 0;
  for (let at = buffer.indexOf(LF); at !== -1 && at < end; at = buffer.indexOf(LF, at + 1)) lines++;
  return lines;
}
