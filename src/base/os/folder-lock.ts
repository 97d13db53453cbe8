// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, openSync } from "node:fs";
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const cFlock = libc("int flock(int fd, int operation)");
/** LOCK_EX | LOCK_NB of flock(2). */
const exclusiveAtOnce = 2 | 4;

/**
 * Takes the lock of a folder, which takes no file and no space and goes with the process that has it. Throws a
 * SystemError: EAGAIN where another process has it.
 */
export function lockFolder(folder: string): Disposable {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    checked(cFlock(fd, exclusiveAtOnce), "flock", folder);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return { [Symbol.dispose]: () => closeSync(fd) };
}
