// SPDX-License-Identifier: Apache-2.0
import { encodeExactJson, parseExactJson } from "../../oci/encode-spec.ts";

/** Fields that hold maps: their keys are data and keep their spelling. */
const maps = new Set(["labels", "annotations", "sysctls", "unified"]);

/**
 * A CRI message as verbose answers show it: field names as in the proto file, bytes as text, 64-bit
 * numbers as numbers while they are exact.
 */
export function protoJson(value: unknown): unknown {
  if (typeof value === "bigint") {
    const narrow = Number(value);
    return Number.isSafeInteger(narrow) ? narrow : value.toString();
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (Array.isArray(value)) return value.map(protoJson);
  if (value === null || typeof value !== "object") return value;
  const fields = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(
    fields.map(([name, field]) => [snakeCase(name), maps.has(name) ? field : protoJson(field)]),
  );
}

function snakeCase(name: string): string {
  return name.replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
}

/** The `info` map of verbose answers: one entry, JSON with exact integers. */
export function verboseInfo(facts: Readonly<Record<string, unknown>>): Record<string, string> {
  return { info: Buffer.from(encodeExactJson(facts)).toString() };
}

/** The spec inside a containerd record's Any. */
export function specOf(any: { readonly value: Uint8Array } | null | undefined): unknown {
  return any ? parseExactJson(Buffer.from(any.value).toString()) : null;
}
