// SPDX-License-Identifier: Apache-2.0
import { TIMESTAMP_LENGTH } from "./log-clock.ts";

export type StreamName = "stdout" | "stderr";

const LF = 0x0a;
const CR = 0x0d;
const PARTIAL = 0x50;
const FULL = 0x46;
const TAG_OFFSET = TIMESTAMP_LENGTH + 8;
const PREFIX_LENGTH = TAG_OFFSET + 2;

/** The longest line even where the configured limit is "none": memory is bounded. */
const CEILING_BYTES = 16 * 1024 * 1024;
const PENDING_START_BYTES = 256;
/** Room kept for a stream's next unfinished line; anything larger is given back to the collector. */
const PENDING_KEEP_BYTES = 32 * 1024;

/** Bytes before an unfinished line's own: how many it has. */
const HEADER_BYTES = 4;

/** Where formatted lines go. */
export interface LineSink {
  /** What to write into. It may be another one after each `reserve`. */
  readonly buffer: Buffer;
  /** Makes room for one line of so many bytes and answers where in `buffer` it begins. */
  reserve(bytes: number): number;
  /** The line just reserved is there. */
  commit(bytes: number): void;
}

/**
 * Turns the bytes of one output stream into CRI log lines: `TIME stdout F content`. The result does not depend on how
 * the bytes were cut into reads.
 *
 * - A line of more than `maxLineBytes` bytes becomes several: all but the last are tagged P.
 *
 * - The CR of a CR LF is dropped; any other CR is content.
 *
 * - What is left at the end of the stream without a newline is tagged P.
 *
 * An unfinished line waits in shared memory, so that another thread can go on with it when this one hangs. `onMemory`
 * is called whenever that memory is another one.
 */
export class LineFormatter {
  readonly #sink: LineSink;
  readonly #max: number;
  readonly #prefix: Buffer;
  readonly #onMemory: (memory: SharedArrayBuffer | undefined) => void;
  #pending: Buffer = Buffer.alloc(0);
  #header: Int32Array = new Int32Array(1);
  #lines = 0;

  /** `maxLineBytes` ≤ 0 means no limit (but see the ceiling). */
  constructor(
    stream: StreamName,
    maxLineBytes: number,
    sink: LineSink,
    onMemory: (memory: SharedArrayBuffer | undefined) => void = () => {},
  ) {
    this.#sink = sink;
    this.#onMemory = onMemory;
    this.#max = maxLineBytes > 0 ? Math.min(maxLineBytes, CEILING_BYTES) : CEILING_BYTES;
    this.#prefix = Buffer.from(`${" ".repeat(TIMESTAMP_LENGTH)} ${stream} F `, "latin1");
  }

  /** Bytes of a line whose end has not come yet. */
  get pendingBytes(): number {
    return this.#pendingLength;
  }

  /** The bytes of that line, valid until the next call. */
  get pending(): Buffer {
    return this.#pending.subarray(0, this.#pendingLength);
  }

  /** How many lines it has made. While none is made, what comes is added to the unfinished one. */
  get lines(): number {
    return this.#lines;
  }

