// SPDX-License-Identifier: Apache-2.0
import { codec, type MessageName, type Messages } from "../../rpc/codec.ts";
import { EncodedMessage } from "../../rpc/encoded-message.ts";

/** Well below the 16 MiB that clients take, and large enough that a list is a few messages. */
const messageBytes = 1024 * 1024;
const itemsPerMessage = 500;

/** The messages of a stream that has a list's items in `field`: each in a bounded size, none empty. */
export function* messagesOf<K extends MessageName, F extends keyof Messages[K]["init"] & string>(
  message: K,
  field: F,
  items: Iterable<Buffer>,
): Generator<Messages[K]["init"], void, undefined> {
  for (const chunk of chunksOf(items)) yield EncodedMessage.list(message, field, chunk);
}

/** Items of one type, each encoded when it is its turn. */
export function* encoded<K extends MessageName>(
  message: K,
  items: Iterable<Messages[K]["init"]>,
): Generator<Buffer, void, undefined> {
  for (const item of items) yield codec(message).encode(item);
}

/**
 * Cuts a list of encoded items into what goes into one message each: one item at least, then as many as fit. No
 * item, no message.
 */
export function* chunksOf(
  items: Iterable<Buffer>,
  limit: { readonly bytes: number; readonly items: number } = {
    bytes: messageBytes,
    items: itemsPerMessage,
  },
): Generator<Buffer[], void, undefined> {
  let chunk: Buffer[] = [];
  let bytes = 0;
  for (const item of items) {
    if (chunk.length > 0 && (bytes + item.length > limit.bytes || chunk.length >= limit.items)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(item);
    bytes += item.length;
  }
  if (chunk.length > 0) yield chunk;
}
