// SPDX-License-Identifier: Apache-2.0
import { codeOfErrno, errnoOf, fault, type RuntimeFault } from "../base/errors.ts";

/**
 * INTERNAL with the system's error; RESOURCE_EXHAUSTED when there was no space; FAILED_PRECONDITION, naming what is
 * there, when it is no log file.
 */
export function logFault(what: string, cause: unknown): RuntimeFault {
  const errno = errnoOf(cause) ?? "UNKNOWN";
  if (errno === "EINVAL" && cause instanceof Error) {
    return fault("FAILED_PRECONDITION", `${what}: ${cause.message}`, { cause });
  }
  return fault(codeOfErrno(errno), `${what}: ${errno}`, { cause });
}
