// SPDX-License-Identifier: Apache-2.0
import type { IoCreator } from "../ports.ts";
import { fifoIo } from "./fifo-io.ts";

/** A process's output, kept in memory. */
export interface CapturedOutput {
  readonly io: IoCreator;
  /** What has come in so far, up to the limit. */
  stdout(): Buffer;
  stderr(): Buffer;
}

export interface OutputCapture {
  /** `limitBytes` holds for each stream; what comes after it is read and dropped without a word. */
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
  readonly #chunks: Buffer[] = [];
  #room: number;

  constructor(limitBytes: number) {
    this.#room = limitBytes;
  }

  add(bytes: Buffer): void {
    if (this.#room <= 0) return;
    const kept = Buffer.from(bytes.subarray(0, this.#room)); // a copy: the reader's buffer is shared
    this.#room -= kept.length;
    this.#chunks.push(kept);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}
