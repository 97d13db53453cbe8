// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, openSync, readSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import { pipeBytes } from "./drain-pipe.ts";
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";
import { closeUntracked } from "./untracked.ts";

const cPipe = libc("int pipe2(void *fds, int flags)");
const cTee = libc("long tee(int from, int to, size_t length, unsigned int flags)");

const pipeFlags = 0o2000000 | 0o4000; // O_CLOEXEC | O_NONBLOCK
const doNotWait = 2; // SPLICE_F_NONBLOCK
const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants;

/**
 * Shows what pipes hold without taking it (tee(2)). One serves all pipes of a thread: what `look` answers is valid
 * until the next look.
 */
export class PipePeek implements Disposable {
  readonly #out: number;
  readonly #in: number;
  readonly #buffer = Buffer.allocUnsafeSlow(pipeBytes);

  constructor() {
    const fds = Buffer.alloc(8);
    checked(cPipe(fds, pipeFlags), "pipe2");
    const made = [fds.readInt32LE(0), fds.readInt32LE(4)] as const;
    try {
      // Again by Node, which closes them when the thread dies.
      [this.#out, this.#in] = [reopened(made[0], O_RDONLY), reopened(made[1], O_WRONLY)];
    } finally {
      for (const fd of made) closeUntracked(fd);
    }
  }

  /**
   * The first bytes in a pipe, `most` at most; none at the end of the stream, undefined where it is empty and has a
   * writer. Throws SystemError.
   */
  look(pipe: number, most: number = pipeBytes): Buffer | undefined {
    let length: number;
    try {
      length = checked(cTee(pipe, this.#in, Math.min(most, pipeBytes), doNotWait), "tee");
    } catch (error) {
      if (errnoOf(error) === "EAGAIN") return undefined;
      throw error;
    }
    for (let at = 0; at < length; ) at += readSync(this.#out, this.#buffer, at, length - at, null);
    return this.#buffer.subarray(0, length);
  }

  [Symbol.dispose](): void {
    closeSync(this.#out);
    closeSync(this.#in);
  }
}

function reopened(fd: number, flags: number): number {
  return openSync(`/proc/self/fd/${fd}`, flags | O_NONBLOCK);
}
