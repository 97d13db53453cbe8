// SPDX-License-Identifier: Apache-2.0
import type { RuntimeFault } from "../../base/errors.ts";
import { GrowingBuffer } from "../../base/growing-buffer.ts";
import type { MemoryPool, Reservation } from "../../base/memory/memory-pool.ts";
import { sleep } from "../../base/timers.ts";
import type { IoCreator } from "../ports.ts";
import { fifoIo } from "./fifo-io.ts";
import { enough, type Taken } from "./fifo-reader.ts";

/**
 * A command that writes byte by byte would wake this thread for each: after some reads as small as this it waits
 * between reads, so that the FIFO fills.
 */
const smallBytes = 512;
const hastySmallReads = 64;
const restMs = 5;

/** This much of each stream is always kept, whatever other captures keep: a probe's result needs no more. */
const freeBytes = 16 * 1024;

const tooMuch =
  "the outputs of the commands that run take as much memory as they may: have it write less, or run fewer at once";

/** A process's output, kept in memory until it is disposed of. */
export interface CapturedOutput extends Disposable {
  readonly io: IoCreator;
  /** What has come in so far, up to the limit. */
  stdout(): Buffer;
  stderr(): Buffer;
  /** A fault about `what` when output was dropped because all captures together hold as much as they may. */
  cutShort(what: string): RuntimeFault | undefined;
}

export interface OutputCapture {
  /** `limitBytes` is for each stream; what comes after it is dropped silently. */
  create(limitBytes: number): CapturedOutput;
}

/** Captures through FIFOs made in folders of their own under `dir`; what they keep comes out of `memory`. */
export function createOutputCapture(dir: string, memory?: MemoryPool): OutputCapture {
  return {
    create: (limitBytes) => {
      const stdout = new BoundedOutput(limitBytes, memory);
      const stderr = new BoundedOutput(limitBytes, memory);
      return {
        io: fifoIo({
          dir,
          onStdout: (bytes) => stdout.add(bytes),
          onStderr: (bytes) => stderr.add(bytes),
        }),
        stdout: () => stdout.bytes(),
        stderr: () => stderr.bytes(),
        cutShort: (what) =>
          stdout.isCutShort || stderr.isCutShort ? memory?.refuse(what, tooMuch) : undefined,
        [Symbol.dispose]: () => {
          stdout[Symbol.dispose]();
          stderr[Symbol.dispose]();
        },
      };
    },
  };
}

class BoundedOutput implements Disposable {
  readonly #kept: GrowingBuffer;
  readonly #memory: MemoryPool | undefined;
  #share: Reservation | undefined;
  #isOver = false;
  #smallReads = 0;

  constructor(limitBytes: number, memory: MemoryPool | undefined) {
    this.#memory = memory;
    this.#kept = new GrowingBuffer(limitBytes, (bytes) => this.#mayHold(bytes));
  }

  get isCutShort(): boolean {
    return this.#kept.isRefused;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#share?.[Symbol.dispose]();
  }

  /** Takes memory for a larger buffer. The old share is kept while both buffers exist and the content is copied. */
  #mayHold(bytes: number): boolean {
    if (this.#isOver) return false;
    if (this.#memory === undefined || bytes <= freeBytes) return true;
    const larger = this.#memory.tryTake(bytes);
    if (larger === undefined) return false;
    this.#share?.[Symbol.dispose]();
    this.#share = larger;
    return true;
  }

  /** Copies; the reader's buffer is shared. */
  add(bytes: Buffer): Taken {
    this.#kept.add(bytes);
    if (this.#kept.isFull) return enough;
    if (bytes.length >= smallBytes) return undefined;
    this.#smallReads += 1;
    return this.#smallReads > hastySmallReads ? sleep(restMs) : undefined;
  }

  bytes(): Buffer {
    return this.#kept.bytes();
  }
}
