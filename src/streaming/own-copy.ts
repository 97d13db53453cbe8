// SPDX-License-Identifier: Apache-2.0

/**
 * A piece that may have to wait, or a copy of it where it is a small part of what it is a view of: a byte that
 * waits must not keep the 64 KiB in memory with which the network brought it.
 */
export function ownCopy(piece: Buffer): Buffer {
  if (piece.length * 4 >= piece.buffer.byteLength) return piece;
  const copy = Buffer.allocUnsafeSlow(piece.length); // what comes from Node's pool keeps the pool
  piece.copy(copy);
  return copy;
}
