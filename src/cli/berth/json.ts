// SPDX-License-Identifier: Apache-2.0

/** A message as indented JSON the way protobuf's JSON form has it: 64-bit integers as strings, bytes as base64. */
export function jsonOf(value: unknown): string {
  return `${JSON.stringify(value, plain, 2)}\n`;
}

/** The same on one line, for streams. */
export function jsonLineOf(value: unknown): string {
  return `${JSON.stringify(value, plain)}\n`;
}

function plain(this: unknown, key: string, value: unknown): unknown {
  // Buffer's own toJSON has run by now: look at the original.
  const original: unknown = key === "" ? value : Reflect.get(Object(this), key);
  if (original instanceof Uint8Array) return Buffer.from(original).toString("base64");
  return typeof value === "bigint" ? value.toString() : value;
}
