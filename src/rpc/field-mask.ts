// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";

/**
 * A map after an update: `PATH` in the mask replaces it whole, `PATH.KEY` one of its entries (which
 * goes when the update has none). Undefined when the mask does not speak of the map.
 */
export function maskedMap<V>(
  path: string,
  mask: readonly string[],
  before: Readonly<Record<string, V>>,
  update: Readonly<Record<string, V>>,
): Record<string, V> | undefined {
  if (mask.includes(path)) return { ...update };
  const keys = mask
    .filter((one) => one.startsWith(`${path}.`))
    .map((one) => one.slice(path.length + 1));
  if (keys.length === 0) return undefined;
  const after = new Map(Object.entries(before));
  for (const key of keys) {
    const value = Object.hasOwn(update, key) ? update[key] : undefined;
    if (value === undefined) after.delete(key);
    else after.set(key, value);
  }
  return Object.fromEntries(after);
}

/** INVALID_ARGUMENT for a mask with a path that is neither among `plain` nor inside one of `maps`. */
export function checkMask(
  what: string,
  mask: readonly string[],
  plain: readonly string[],
  maps: readonly string[],
): void {
  for (const path of mask) {
    const isKnown =
      plain.includes(path) || maps.some((map) => path === map || path.startsWith(`${map}.`));
    if (!isKnown)
      throw fault("INVALID_ARGUMENT", `cannot update ${what}: field "${path}" is unknown or fixed`);
  }
}

/** containerd's rule for labels: key and value together at most 4096 bytes. */
export function checkLabels(what: string, labels: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(labels)) {
    const bytes = Buffer.byteLength(key) + Buffer.byteLength(value);
    if (bytes <= 4096) continue;
    throw fault(
      "INVALID_ARGUMENT",
      `label "${key.slice(0, 64)}" of ${what} is too long: ${bytes} bytes with its value, the limit is 4096`,
    );
  }
}
