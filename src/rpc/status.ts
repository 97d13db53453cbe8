// SPDX-License-Identifier: Apache-2.0
import { type FaultCode, fault, RuntimeFault, toFault } from "../base/errors.ts";
import { shortened } from "../base/shortened.ts";

/** The numbers of google.rpc.Code, the same for gRPC and ttrpc. */
const numbers = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const satisfies Record<FaultCode, number>;

const codes = new Map<number, FaultCode>(
  Object.entries(numbers).map(([code, number]) => [number, code as FaultCode]),
);

/** What goes over a wire for a failure. */
export interface WireStatus {
  readonly code: number;
  readonly message: string;
}

/** The fault code of a wire number; numbers that no standard names are UNKNOWN. */
export function codeOf(number: number): FaultCode {
  return codes.get(number) ?? "UNKNOWN";
}

/** The fault that a peer's failed status stands for. */
export function faultOfStatus(status: WireStatus): RuntimeFault {
  return fault(codeOf(status.code), status.message);
}

/** The status of anything that a handler threw. */
export function statusOf(error: unknown): WireStatus {
  const known = faultAtBoundary(error);
  return { code: numbers[known.code], message: shortened(known.message, longestText) };
}

/** A status travels in a header, of which peers take 16 KiB or so; its percent signs triple a byte. */
const longestText = 4096;

/**
 * Any thrown value as the fault a caller may see. A plain Error keeps its text and is UNKNOWN, which
 * is what clients of containerd know; an error that only a defect of ours can raise says nothing to
 * the caller (INTERNAL) and keeps the original as `cause`, for the log.
 */
export function faultAtBoundary(error: unknown): RuntimeFault {
  if (error instanceof RuntimeFault) return error;
  if (isDefect(error)) {
    return fault("INTERNAL", "internal error, see the daemon's log", { cause: error });
  }
  return toFault(error);
}

function isDefect(error: unknown): boolean {
  return (
    error instanceof TypeError ||
    error instanceof ReferenceError ||
    error instanceof RangeError ||
    error instanceof SyntaxError ||
    (error instanceof Error && error.name === "AssertionError")
  );
}
