// SPDX-License-Identifier: Apache-2.0
import { errnoOf, isFault } from "../base/errors.ts";

/** What the kernel says of a file whose disk or file system has lost it. */
const lost = new Set(["EIO", "EUCLEAN", "EBADMSG"]);

/**
 * Why a blob that could not be read counts as damaged, a clause; undefined for every other error. Errors of another
 * process have their name at the beginning of their text only.
 */
export function damageOf(error: unknown): string | undefined {
  const text = error instanceof Error ? error.message : "";
  const errno = errnoOf(error) ?? /^(E[A-Z]+): /.exec(text)?.[1] ?? "";
  if (errno === "ENOENT" || isFault(error, "NOT_FOUND")) return "its file is gone";
  return lost.has(errno) ? `it cannot be read: ${errno}` : undefined;
}
