// SPDX-License-Identifier: Apache-2.0
import { GrowingBuffer } from "../../base/growing-buffer.ts";
import { sleep } from "../../base/timers.ts";
import type { IoCreator } from "../ports.ts";
import { fifoIo } from "./fifo-io.ts";
import { enough, type Taken } from "./fifo-reader.ts";

/**
 * A command that writes byte by byte would wake this thread for each: after some reads as small as this
 * the FIFO gathers between reads.
 */
const smallBytes = 512;
const hastySmallReads = 64;
const restMs = 5;

/** A process's output, kept in memory. */
export interface CapturedOutput {
  readonly io: IoCreator;
  /** What has come in so far, up to the limit. */
  stdout(): Buffer;
  stderr(): Buffer;
}

export interface OutputCapture {
  /** `limitBytes` holds for each stream; what comes after it is dropped without a word. */
  create(limitBytes: number): CapturedOutput;
}

/** Captures through FIFOs made in folders of their own under `dir`. */
export function createOutputCapture(dir: string): OutputCapture {
  return {
    create: (limitBytes) => {
      const stdout = new BoundedOutput(limitBytes);
      const stderr = new BoundedOutput(limitBytes);
      return {
        io: fifoIo({
          dir,
          onStdout: (bytes) => stdout.add(bytes),
          onStderr: (bytes) => stderr.add(bytes),
        }),
        stdout: () => stdout.bytes(),
        stderr: () => stderr.bytes(),
      };
    },
  };
}

class BoundedOutput {
  readonly #kept: GrowingBuffer;
  #smallReads = 0;

  constructor(limitBytes: number) {
    this.#kept = new GrowingBuffer(limitBytes);
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
