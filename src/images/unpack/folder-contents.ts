// SPDX-License-Identifier: Apache-2.0
import { type Dirent, lstatSync, opendirSync, rmdirSync, unlinkSync } from "node:fs";

// Reads and empties folders with any number of names, a few at a time. Names are bytes, one character each.

const slash = Buffer.from("/");
const namesAtOnce = 512;

/** The names in a folder. */
export function* namesIn(folder: Buffer): Generator<string, void, undefined> {
  for (const { name } of entriesOf(folder)) yield name;
}

export function* entriesOf(folder: Buffer): Generator<Dirent, void, undefined> {
  const dir = opendirSync(folder, {
    encoding: "latin1" as BufferEncoding,
    bufferSize: namesAtOnce,
  });
  try {
    for (let entry = dir.readSync(); entry; entry = dir.readSync()) yield entry;
  } finally {
    dir.closeSync();
  }
}

/** Removes all that is in a folder; `step` is called for each. */
export function emptyFolder(folder: Buffer, step: () => void): void {
  // Each folder is read on from where it was left: from the start it would pass all that has been removed already.
  const pending = [{ at: folder, names: namesIn(folder) }];
  for (let last = pending.at(-1); last; last = pending.at(-1)) {
    const inner = removeFiles(last.at, last.names, step);
    if (inner) pending.push({ at: inner, names: namesIn(inner) });
    else {
      pending.pop();
      if (pending.length > 0) rmdirSync(last.at);
    }
  }
}

/** Removes an empty folder. */
export function removeFolder(folder: Buffer): void {
  rmdirSync(folder);
}

/** Removes files up to the first folder among them, which it answers. */
function removeFiles(
  folder: Buffer,
  names: Generator<string>,
  step: () => void,
): Buffer | undefined {
  for (let next = names.next(); !next.done; next = names.next()) {
    step();
    const at = Buffer.concat([folder, slash, Buffer.from(next.value, "latin1")]);
    if (lstatSync(at).isDirectory()) return at;
    unlinkSync(at);
  }
  return undefined;
}
