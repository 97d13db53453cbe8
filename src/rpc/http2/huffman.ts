// SPDX-License-Identifier: Apache-2.0

/**
 * How many bits each byte has, and at last the end, in HPACK's Huffman code (RFC 7541, appendix B), as runs: a number of
 * bits, and how many bytes in turn have it. The code is canonical: these say all of it.
 */
const runs =
  "13 1 23 1 28 7 24 1 30 1 28 2 30 1 28 8 30 1 28 9 6 1 10 2 12 1 13 1 6 1 8 1 11 1 10 2 8 1 11 1 8 1 6 3 5 3 6 7 7 1 8 1 15 1 6 1 12 1 10 1 13 1 6 1 7 22 8 1 7 1 8 1 13 1 19 1 13 1 14 1 6 1 15 1 5 1 6 1 5 1 6 1 5 1 6 3 5 1 7 2 6 3 5 1 6 1 7 1 6 1 5 2 6 1 7 5 15 1 11 1 14 1 13 1 28 1 20 1 22 1 20 2 22 3 23 1 22 1 23 5 24 1 23 1 24 2 22 1 23 1 24 1 23 4 21 1 22 1 23 1 22 1 23 2 24 1 22 1 21 1 20 1 22 2 23 2 21 1 23 1 22 2 24 1 21 1 22 1 23 2 21 2 22 1 21 1 23 1 22 1 23 2 20 1 22 3 23 1 22 2 23 1 26 2 20 1 19 1 22 1 23 1 22 1 25 1 26 3 27 2 26 1 24 1 25 1 19 1 21 1 26 1 27 2 26 1 27 1 24 1 21 2 26 2 28 1 27 3 20 1 24 1 20 1 21 1 22 1 21 2 23 1 22 2 25 2 24 2 26 1 23 1 26 1 27 1 26 2 27 5 28 1 27 5 26 1 30 1";

const longestCode = 30;
const endSymbol = 256;

/** Of codes with a length: the first of them, how many there are, and where their symbols begin. */
interface Codes {
  readonly first: number;
  readonly count: number;
  readonly from: number;
}

interface Table {
  readonly byLength: readonly Codes[];
  /** By length of code, then by value. */
  readonly symbols: readonly number[];
}

let table: Table | undefined;

/** The text, a character a byte, that a Huffman-coded string of HPACK stands for. Throws over a code that there is not. */
export function decodeHuffman(bytes: Uint8Array): string {
  const { byLength, symbols } = (table ??= makeTable());
  let text = "";
  let code = 0;
  let length = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1);
      length += 1;
      const codes = byLength[length];
      if (codes === undefined) throw new Error("a header's text has no such code");
      const at = code - codes.first;
      if (at >= codes.count) continue;
      const symbol = symbols[codes.from + at] ?? endSymbol;
      if (symbol === endSymbol) throw new Error("a header's text has an end within");
      text += String.fromCharCode(symbol);
      code = 0;
      length = 0;
    }
  }
  // What is left of the last byte are ones, of which the end's code has thirty.
  if (length > 7 || code !== 2 ** length - 1) throw new Error("a header's text ends within a code");
  return text;
}

function makeTable(): Table {
  const numbers = runs.split(" ").map(Number);
  const lengths: number[] = [];
  for (let i = 0; i < numbers.length; i += 2) {
    for (let n = numbers[i + 1] ?? 0; n > 0; n--) lengths.push(numbers[i] ?? 0);
  }
  const byLength: Codes[] = [];
  const symbols: number[] = [];
  let next = 0;
  for (let length = 0; length <= longestCode; length++) {
    const from = symbols.length;
    lengths.forEach((its, symbol) => its === length && symbols.push(symbol));
    const count = symbols.length - from;
    byLength.push({ first: next, count, from });
    next = (next + count) * 2;
  }
  return { byLength, symbols };
}
