// SPDX-License-Identifier: Apache-2.0
import type { OciLinuxResources, OciSpec } from "./spec.ts";

// TypeScript's library does not describe these two yet; Node has had both since 22.
const { rawJSON: rawJson } = JSON as unknown as { rawJSON: (text: string) => unknown };
type SourceReviver = (key: string, value: unknown, context: { source?: string }) => unknown;
const parseJson = JSON.parse as (text: string, reviver: SourceReviver) => unknown;

/** The bytes of config.json. A bigint is written as the integer it is, which JSON.stringify cannot do. */
export function encodeOciSpec(spec: OciSpec): Uint8Array {
  return Buffer.from(stringify(spec));
}

/** The JSON of a task Update's resources. */
export function encodeOciResources(resources: OciLinuxResources): Uint8Array {
  return Buffer.from(stringify(resources));
}

/** The bytes of any OCI JSON, an exec's process or a caller's resources: bigints come out as integers. */
export function encodeExactJson(value: unknown): Uint8Array {
  return Buffer.from(stringify(value));
}

/** Parses JSON and keeps integers that a number cannot hold as bigint. Throws SyntaxError. */
export function parseExactJson(text: string): unknown {
  // A reviver is asked for each value. Without that many digits in a row there is no such integer.
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return parseJson(text, (_key, value, context) => {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    const source = context.source ?? "";
    return /^-?\d+$/.test(source) ? BigInt(source) : value;
  });
}

/** A 64-bit quantity as the spec carries it: a number while that is exact. */
export function ociInteger(value: bigint): number | bigint {
  const narrow = Number(value);
  return Number.isSafeInteger(narrow) ? narrow : value;
}

function stringify(value: unknown): string {
  return JSON.stringify(value, (_key, field: unknown) =>
    typeof field === "bigint" ? rawJson(field.toString()) : field,
  );
}
