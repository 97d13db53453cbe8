// SPDX-License-Identifier: Apache-2.0

/**
 * The bytes in pieces, cut where other bytes say: for parsers that must not care. What is cut off next is as long
 * as the next of `lengths`, from the first again after the last; whole where there are none.
 */
export function pieces(bytes: Buffer, lengths: Buffer): Buffer[] {
  const cut: Buffer[] = [];
  let next = 0;
  for (let at = 0; at < bytes.length; ) {
    const length =
      lengths.length === 0 ? bytes.length : (lengths[next % lengths.length] ?? 0) * 3 + 1;
    cut.push(bytes.subarray(at, at + length));
    at += length;
    next += 1;
  }
  return cut;
}
