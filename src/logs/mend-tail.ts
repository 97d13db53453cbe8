// SPDX-License-Identifier: Apache-2.0
import fs from "node:fs";

const LF = 0x0a;
/** More than a line of the default size with its prefix. A longer torn line gets a newline and is not removed. */
const windowBytes = 64 * 1024;
const linePrefix = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) [PF] /;

/**
 * Makes a log file end with a whole line. A daemon killed in the middle of a write, or one that met
 * a full disk, leaves a torn line, and the next one appended would be glued to it. With its prefix
 * complete the line gets its newline; otherwise it is cut off, since no reader could parse it. The
 * descriptor is for reading and appending.
 */
export function mendTail(fd: number): void {
  const { size } = fs.fstatSync(fd);
  if (size === 0) return;
  const start = Math.max(0, size - windowBytes);
  const tail = Buffer.alloc(size - start);
  const length = fs.readSync(fd, tail, 0, tail.length, start);
  if (length === 0 || tail[length - 1] === LF) return;
  const lineStart = tail.lastIndexOf(LF) + 1;
  const line = tail.toString("latin1", lineStart, length);
  if ((lineStart === 0 && start > 0) || linePrefix.test(line)) {
    fs.writeSync(fd, "\n");
  } else {
    fs.ftruncateSync(fd, start + lineStart);
  }
}
