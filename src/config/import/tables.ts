// SPDX-License-Identifier: Apache-2.0
import { isRecord } from "../../base/is-record.ts";

/** A table of TOML that is being made. */
export type Table = Record<string, unknown>;

/** A document of one key. */
export function nested(key: readonly string[], value: unknown): Table {
  const document: Table = {};
  put(document, key, value);
  return document;
}

/** Sets a key; names that every object has are names like others. */
export function put(document: Table, key: readonly string[], value: unknown): void {
  let table = document;
  for (const part of key.slice(0, -1)) {
    const inner = Object.hasOwn(table, part) ? table[part] : undefined;
    const next: Table = isRecord(inner) ? inner : {};
    Object.defineProperty(table, part, {
      value: next,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    table = next;
  }
  const last = key.at(-1) ?? "";
  Object.defineProperty(table, last, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

export function at(document: Table, key: readonly string[]): unknown {
  let part: unknown = document;
  for (const name of key)
    part = isRecord(part) && Object.hasOwn(part, name) ? part[name] : undefined;
  return part;
}

export function remove(document: Table, key: readonly string[]): void {
  const table = at(document, key.slice(0, -1));
  if (isRecord(table)) delete table[key.at(-1) ?? ""];
}
