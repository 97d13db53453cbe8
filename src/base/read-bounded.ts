// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";

/** For files that others name or make: never follows a link, never waits for a FIFO's other end. */
export const readForeign = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const unknownBytes = 4096;

/**
 * A file that others have made or named, of no more than `maxBytes`; a link to one only with `follow`.
 * Throws the system error, and an Error for what is no regular file or is longer, also when it grows.
 */
export async function readBounded(
  file: string | Buffer,
  maxBytes: number,
  { follow = false } = {},
): Promise<Buffer> {
  const flags = follow ? readForeign & ~constants.O_NOFOLLOW : readForeign;
  await using handle = await open(file, flags);
  const facts = await handle.stat();
  if (!facts.isFile()) throw new Error(`${shown(file)} is no regular file`);
  if (facts.size > maxBytes) throw new Error(`${shown(file)} has more than ${maxBytes} bytes`);
  // One byte more than it has, which shows its end. Files of /proc report no size, others may grow meanwhile.
  let bytes = Buffer.alloc(Math.min(maxBytes, facts.size || unknownBytes) + 1);
  for (let length = 0; ; ) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, null);
    if (bytesRead === 0) return bytes.subarray(0, length);
    length += bytesRead;
    if (length > maxBytes) throw new Error(`${shown(file)} has more than ${maxBytes} bytes`);
    if (length < bytes.length) continue;
    const more = Buffer.alloc(Math.min(maxBytes, 2 * length) + 1);
    bytes.copy(more);
    bytes = more;
  }
}

/** The same, synchronously, for a small file in memory. */
export function readBoundedSync(file: string, maxBytes: number, { follow = false } = {}): Buffer {
  const fd = openSync(file, follow ? readForeign & ~constants.O_NOFOLLOW : readForeign);
  try {
    const facts = fstatSync(fd);
    if (!facts.isFile()) throw new Error(`${shown(file)} is no regular file`);
    const bytes = facts.size > maxBytes ? undefined : firstBytes(fd, maxBytes + 1);
    if (bytes === undefined || bytes.length > maxBytes)
      throw new Error(`${shown(file)} has more than ${maxBytes} bytes`);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** The first bytes of a file, which may have any number more: `maxBytes`, or all that there are. */
export async function readStart(file: string, maxBytes: number): Promise<Buffer> {
  await using handle = await open(file);
  let bytes = Buffer.alloc(Math.min(maxBytes, unknownBytes));
  for (let length = 0; ; ) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, null);
    length += bytesRead;
    if (bytesRead === 0 || length === maxBytes) return bytes.subarray(0, length);
    if (length < bytes.length) continue;
    const more = Buffer.alloc(Math.min(maxBytes, 2 * length));
    bytes.copy(more);
    bytes = more;
  }
}

/** The same, synchronously: on a thread that may wait. */
export function readStartSync(file: string, maxBytes: number): Buffer {
  const fd = openSync(file, constants.O_RDONLY);
  try {
    return firstBytes(fd, maxBytes);
  } finally {
    closeSync(fd);
  }
}

/** As readStartSync, of an open file, from where it stands. */
export function firstBytes(fd: number, maxBytes: number): Buffer {
  let bytes = Buffer.allocUnsafe(Math.min(maxBytes, unknownBytes));
  for (let length = 0; ; ) {
    const bytesRead = readSync(fd, bytes, length, bytes.length - length, null);
    length += bytesRead;
    if (bytesRead === 0 || length === maxBytes) return bytes.subarray(0, length);
    if (length < bytes.length) continue;
    const more = Buffer.allocUnsafe(Math.min(maxBytes, 2 * length));
    bytes.copy(more, 0, 0, length);
    bytes = more;
  }
}

function shown(file: string | Buffer): string {
  return JSON.stringify(file.toString());
}
