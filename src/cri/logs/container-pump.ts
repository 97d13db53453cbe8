// SPDX-License-Identifier: Apache-2.0
import { FifoReader } from "./fifo-reader.ts";
import { LineFormatter, type StreamName } from "./line-formatter.ts";
import type { LogClock } from "./log-clock.ts";
import type { LogFile } from "./log-file.ts";
import type { OutputBuffer } from "./output-buffer.ts";

export interface PumpParts {
  readonly file: LogFile;
  readonly maxLineBytes: number;
  readonly clock: LogClock;
  readonly output: OutputBuffer;
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
  readonly #readers: FifoReader[] = [];
  readonly #unfinished = new Set<LineFormatter>();
  #openStreams = 0;

  constructor(parts: PumpParts) {
    this.#parts = parts;
  }

  get file(): LogFile {
    return this.#parts.file;
  }

  /** Opens a stream's FIFO without reading yet; throws Node's system error. */
  addStream(name: StreamName, fifo: string): void {
    const { maxLineBytes, output } = this.#parts;
    const formatter = new LineFormatter(name, maxLineBytes, output);
    const onData = (chunk: Buffer): void => {
      this.#write((time) => formatter.push(chunk, time));
    };
    const onEnd = (): void => {
      this.#unfinished.delete(formatter);
      this.#write((time) => formatter.end(time));
      this.#streamEnded();
    };
    this.#readers.push(new FifoReader(fifo, { onData, onEnd }));
    this.#unfinished.add(formatter);
  }

  /** Begins reading all streams. Without any, the pump is at its end at once. */
  start(options: { readonly drainFirst: boolean }): void {
    this.#openStreams = this.#readers.length;
    if (this.#openStreams === 0) this.#parts.onEnded();
    for (const reader of this.#readers) reader.start(options);
  }

  /** Stops reading; what was read of unfinished lines is still written. */
  [Symbol.dispose](): void {
    for (const reader of this.#readers) reader[Symbol.dispose]();
    for (const formatter of this.#unfinished) this.#write((time) => formatter.end(time));
    this.#unfinished.clear();
    this.#parts.file.close();
  }

  #write(format: (time: Buffer) => void): void {
    const { clock, file, onProgress, output } = this.#parts;
    output.begin(file);
    format(clock.now());
    output.flush();
    onProgress();
  }

  #streamEnded(): void {
    this.#openStreams -= 1;
    if (this.#openStreams === 0) this.#parts.onEnded();
  }
}
