// SPDX-License-Identifier: Apache-2.0

/** Inputs for what takes its values from bytes: `count` of them, each `length` bytes of all values in another order. */
export function mixedSeeds(count: number, length: number): Buffer[] {
  return Array.from({ length: count }, (_, salt) =>
    Buffer.from(Array.from({ length }, (__, at) => ((at + 1) * (37 + 2 * salt) + salt * 11) & 255)),
  );
}
