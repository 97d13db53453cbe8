// SPDX-License-Identifier: Apache-2.0
import { libc } from "./libc.ts";

const cCloseRange = libc("int close_range(unsigned int first, unsigned int last, int flags)");

/**
 * Marks every open descriptor above 2 close-on-exec. Node opens its own that way; this is for those
 * the daemon inherited from whatever started it, so that no shim or container ever gets them.
 * Call it once, first thing. Answers false on kernels before 5.11, which lack the flag.
 */
export function closeInheritedOnExec(): boolean {
  const onlyFlag = 4; // CLOSE_RANGE_CLOEXEC
  return cCloseRange(3, 0xffffffff, onlyFlag) === 0;
}
