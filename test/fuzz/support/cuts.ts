// SPDX-License-Identifier: Apache-2.0

/** An input of a parser of streams: what is sent, and in which pieces. Its last two bytes choose the cuts. */
export function sentInPieces(input: Buffer): { readonly bytes: Buffer; readonly pieces: Buffer[] } {
  const bytes = input.subarray(0, Math.max(0, input.length - 2));
  const seed = input.length < 2 ? 0 : input.readUInt16BE(input.length - 2);
  return { bytes, pieces: cutBySeed(bytes, seed) };
}

/** `bytes` in pieces, copied: 0 leaves them whole, 1 cuts every byte off, others cut unevenly. */
function cutBySeed(bytes: Buffer, seed: number): Buffer[] {
  if (seed === 0) return [Buffer.from(bytes)];
  const longest = seed === 1 ? 1 : 1 + 2 ** (seed % 11);
  const pieces: Buffer[] = [];
  let state = seed;
  for (let at = 0; at < bytes.length; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const end = at + 1 + ((state >>> 8) % longest);
    pieces.push(Buffer.from(bytes.subarray(at, end)));
    at = end;
  }
  return pieces;
}

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
