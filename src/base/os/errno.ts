// SPDX-License-Identifier: Apache-2.0
import { withKoffi } from "./koffi.ts";

let names: ReadonlyMap<number, string> | undefined;
let readErrno: (() => number) | undefined;

/**
 * A failed system call. It looks like Node's own system errors (`code` is `ENOENT`, …), so
 * `errnoOf` reads both alike.
 */
export class SystemError extends Error {
  override readonly name = "SystemError";
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number, subject: string) {
    const code = errnoName(errno);
    super(`${code}: ${syscall}${subject === "" ? "" : ` ${subject}`}`);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** `ENOENT` for 2, and so on; `E<number>` for a number without a name. */
export function errnoName(errno: number): string {
  names ??= withKoffi((koffi) => namesOf(koffi.os.errno));
  return names.get(errno) ?? `E${errno}`;
}

function namesOf(numbers: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (const [name, value] of Object.entries(numbers)) {
    // EAGAIN and EWOULDBLOCK share a number: the first name listed is the one Node uses.
    if (!found.has(value)) found.set(value, name);
  }
  found.set(numbers["EAGAIN"] ?? 11, "EAGAIN");
  return found;
}

/** The error of the C call that just answered -1. Call it before any other C call on this thread. */
export function lastError(syscall: string, subject = ""): SystemError {
  readErrno ??= withKoffi((koffi) => koffi.errno);
  return new SystemError(syscall, readErrno(), subject);
}

/** Throws when a C call answered a negative number; passes anything else on. */
export function checked(result: number, syscall: string, subject = ""): number {
  if (result < 0) throw lastError(syscall, subject);
  return result;
}
