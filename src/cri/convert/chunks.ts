// SPDX-License-Identifier: Apache-2.0
import { codec, type MessageName } from "../../rpc/codec.ts";

/** Well below the 16 MiB that clients take, and large enough that a list is a few messages. */
const messageBytes = 1024 * 1024;
const itemsPerMessage = 500;

/**
 * Cuts a list into what goes into one message each: one item at least, then as many as fit. No item, no
 * message. `message` names the items' type: it is their encoded size that counts.
 */
export function* chunksOf<T extends object>(
  items: readonly T[],
  message: MessageName,
  limit: { readonly bytes: number; readonly items: number } = {
    bytes: messageBytes,
    items: itemsPerMessage,
  },
): Generator<T[], void, undefined> {
  let chunk: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = codec(message).encode(item).length;
    if (chunk.length > 0 && (bytes + size > limit.bytes || chunk.length >= limit.items)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(item);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}
