// SPDX-License-Identifier: Apache-2.0

/**
 * The closed set of failure kinds. They are the gRPC status codes, because every error ends at a
 * gRPC or ttrpc boundary; src/rpc/status.ts is the only place that turns them into numbers.
 */
export type FaultCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

export interface FaultOptions {
  readonly cause?: unknown;
  /** Facts for the log, never shown to the client. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The one error class of the project. `message` is a lower-case clause that names the object and
 * its state: `cannot start task "4f1c": state is stopped`. `cause` carries the chain.
 */
export class RuntimeFault extends Error {
  override readonly name: string = "RuntimeFault";
  readonly code: FaultCode;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: FaultCode, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details;
  }
}

/** Makes the fault of a given code; the usual way to write `throw fault("NOT_FOUND", …)`. */
export function fault(code: FaultCode, message: string, options?: FaultOptions): RuntimeFault {
  return new RuntimeFault(code, message, options);
}

/** True when `error` is a fault, optionally one of the given codes. */
export function isFault(error: unknown, ...codes: readonly FaultCode[]): error is RuntimeFault {
  return error instanceof RuntimeFault && (codes.length === 0 || codes.includes(error.code));
}

/** True for the errors Node raises when a signal aborts a wait (AbortError, TimeoutError). */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === "AbortError" || error.name === "TimeoutError");
}

/** The errno name (`ENOENT`, …) of a Node system error, or undefined: a fault's code is none. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof RuntimeFault) return undefined;
  if (!("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** What a system call ran out of: space, quota, descriptors. */
const exhausted = new Set(["ENOSPC", "EDQUOT", "EMFILE", "ENFILE"]);

/** RESOURCE_EXHAUSTED where the system ran out of something, else INTERNAL. */
export function codeOfErrno(errno: string): FaultCode {
  return exhausted.has(errno) ? "RESOURCE_EXHAUSTED" : "INTERNAL";
}

/**
 * Any thrown value as a fault. Aborts become CANCELLED or DEADLINE_EXCEEDED, a full disk is
 * RESOURCE_EXHAUSTED; what is no fault yet becomes UNKNOWN with the original as cause, which is what
 * containerd answers for such errors.
 */
export function toFault(error: unknown): RuntimeFault {
  if (error instanceof RuntimeFault) return error;
  if (error instanceof Error) {
    if (error.name === "TimeoutError")
      return fault("DEADLINE_EXCEEDED", error.message, { cause: error });
    if (error.name === "AbortError") return fault("CANCELLED", error.message, { cause: error });
    const code = exhausted.has(errnoOf(error) ?? "") ? "RESOURCE_EXHAUSTED" : "UNKNOWN";
    return fault(code, error.message, { cause: error });
  }
  return fault("UNKNOWN", String(error));
}

/** For `.catch()`: throws what was thrown as a fault. */
export function throwFault(error: unknown): never {
  throw toFault(error);
}
