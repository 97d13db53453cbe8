// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { makeFolderAt, openAt, openFolder } from "../../src/base/os/at.ts";
import { setImmutable } from "../../src/base/os/inode-flags.ts";

/** Makes a chain of folders, each in the one before, however long its path becomes; a file at the end. */
export function nest(folder: string, depth: number, name: Buffer | string, bytes = 0): void {
  let at = openSync(folder, openFolder);
  for (let level = 0; level < depth; level += 1) {
    makeFolderAt(at, Buffer.from(name), 0o755);
    const next = openAt(at, Buffer.from(name), openFolder);
    closeSync(at);
    at = next;
  }
  const file = openAt(at, Buffer.from("end"), constants.O_CREAT | constants.O_WRONLY, 0o644);
  writeSync(file, Buffer.alloc(bytes, 1));
  closeSync(file);
  closeSync(at);
}

/** Makes empty files 0, 1, … */
export function fill(folder: string, count: number): void {
  const at = openSync(folder, openFolder);
  for (let index = 0; index < count; index += 1) {
    closeSync(openAt(at, Buffer.from(String(index)), constants.O_CREAT | constants.O_WRONLY));
  }
  closeSync(at);
}

/** As chattr +i and -i. */
export function immutable(file: string, isImmutable = true): void {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    setImmutable(fd, isImmutable);
  } finally {
    closeSync(fd);
  }
}
