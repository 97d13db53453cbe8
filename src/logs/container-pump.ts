// SPDX-License-Identifier: Apache-2.0
import type { PipePeek } from "../base/os/pipe-peek.ts";
import { FifoReader } from "./fifo-reader.ts";
import { GuardedStream } from "./guarded-stream.ts";
import { LineFormatter, type StreamName } from "./line-formatter.ts";
import type { LogClock } from "./log-clock.ts";
import type { LogFile } from "./log-file.ts";
import type { OutputBuffer } from "./output-buffer.ts";
import { OutputTap, type TapEnd } from "./output-tap.ts";
import { PeekReader } from "./peek-reader.ts";
import type { ReadJournal } from "./read-journal.ts";

/** By which nothing is lost when the process is killed. */
export interface Guard {
  readonly journal: ReadJournal;
  readonly peek: PipePeek;
  /** It does not work any more. */
  readonly onTrouble: (error: unknown) => void;
}

export interface PumpParts {
  readonly file: LogFile;
  /** Disposed with the pump. Without one, a kill costs what was read and not written. */
  readonly guard?: Guard | undefined;
  readonly maxLineBytes: number;
  readonly clock: LogClock;
  readonly output: OutputBuffer;
  /** Runs work that may wait for a disk. */
  readonly busy: (work: () => void) => void;
  /** Tells in which memory a stream's unfinished line is now. */
  readonly onUnfinished: (name: StreamName, memory: SharedArrayBuffer | undefined) => void;
  /** Some bytes were written. */
  readonly onProgress: () => void;
  /** All streams are at their end and everything is written. Called once. */
  readonly onEnded: () => void;
}

/**
 * One container: its FIFOs, and the log file both streams share. Each read becomes whole lines
 * before anything of another stream is written, so lines of the two never mix; an unfinished line
 * waits in its stream's formatter for the read that ends it.
 */
export class ContainerPump implements Disposable {
  readonly #parts: PumpParts;
  readonly #readers: (FifoReader | PeekReader)[] = [];
  /** What makes lines, of streams that are not at their end. */
  readonly #unfinished = new Set<{ end(time: Buffer): void }>();
  readonly #recoveries: (() => boolean)[] = [];
  readonly #living = new Set<StreamName>();
  readonly #taps = new Map<string, OutputTap>();

  constructor(parts: PumpParts) {
    this.#parts = parts;
  }

  get file(): LogFile {
    return this.#parts.file;
  }

  /** Opens a stream's FIFO without reading yet; throws Node's system error. */
  addStream(name: StreamName, fifo: string, unfinished: SharedArrayBuffer | undefined): void {
    const { guard } = this.#parts;
    if (guard === undefined) this.#addUnguarded(name, fifo, unfinished);
    else this.#addGuarded(name, fifo, guard);
    this.#living.add(name);
  }

  /**
   * Finishes what a pump before this one was at when it ended, before the log is mended. False where that cannot be
   * done in full.
   */
  recover(): boolean {
    let isWhole = true;
    for (const recover of this.#recoveries) isWhole = recover() && isWhole;
    return isWhole;
  }

  #addUnguarded(name: StreamName, fifo: string, unfinished: SharedArrayBuffer | undefined): void {
    const { maxLineBytes, output, onUnfinished } = this.#parts;
    const formatter = new LineFormatter(name, maxLineBytes, output, (memory) => {
      onUnfinished(name, memory);
    });
    if (unfinished !== undefined) formatter.carryOn(unfinished);
    const onData = (chunk: Buffer): void => {
      this.#write((time) => formatter.push(chunk, time));
      if (this.#taps.size > 0) this.#copyToTaps(name, chunk);
    };
    const onEnd = (): void => {
      this.#unfinished.delete(formatter);
      this.#write((time) => formatter.end(time));
      this.#streamEnded(name);
    };
    this.#readers.push(new FifoReader(fifo, { onData, onEnd }));
    this.#unfinished.add(formatter);
  }

  #addGuarded(name: StreamName, fifo: string, { journal, peek, onTrouble }: Guard): void {
    const { file, maxLineBytes, output } = this.#parts;
    const ours = journal.of(name);
    const stream = new GuardedStream({
      name,
      maxLineBytes,
      journal: ours,
      file,
      output,
      peek,
      onTrouble,
    });
    const onData = (chunk: Buffer, fd: number): void => {
      this.#write((time) => stream.push(chunk, fd, time));
      if (this.#taps.size > 0) this.#copyToTaps(name, chunk);
    };
    const onEnd = (): void => {
      this.#unfinished.delete(stream);
      this.#write((time) => stream.end(time));
      this.#streamEnded(name);
    };
    const reader = new PeekReader(fifo, peek, { onData, onEnd });
    this.#readers.push(reader);
    this.#unfinished.add(stream);
    this.#recoveries.push(() => stream.recover(reader.fd));
  }

  /** Begins reading all streams. Without any, the pump is at its end at once. */
  start(options: { readonly drainFirst: boolean }): void {
    if (this.#living.size === 0) this.#parts.onEnded();
    for (const reader of this.#readers) reader.start(options);
  }

  /**
   * Copies the output from now on into FIFOs that have a reader; a stream that has ended ends at once. Throws Node's
   * system error.
   */
  addTap(
    tapKey: string,
    fifos: readonly (readonly [StreamName, string])[],
    onEnd: (why: TapEnd) => void,
  ): void {
    const tap = new OutputTap(fifos, {
      onRelief: () => this.#goOn(),
      onEnd: (why) => {
        this.#taps.delete(tapKey);
        onEnd(why);
      },
    });
    this.#taps.set(tapKey, tap);
    for (const [name] of fifos) if (!this.#living.has(name)) tap.endStream(name);
  }

  removeTap(tapKey: string): void {
    this.#taps.get(tapKey)?.[Symbol.dispose]();
    this.#taps.delete(tapKey);
    this.#goOn();
  }

  /** Reads what the FIFOs hold now, whether or not others keep them open. */
  readRest(): void {
    for (const reader of this.#readers) reader.readRest();
  }

  /** Stops reading. What was read of unfinished lines is for another worker to write. */
  leave(): void {
    this.#unfinished.clear();
    this[Symbol.dispose]();
  }

  /** Stops reading; what was read of unfinished lines is still written. */
  [Symbol.dispose](): void {
    for (const reader of this.#readers) reader[Symbol.dispose]();
    for (const stream of this.#unfinished) this.#write((time) => stream.end(time));
    this.#unfinished.clear();
    for (const tap of this.#taps.values()) tap.endAll();
    this.#parts.file.close();
    this.#parts.guard?.journal[Symbol.dispose]();
  }

  #write(format: (time: Buffer) => void): void {
    const { busy, clock, file, onProgress, output } = this.#parts;
    busy(() => {
      output.begin(file);
      format(clock.now());
      output.flush();
    });
    onProgress();
  }

  #copyToTaps(name: StreamName, chunk: Buffer): void {
    let full = false;
    // The reader uses its buffer again. One copy does for all clients.
    const bytes = Buffer.from(chunk);
    for (const tap of this.#taps.values()) {
      tap.write(name, bytes);
      full ||= tap.full;
    }
    if (full) for (const reader of this.#readers) reader.pause();
  }

  /** Reads on, unless another tap still is full. */
  #goOn(): void {
    for (const tap of this.#taps.values()) if (tap.full) return;
    for (const reader of this.#readers) reader.resume();
  }

  #streamEnded(name: StreamName): void {
    this.#living.delete(name);
    for (const tap of this.#taps.values()) tap.endStream(name);
    if (this.#living.size === 0) this.#parts.onEnded();
  }
}
