// SPDX-License-Identifier: Apache-2.0
import { closeSync, createReadStream, readSync } from "node:fs";
import { Readable } from "node:stream";
import { fault } from "../../base/errors.ts";
import { sleep } from "../../base/timers.ts";

const pieceBytes = 256 * 1024;
const firstWaitMs = 1;
const longestWaitMs = 32;
/** A file that stands still longer than this, in all, takes a turn from layers that are here. */
const defaultPatienceMs = 4_000;

export interface Growing {
  /** What it has in the end. */
  readonly sizeBytes: number;
  /** Called while there is nothing to read. */
  readonly waiting: () => void;
  readonly patienceMs?: number;
}

/** The bytes of a file, which is closed at the end. */
export function bytesOf(fd: number): Readable {
  return createReadStream("", { fd, start: 0, highWaterMark: pieceBytes });
}

/**
 * The bytes of a file that somebody else is writing, as they come. The file is closed at the end. UNAVAILABLE when
 * there are none for too long.
 */
export function growingBytesOf(fd: number, growing: Growing): Readable {
  return Readable.from(piecesOf(fd, growing), { objectMode: false, highWaterMark: 1 });
}

async function* piecesOf(
  fd: number,
  { sizeBytes, waiting, patienceMs = defaultPatienceMs }: Growing,
): AsyncGenerator<Buffer, void, undefined> {
  using _file = { [Symbol.dispose]: () => closeSync(fd) };
  let waitMs = firstWaitMs;
  let waitedMs = 0;
  for (let at = 0; at < sizeBytes; ) {
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, sizeBytes - at));
    const length = readSync(fd, piece, 0, piece.length, at);
    at += length;
    if (length > 0) {
      waitMs = firstWaitMs;
      yield piece.subarray(0, length);
      continue;
    }
    if (waitedMs >= patienceMs) {
      throw fault("UNAVAILABLE", `blob stands still at ${at} of ${sizeBytes} bytes`);
    }
    waiting();
    const before = performance.now();
    await sleep(waitMs);
    waitedMs += performance.now() - before;
    waitMs = Math.min(waitMs * 2, longestWaitMs);
  }
}
