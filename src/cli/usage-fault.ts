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

export function isUsageFault(error: unknown): boolean {
  return isFault(error) && error.details?.["usage"] === true;
}
