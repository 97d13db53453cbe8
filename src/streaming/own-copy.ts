// SPDX-License-Identifier: Apache-2.0

/**
 * The piece itself, or a copy where it is a small part of the buffer that it is a view of: a few bytes that wait must
 * not keep the 64 KiB in memory with which the network delivered them.
 */
export function ownCopy(piece: Buffer): Buffer {
  if (piece.length * 4 >= piece.buffer.byteLength) return piece;
  const copy = Buffer.allocUnsafeSlow(piece.length); // never from Node's pool, which the copy would keep in memory
  piece.copy(copy);
  return copy;
}
