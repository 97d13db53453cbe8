// SPDX-License-Identifier: Apache-2.0
import type { ContentStore, ContentWriter } from "./ports.ts";

/**
 * Writes under a ref that is the caller's own and is never used again: an ingest that is not committed goes at once,
 * since nobody would resume it. `write` commits.
 */
export async function writeOnce<T>(
  content: ContentStore,
  target: { readonly namespace: string; readonly ref: string; readonly sizeBytes?: bigint },
  write: (writer: ContentWriter) => Promise<T>,
): Promise<T> {
  const { namespace, ref, ...options } = target;
  try {
    await using writer = await content.writer(namespace, ref, options);
    return await write(writer);
  } catch (error) {
    // An ingest that stays goes at the next start; what the caller needs is why it was not written.
    await content.abort(namespace, ref).catch(() => {});
    throw error;
  }
}
