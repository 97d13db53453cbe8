// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "./errors.ts";
import { shortened } from "./shortened.ts";

/** Of a problem's text, which may quote what was asked for. */
const longestProblem = 2048;

/** The fault for a bad request field, named as the CRI proto spells its path. */
export function invalid(field: string, problem: string, cause?: unknown): RuntimeFault {
  return fault("INVALID_ARGUMENT", `${field}: ${shortened(problem, longestProblem)}`, { cause });
}

/** The fault for what the request may ask but this host or handler cannot do. */
export function unsupported(field: string, problem: string): RuntimeFault {
  return fault("FAILED_PRECONDITION", `${field}: ${shortened(problem, longestProblem)}`);
}
