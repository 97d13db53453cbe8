// SPDX-License-Identifier: Apache-2.0
import { crc32 } from "node:zlib";

/**
 * True for one input in `times`, by all of its bytes: for what takes long, which changes of an input must not
 * inherit. Otherwise the search comes to new places with it, and stays there.
 */
export function isSeldom(input: Buffer, times: number): boolean {
  return crc32(input) % times === 0;
}

/** `input` as one of those, by what is put behind it: a text of `letters`, two that say nothing there. */
export function madeSeldom(
  input: Buffer,
  times: number,
  letters: readonly [string, string],
): Buffer {
  for (let number = 0; ; number += 1) {
    const tail = number.toString(2).replaceAll(/\d/g, (digit) => letters[Number(digit)] ?? "");
    const longer = Buffer.concat([input, Buffer.from(tail)]);
    if (isSeldom(longer, times)) return longer;
  }
}
