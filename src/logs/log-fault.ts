// SPDX-License-Identifier: Apache-2.0
import { codeOfErrno, errnoOf, fault, type RuntimeFault } from "../base/errors.ts";

/**
 * INTERNAL with the name of what the system said; RESOURCE_EXHAUSTED where it had no space; FAILED_PRECONDITION, and what lies there, where the
 * log file is none.
 */
export function logFault(what: string, cause: unknown): RuntimeFault {
  const errno = errnoOf(cause) ?? "UNKNOWN";
  if (errno === "EINVAL" && cause instanceof Error) {
    return fault("FAILED_PRECONDITION", `${what}: ${cause.message}`, { cause });
  }
  return fault(codeOfErrno(errno), `${what}: ${errno}`, { cause });
}
