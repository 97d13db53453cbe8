// SPDX-License-Identifier: Apache-2.0
import { EncodedMessage } from "./encoded-message.ts";

/**
 * No more than what a message takes when it is encoded, in bytes, found without encoding it: its texts and
 * bytes. Most of what makes a message large is in these.
 */
export function leastSizeOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 0;
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (value instanceof EncodedMessage) return value.length;
  let bytes = 0;
  if (Array.isArray(value)) {
    for (const item of value) bytes += leastSizeOf(item) + 1;
    return bytes;
  }
  for (const key in value) bytes += leastSizeOf((value as Record<string, unknown>)[key]);
  return bytes;
}
