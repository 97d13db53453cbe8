// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { damageOf } from "../../content/damage.ts";
import { algorithmOf } from "../../content/digest.ts";
import type { ContentStore, DamagedBlob, Digest } from "../../content/ports.ts";
import type { HashTask } from "./extract-layer.ts";

/** Reads a file for its digest, elsewhere than on this thread. */
export type HashFile = (task: HashTask, call: Cancellable) => Promise<Digest>;

/** Reads all of a blob and holds it against its digest; what is wrong with it, if anything. */
export async function checkBlob(
  content: Pick<ContentStore, "fileNow" | "pathOf">,
  digest: Digest,
  hash: HashFile,
  call: Cancellable,
): Promise<DamagedBlob | undefined> {
  const seen = content.fileNow(digest);
  if (seen === undefined) return { seen, problem: "its file is gone" };
  try {
    const task = { blob: content.pathOf(digest), algorithm: algorithmOf(digest) };
    const own = await hash(task, call);
    return own === digest ? undefined : { seen, problem: `its bytes have the digest ${own}` };
  } catch (error) {
    call.signal.throwIfAborted();
    const damage = damageOf(content, digest, error);
    if (damage === undefined) throw error;
    return damage;
  }
}
