// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "./errors.ts";
import { shortened } from "./shortened.ts";

/** How long a problem's text may be: it may quote what a client sent. */
const longestProblem = 2048;

/** The fault for a bad request field, named as the CRI proto spells its path. */
export function invalid(field: string, problem: string, cause?: unknown): RuntimeFault {
  return fault("INVALID_ARGUMENT", `${field}: ${shortened(problem, longestProblem)}`, { cause });
}

/** The fault for a request that is valid but that this host or handler cannot carry out. */
export function unsupported(field: string, problem: string): RuntimeFault {
  return fault("FAILED_PRECONDITION", `${field}: ${shortened(problem, longestProblem)}`);
}
