// SPDX-License-Identifier: Apache-2.0
import { errnoOf, isFault } from "../base/errors.ts";
import type { ContentStore, DamagedBlob, Digest } from "./ports.ts";

/** What the kernel says of a file whose disk or file system has lost it. */
const lost = new Set(["EIO", "EUCLEAN", "EBADMSG"]);

/**
 * What is wrong with a blob whose reading has failed; undefined where the error says nothing of the blob. That a file is
 * gone is asked of the disk: what could not be found may have been something else, such as the program that reads.
 * Errors of another process have their name at the beginning of their text only.
 */
export function damageOf(
  content: Pick<ContentStore, "fileNow">,
  digest: Digest,
  error: unknown,
): DamagedBlob | undefined {
  const seen = content.fileNow(digest);
  if (seen === undefined) return { seen, problem: "its file is gone" };
  const text = error instanceof Error ? error.message : "";
  const told = isFault(error) ? /^(E[A-Z]+): /.exec(text)?.[1] : errnoOf(error);
  const errno = told ?? "";
  return lost.has(errno) ? { seen, problem: `it cannot be read: ${errno}` } : undefined;
}
