// SPDX-License-Identifier: Apache-2.0

/** True for a plain object of JSON. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
