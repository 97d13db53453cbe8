// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";
import { mendTail } from "./mend-tail.ts";

/**
 * Finishes a write of `bytes` that began when a file had `from` bytes, and of which a crash may have left any part:
 * none, all, or up to the middle of a line. The descriptor is for reading and appending. False, and nothing is written,
 * where something else is there by now. Throws Node's system error.
 */
export function finishWrite(fd: number, from: number, bytes: Buffer): boolean {
  const { size } = fs.fstatSync(fd);
  if (size <= from) {
    // Nothing of it is there, or somebody has emptied the file. What was torn before stays apart.
    mendTail(fd);
    writeAll(fd, bytes);
    return true;
  }
  const written = Buffer.alloc(Math.min(size - from, bytes.length + 1));
  const length = fs.readSync(fd, written, 0, written.length, from);
  if (!written.subarray(0, length).equals(bytes.subarray(0, length))) return false;
  writeAll(fd, bytes.subarray(length));
  return true;
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) {
    done += fs.writeSync(fd, bytes, done, bytes.length - done);
  }
}
