// SPDX-License-Identifier: Apache-2.0
import { codeOfErrno, errnoOf, fault, type RuntimeFault } from "./errors.ts";

/** What disks refuse a write with, in the kernel's words. */
const refusals: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on device",
  EDQUOT: "disk quota exceeded",
  EROFS: "read-only file system",
  EIO: "input/output error",
};

/**
 * Does what writes to a place on a disk. Where the disk refuses, the fault tells what was being done (`write layer "x"`),
 * where, and why: RESOURCE_EXHAUSTED for a full one, UNKNOWN for one that is read-only or broken. Other errors stay as they
 * are.
 */
export async function onDisk<T>(
  doing: string,
  place: string,
  work: () => T | Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw diskFault(doing, place, error) ?? error;
  }
}

/** The fault of a disk that refused; undefined for other errors. */
export function diskFault(doing: string, place: string, cause: unknown): RuntimeFault | undefined {
  const told = [errnoOf(cause) ?? "", errnoIn(cause)];
  const errno = told.find((each) => each in refusals);
  if (errno === undefined) return undefined;
  const isFull = codeOfErrno(errno) === "RESOURCE_EXHAUSTED";
  const code = isFull ? "RESOURCE_EXHAUSTED" : "UNKNOWN";
  return fault(code, `cannot ${doing} at "${place}": ${refusals[errno]} (${errno})`, { cause });
}

/** Of a system error that another process has told: `EIO: i/o error, write`. */
function errnoIn(error: unknown): string {
  return /^(E[A-Z]+): /.exec(error instanceof Error ? error.message : "")?.[1] ?? "";
}
