// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault, type RuntimeFault } from "../../base/errors.ts";
import type { Descriptor } from "../manifest/documents.ts";
import type { RegistryClient } from "./registry-client.ts";

/**
 * Pulls what the reference means. A mirror may say what nobody has, or has only a part of: an old tag, a wrong length, a
 * page's digest. Then the next host is asked what the reference means, and what that says is pulled if it is something
 * else. The first error is thrown where none helps.
 */
export async function pullEachMeaning<T>(
  client: RegistryClient,
  call: Cancellable,
  pull: (target: Descriptor) => Promise<T>,
): Promise<T> {
  const tried = new Set<string>();
  let first: RuntimeFault | undefined;
  for (;;) {
    const target = await client.resolve(call).catch((error: unknown) => {
      call.signal.throwIfAborted();
      throw first ?? error;
    });
    const meaning = `${target.digest} ${target.size} ${target.mediaType}`;
    if (!tried.has(meaning)) {
      tried.add(meaning);
      try {
        return await pull(target);
      } catch (error) {
        if (call.signal.aborted || !isOfContent(error)) throw error;
        first ??= error;
      }
    }
    if (!first || !client.distrust(first)) throw first ?? new Error("nothing was pulled");
  }
}

/** Whether what was said to be there is not, or is no image: not what is missing here, such as space. */
function isOfContent(error: unknown): error is RuntimeFault {
  return isFault(
    error,
    "NOT_FOUND",
    "FAILED_PRECONDITION",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "UNKNOWN",
  );
}
