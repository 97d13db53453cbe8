// SPDX-License-Identifier: Apache-2.0
import { crc32 } from "node:zlib";

/** Undefined for what is no JSON, and for what is not there. */
export type Json =
  | undefined
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json };

export function json(bytes: Buffer): Json {
  try {
    return JSON.parse(bytes.toString("utf8")) as Json;
  } catch {
    return undefined;
  }
}

/** What stands at a path; undefined where there is nothing of its own. */
export function member(value: Json, ...path: readonly (string | number)[]): Json {
  let at = value;
  for (const name of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string | number, Json>)[name];
  }
  return at;
}

/** A field as Go reads it: the last that is not null and has the name, in any case. */
export function goField(value: Json, ...path: readonly string[]): Json {
  let at = value;
  for (const name of path) {
    if (typeof at !== "object" || at === null || Array.isArray(at)) return undefined;
    at = Object.entries(at).findLast(
      ([key, one]) => one !== null && goFolded(key) === name.toLowerCase(),
    )?.[1];
  }
  return at;
}

/** As Go folds names: what is no ASCII letter stays, but for the long s and the Kelvin sign. */
export function goFolded(key: string): string {
  const plain = key.replaceAll("\u017f", "s").replaceAll("\u212a", "k");
  return plain.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** A list of texts as Go reads it, in which null is ""; undefined for what is none. */
export function goTextList(value: Json): string[] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return undefined;
  const texts = value.map((one: Json) => one ?? "");
  return texts.every((one) => typeof one === "string") ? texts : undefined;
}

const most = 25_000;
/** Of the changes of a document with long lists only so many have them too: each takes a hundred times as long. */
const oneIn = 32;

/**
 * A document in which `"×N"` after an element of a list stands for so many of that element in all: what is too
 * many of something is too long for an input. As it is where it is no JSON.
 */
export function repeatedList(bytes: Buffer): Buffer {
  if (!bytes.includes("×") || crc32(bytes) % oneIn !== 0) return bytes;
  let room = most;
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"), (_key, at: unknown) => {
      if (!Array.isArray(at)) return at;
      const times = /^×(\d{1,5})$/.exec(String(at[1]))?.[1];
      if (times === undefined) return at;
      const count = Math.min(Number(times), room);
      room -= count;
      return [...Array.from({ length: count }, () => at[0] as unknown), ...at.slice(2)];
    });
    return Buffer.from(JSON.stringify(value));
  } catch {
    return bytes;
  }
}

/** A document whose lists are repeated for certain. */
export function repeated(document: object): Buffer {
  let bytes = Buffer.from(JSON.stringify(document));
  while (crc32(bytes) % oneIn !== 0) bytes = Buffer.concat([bytes, Buffer.from(" ")]);
  return bytes;
}
