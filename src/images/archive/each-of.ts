// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { Archive, Visit } from "./archive.ts";

/** Shows files of an archive in which each can be read by itself. */
export async function eachOf(
  archive: Pick<Archive, "open">,
  names: readonly string[],
  take: Visit,
  call: Cancellable,
): Promise<void> {
  for (const name of new Set(names)) {
    call.signal.throwIfAborted();
    const file = await archive.open(name, call);
    if (file) await take([name], file);
  }
}