  get #pendingLength(): number {
    return this.#header[0] ?? 0;
  }

  set #pendingLength(length: number) {
    this.#header[0] = length;
  }

  /** Goes on with the unfinished line of another formatter, which must not be used any more. */
  carryOn(memory: SharedArrayBuffer): void {
    const length = new Int32Array(memory, 0, 1)[0] ?? 0;
    this.beginWith(Buffer.from(memory, HEADER_BYTES, length));
  }

  /** Goes on with an unfinished line, before anything else. */
  beginWith(bytes: Buffer): void {
    if (bytes.length > 0) this.#hold(bytes, 0, bytes.length);
  }

  /** Takes the next bytes, read at `time` (see LogClock). `chunk` may be reused afterwards. */
  push(chunk: Buffer, time: Buffer): void {
    this.#setTime(time);
    let start = 0;
    while (start < chunk.length) {
      const newline = chunk.indexOf(LF, start);
      if (newline === -1) {
        this.#hold(chunk, this.#splitLong(chunk, start, chunk.length), chunk.length);
        return;
      }
      this.#endLine(chunk, this.#splitLong(chunk, start, newline), newline);
      start = newline + 1;
    }
  }

  /** The stream has ended: writes what is left of an unfinished line. */
  end(time: Buffer): void {
    this.#setTime(time);
    if (this.#pendingLength > this.#max) this.#emitPending(this.#max, PARTIAL);
    if (this.#pendingLength > 0) this.#emitPending(this.#pendingLength, PARTIAL);
    this.#giveBack();
  }

  #setTime(time: Buffer): void {
    time.copy(this.#prefix);
  }

  /**
   * Emits P lines until what is pending plus chunk[start, end) fits one line, and answers the new
   * start. A CR just past the limit stays, since an LF may follow and make both disappear.
   */
  #splitLong(chunk: Buffer, start: number, end: number): number {
    const max = this.#max;
    let from = start;
    for (;;) {
      const length = this.#pendingLength + (end - from);
      if (length <= max) return from;
      const last = end > from ? chunk[end - 1] : this.#pending[this.#pendingLength - 1];
      if (length === max + 1 && last === CR) return from;
      if (this.#pendingLength > max) {
        this.#emitPending(max, PARTIAL);
      } else {
        const take = max - this.#pendingLength;
        this.#emit(chunk, from, from + take, PARTIAL);
        from += take;
      }
    }
  }

  #endLine(chunk: Buffer, start: number, newline: number): void {
    if (newline > start) {
      const end = chunk[newline - 1] === CR ? newline - 1 : newline;
      this.#emit(chunk, start, end, FULL);
      return;
    }
    if (this.#pendingLength > 0 && this.#pending[this.#pendingLength - 1] === CR) {
      this.#pendingLength -= 1;
    }
    this.#emit(chunk, start, start, FULL);
  }

  /** Writes a line made of all that is pending and chunk[start, end). */
  #emit(chunk: Buffer, start: number, end: number, tag: number): void {
    const pendingLength = this.#pendingLength;
    const total = PREFIX_LENGTH + pendingLength + (end - start) + 1;
    const offset = this.#sink.reserve(total);
    const buffer = this.#sink.buffer;
    let at = this.#writePrefix(buffer, offset, tag);
    if (pendingLength > 0) {
      at += this.#pending.copy(buffer, at, 0, pendingLength);
      this.#pendingLength = 0;
      if (this.#pending.length > PENDING_KEEP_BYTES) this.#giveBack();
    }
    at += chunk.copy(buffer, at, start, end);
    buffer[at] = LF;
    this.#sink.commit(total);
    this.#lines += 1;
  }

  #emitPending(length: number, tag: number): void {
    const total = PREFIX_LENGTH + length + 1;
    const offset = this.#sink.reserve(total);
    const buffer = this.#sink.buffer;
    let at = this.#writePrefix(buffer, offset, tag);
    at += this.#pending.copy(buffer, at, 0, length);
    buffer[at] = LF;
    this.#sink.commit(total);
    this.#lines += 1;
    this.#pending.copyWithin(0, length, this.#pendingLength);
    this.#pendingLength -= length;
  }

  #writePrefix(buffer: Buffer, offset: number, tag: number): number {
    this.#prefix.copy(buffer, offset);
    buffer[offset + TAG_OFFSET] = tag;
    return offset + PREFIX_LENGTH;
  }

  #giveBack(): void {
    if (this.#pending.length === 0) return;
    this.#pending = Buffer.alloc(0);
    this.#header = new Int32Array(1);
    this.#onMemory(undefined);
  }

  #hold(chunk: Buffer, start: number, end: number): void {
    const needed = this.#pendingLength + (end - start);
    if (needed > this.#pending.length) {
      const capacity = Math.max(PENDING_START_BYTES, 2 ** Math.ceil(Math.log2(needed)));
      const memory = new SharedArrayBuffer(HEADER_BYTES + capacity);
      const grown = Buffer.from(memory, HEADER_BYTES, capacity);
      this.#pending.copy(grown, 0, 0, this.#pendingLength);
      const header = new Int32Array(memory, 0, 1);
      header[0] = this.#pendingLength;
      this.#pending = grown;
      this.#header = header;
      this.#onMemory(memory);
    }
    chunk.copy(this.#pending, this.#pendingLength, start, end);
    this.#pendingLength = needed;
  }
}
