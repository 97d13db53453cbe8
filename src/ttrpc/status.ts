// SPDX-License-Identifier: Apache-2.0
import { type FaultCode, fault, type RuntimeFault } from "../base/errors.ts";

// google.rpc.Code, from 1 up; 0 is success.
const codes: readonly FaultCode[] = [
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** The fault for the status of a ttrpc response. Numbers nobody defined become UNKNOWN. */
export function faultOfStatus(code: number, message: string): RuntimeFault {
  return fault(codes[code - 1] ?? "UNKNOWN", message);
}

export function statusNumber(code: FaultCode): number {
  return codes.indexOf(code) + 1;
}
