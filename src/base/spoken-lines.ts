// SPDX-License-Identifier: Apache-2.0
import { readSync, writeSync } from "node:fs";

// The program's end of `converse` (process.ts). All of it is synchronous, so that a line is written, whole, before
// the program does anything else: an asynchronous write would wait for work that blocks the thread, and the reader
// for the write.

const pieceBytes = 4096;
const signEveryMs = 500;
let lastSign = 0;

/** The next line of the input; undefined at its end. The sender waits for an answer before it sends another. */
export function nextLine(): string | undefined {
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = Buffer.alloc(pieceBytes);
    const length = readSync(0, piece);
    if (length === 0) return undefined;
    pieces.push(piece.subarray(0, length));
    if (piece[length - 1] === 10) return Buffer.concat(pieces).toString("utf8").slice(0, -1);
  }
}

/** Answers with a line. */
export function answerLine(line: string): void {
  writeOut(`${line}\n`);
}

/**
 * Call it at every step of long work: from time to time it writes a line that shows the reader that the work makes
 * progress.
 */
export function stepDone(): void {
  const now = performance.now();
  if (now - lastSign < signEveryMs) return;
  lastSign = now;
  writeOut(".\n");
}

function writeOut(text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}
