// SPDX-License-Identifier: Apache-2.0
import koffi from "koffi";

const names = new Map<number, string>();
for (const [name, value] of Object.entries(koffi.os.errno)) {
  // EAGAIN and EWOULDBLOCK share a number: the first name listed is the one Node uses.
  if (!names.has(value)) names.set(value, name);
}
names.set(koffi.os.errno["EAGAIN"] ?? 11, "EAGAIN");

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
  return names.get(errno) ?? `E${errno}`;
}

/** The error of the C call that just answered -1. Call it before any other C call on this thread. */
export function lastError(syscall: string, subject = ""): SystemError {
  return new SystemError(syscall, koffi.errno(), subject);
}

/** Throws when a C call answered a negative number; passes anything else on. */
export function checked(result: number, syscall: string, subject = ""): number {
  if (result < 0) throw lastError(syscall, subject);
  return result;
}
