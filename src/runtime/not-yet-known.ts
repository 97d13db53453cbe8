// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "../base/errors.ts";

/** The answer about a task whose shim has not answered since the daemon's start: whether it runs will be known in seconds. */
export function notYetKnown(id: string): RuntimeFault {
  return fault(
    "UNAVAILABLE",
    `task "${id}" is not known yet: its shim has not answered since the start`,
  );
}
