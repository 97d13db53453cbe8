// SPDX-License-Identifier: Apache-2.0
import { fault, isFault, type RuntimeFault } from "../base/errors.ts";

const details = { usage: true };

/**
 * For a command line that is wrong by itself, whatever the daemon has: a value that cannot be read, flags that do not go
 * together. INVALID_ARGUMENT; a program ends with the status of its usage, as it does for flags that it does not know.
 */
export function usageFault(message: string): RuntimeFault {
  return fault("INVALID_ARGUMENT", message, { details });
}

/** What a check finds wrong with a part of the command line: INVALID_ARGUMENT is a fault of the usage there. */
export function checkUsage(check: () => unknown): void {
  try {
    check();
  } catch (error) {
    throw isFault(error, "INVALID_ARGUMENT") ? usageFault(error.message) : error;
  }
}

export function isUsageFault(error: unknown): boolean {
  return isFault(error) && error.details?.["usage"] === true;
}
