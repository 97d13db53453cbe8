// SPDX-License-Identifier: Apache-2.0
import { readSync } from "node:fs";
import { errnoOf } from "../errors.ts";

/** How much a pipe holds, and how much one that a user without privileges has widened (pipe(7)). */
export const pipeBytes = 64 * 1024;
export const maxPipeBytes = 1024 * 1024;
const rounds = maxPipeBytes / pipeBytes;

/**
 * Reads what a pipe holds at once, through `buffer` of `pipeBytes`; its descriptor must not block. True when that was
 * the end of the stream, false while a writer may live. A writer that is faster than `take` never leaves the pipe
 * empty, so this reads no more than any pipe can hold; the rest is left to the poller.
 */
export function drainPipe(fd: number, buffer: Buffer, take: (bytes: Buffer) => void): boolean {
  for (let round = 0; round < rounds; round += 1) {
    let length: number;
    try {
      length = readSync(fd, buffer, 0, buffer.length, null);
    } catch (error) {
      return errnoOf(error) !== "EAGAIN";
    }
    if (length === 0) return true;
    take(buffer.subarray(0, length));
  }
  return false;
}
