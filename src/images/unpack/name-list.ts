// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { fault } from "../../base/errors.ts";

// Lists of folder names that are too long for an answer go from one process to another in a file: names are bytes,
// one character each, and end with NUL.

const maxNames = 16;
const maxNamesBytes = 4096;
const maxListBytes = 64 * 1024 * 1024;
const pieceBytes = 64 * 1024;

/** Beside a layer's list of folders: of each hard link to the layers below its place and its target. */
export function linkList(list: string): string {
  return `${list}-links`;
}

/** The names, when they are few and short. */
export function namesForAnswer(names: Iterable<string>): string[] | undefined {
  const few: string[] = [];
  let bytes = 0;
  for (const name of names) {
    bytes += name.length;
    if (few.length === maxNames || bytes > maxNamesBytes) return undefined;
    few.push(name);
  }
  return few;
}

/** Writes a list into a new file. RESOURCE_EXHAUSTED when it is too long. */
export function writeNames(file: string, names: Iterable<string>, step: () => void): void {
  const fd = openSync(file, "wx", 0o600);
  try {
    let piece = "";
    let bytes = 0;
    const flush = (): void => {
      bytes += piece.length;
      if (bytes > maxListBytes) {
        throw fault(
          "RESOURCE_EXHAUSTED",
          "layer implies too many folders without members for them, or links too much below",
        );
      }
      const rest = Buffer.from(piece, "latin1");
      for (let done = 0; done < rest.length; ) done += writeSync(fd, rest, done);
      piece = "";
      step();
    };
    for (const name of names) {
      piece += `${name}\0`;
      if (piece.length > pieceBytes) flush();
    }
    flush();
  } finally {
    closeSync(fd);
  }
}

export function* readNames(file: string): Generator<string, void, undefined> {
  const fd = openSync(file, "r");
  try {
    const piece = Buffer.alloc(pieceBytes);
    let rest = "";
    for (let got = readSync(fd, piece); got > 0; got = readSync(fd, piece)) {
      const names = (rest + piece.toString("latin1", 0, got)).split("\0");
      rest = names.pop() ?? "";
      yield* names;
    }
  } finally {
    closeSync(fd);
  }
}
