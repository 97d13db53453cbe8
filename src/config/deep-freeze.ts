// SPDX-License-Identifier: Apache-2.0

/** Freezes a tree of plain objects and arrays, copying it first so that the caller's stays as it is. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return Object.freeze(value.map(deepFreeze)) as T;
  const entries = Object.entries(value).map(([key, part]) => [key, deepFreeze(part)] as const);
  return Object.freeze(Object.fromEntries(entries)) as T;
}
