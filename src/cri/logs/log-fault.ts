// SPDX-License-Identifier: Apache-2.0
import { errnoOf, fault, type RuntimeFault } from "../../base/errors.ts";

/**
 * INTERNAL with the name of what the system said; FAILED_PRECONDITION, and what lies there, where the
 * log file is none.
 */
export function logFault(what: string, cause: unknown): RuntimeFault {
  const errno = errnoOf(cause) ?? "UNKNOWN";
  if (errno === "EINVAL" && cause instanceof Error) {
    return fault("FAILED_PRECONDITION", `${what}: ${cause.message}`, { cause });
  }
  return fault("INTERNAL", `${what}: ${errno}`, { cause });
}
