// SPDX-License-Identifier: Apache-2.0
import { fstatSync, writeSync } from "node:fs";
import { Writable } from "node:stream";

/** Where this process's output goes. */
export interface StandardStreams {
  readonly stdout: Writable;
  readonly stderr: Writable;
}

let known: StandardStreams | undefined;

/** Always the same two. What cannot be written ends in their "error". */
export function standardStreams(): StandardStreams {
  known ??= {
    stdout: wholly(1, process.stdout),
    stderr: wholly(2, process.stderr),
  };
  return known;
}

/** Of Node's own stream for a file, what a write does not take all at once is lost without a word. */
function wholly(fd: number, own: Writable): Writable {
  return fstatSync(fd).isFile() ? new WholeFile(fd) : own;
}

/** Writes all of each piece, so that a full disk is an error also when there was room for the beginning. */
export class WholeFile extends Writable {
  readonly #fd: number;

  constructor(fd: number) {
    super({ decodeStrings: true });
    this.#fd = fd;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    try {
      for (let at = 0; at < chunk.length; ) at += writeSync(this.#fd, chunk, at);
      done();
    } catch (error) {
      done(error as Error);
    }
  }
}
