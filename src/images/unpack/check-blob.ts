// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { damageOf } from "../../content/damage.ts";
import type { ContentStore, DamagedBlob, Digest } from "../../content/ports.ts";

/** Reads a file for its digest, elsewhere than on this thread. */
export type HashFile = (file: string, call: Cancellable) => Promise<Digest>;

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
    const own = await hash(content.pathOf(digest), call);
    return own === digest ? undefined : { seen, problem: `its bytes have the digest ${own}` };
  } catch (error) {
    call.signal.throwIfAborted();
    const damage = damageOf(content, digest, error);
    if (damage === undefined) throw error;
    return damage;
  }
}
