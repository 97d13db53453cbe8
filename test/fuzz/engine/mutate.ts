// SPDX-License-Identifier: Apache-2.0
import type { Pair } from "./coverage.ts";
import type { Random } from "./random.ts";

export interface MutationTools {
  readonly random: Random;
  readonly maxBytes: number;
  /** Texts ("latin1") that mean something, the target's own and those of the code. */
  readonly words: readonly string[];
  /** Some other input. */
  readonly other: () => Buffer;
  /** What the code compared when it ran the input. */
  readonly pairs: readonly Pair[];
}

type Mutation = (input: Buffer, tools: MutationTools) => Buffer;

/** Another input, made of this one by one change or a few. The input stays as it is. */
export function mutate(input: Buffer, tools: MutationTools): Buffer {
  const { random, maxBytes } = tools;
  let made = input;
  const changes = random.oneIn(2) ? 1 : 1 + random.below(6);
  for (let change = 0; change < changes; change += 1) {
    const isGuided = tools.pairs.length > 0 && random.oneIn(4);
    made = isGuided ? takeCompared(made, tools) : random.pick(mutations)(made, tools);
  }
  return made.length > maxBytes ? made.subarray(0, maxBytes) : made;
}

const mutations: readonly [Mutation, ...Mutation[]] = [
  flipBit,
  setByte,
  setByte,
  changeNumber,
  changeDigits,
  changeDigits,
  insertBytes,
  removeRange,
  removeRange,
  repeatRange,
  moveRange,
  useWord,
  useWord,
  useWord,
  crossOver,
  crossOver,
  cutOff,
];

/** Puts bytes in place of `removed` bytes at `at`. */
function splice(input: Buffer, at: number, removed: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([input.subarray(0, at), bytes, input.subarray(at + removed)]);
}

/** A range of the input; short ones are likelier. */
function range(input: Buffer, random: Random): { start: number; length: number } {
  const start = random.below(input.length);
  const most = input.length - start;
  const length = 1 + random.below(random.oneIn(3) ? most : Math.min(most, 16));
  return { start, length: Math.min(length, most) };
}

function flipBit(input: Buffer, { random }: MutationTools): Buffer {
  if (input.length === 0) return input;
  const made = Buffer.from(input);
  const at = random.below(made.length);
  made[at] = (made[at] ?? 0) ^ (1 << random.below(8));
  return made;
}

const tellingBytes = [0, 1, 0x0a, 0x0d, 0x20, 0x22, 0x2f, 0x30, 0x39, 0x5c, 0x7f, 0x80, 0xfe, 0xff];

function setByte(input: Buffer, { random }: MutationTools): Buffer {
  if (input.length === 0) return input;
  const made = Buffer.from(input);
  made[random.below(made.length)] = random.oneIn(2)
    ? (random.pick(tellingBytes) ?? 0)
    : random.below(256);
  return made;
}

const tellingNumbers = [0, 1, -1, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2 ** 31 - 1];

/** A binary number of 1, 2, 4 or 8 bytes, either way round. */
function changeNumber(input: Buffer, { random }: MutationTools): Buffer {
  const bytes = random.pick([1, 2, 4, 8]);
  if (input.length < bytes) return input;
  const made = Buffer.from(input);
  const at = random.below(made.length - bytes + 1);
  const isLittle = random.oneIn(2);
  const field = made.subarray(at, at + bytes);
  if (isLittle) field.reverse();
  let value = BigInt(`0x${field.toString("hex")}`);
  if (random.oneIn(2)) value += BigInt(random.below(33) - 16);
  else value = BigInt(random.pick(tellingNumbers) ?? 0) + BigInt(random.below(3) - 1);
  writeBig(field, value);
  if (isLittle) field.reverse();
  return made;
}

function writeBig(field: Buffer, value: bigint): void {
  const hex = BigInt.asUintN(field.length * 8, value).toString(16);
  Buffer.from(hex.padStart(field.length * 2, "0"), "hex").copy(field);
}

const tellingDigits = [
  "0",
  "1",
  "-1",
  "00",
  "7",
  "8",
  "9",
  "10",
  "16",
  "64",
  "100",
  "127",
  "128",
  "255",
  "256",
  "512",
  "1000",
  "1024",
  "4096",
  "65535",
  "65536",
  "99999",
  "1000000",
  "2147483647",
  "2147483648",
  "4294967295",
  "4294967296",
  "9007199254740991",
  "9007199254740992",
  "18446744073709551615",
  "1e9",
  "0x10",
  "077",
  "1.5",
];

/** A number that stands there in digits. */
function changeDigits(input: Buffer, { random }: MutationTools): Buffer {
  if (input.length === 0) return input;
  const isDigit = (at: number): boolean => (input[at] ?? 0) >= 0x30 && (input[at] ?? 0) <= 0x39;
  let start = random.below(input.length);
  for (let tried = 0; tried < 512 && !isDigit(start); tried += 1)
    start = (start + 1) % input.length;
  if (!isDigit(start)) return input;
  while (start > 0 && isDigit(start - 1)) start -= 1;
  let end = start;
  while (end < input.length && end < start + 20 && isDigit(end)) end += 1;
  const value = Number(input.toString("latin1", start, end));
  const other = random.oneIn(2)
    ? String(Math.max(0, value + random.below(17) - 8))
    : (random.pick(tellingDigits) ?? "0");
  // In fields of fixed length, as in tar, a number keeps its length.
  const text = random.oneIn(2) ? other.padStart(end - start, "0") : other;
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length > end - start && random.oneIn(2))
    return splice(input, start, bytes.length, bytes);
  return splice(input, start, end - start, bytes);
}

function insertBytes(input: Buffer, { random }: MutationTools): Buffer {
  const at = random.below(input.length + 1);
  const length = random.oneIn(8) ? 1 + random.below(512) : 1 + random.below(8);
  const bytes = Buffer.alloc(length, random.below(256));
  if (random.oneIn(2))
    for (let index = 0; index < length; index += 1) bytes[index] = random.below(256);
  return splice(input, at, 0, bytes);
}

function removeRange(input: Buffer, { random }: MutationTools): Buffer {
  if (input.length === 0) return input;
  const { start, length } = range(input, random);
  return splice(input, start, length, Buffer.alloc(0));
}

/** Once more, or very often: what takes time by the square shows so. */
function repeatRange(input: Buffer, { random, maxBytes }: MutationTools): Buffer {
  if (input.length === 0) return input;
  const { start, length } = range(input, random);
  const piece = input.subarray(start, start + length);
  const room = Math.max(0, maxBytes - input.length);
  const times = random.oneIn(8) ? Math.floor(room / length) : 1 + random.below(3);
  const bytes = Buffer.alloc(Math.min(times * length, room));
  if (bytes.length > 0) bytes.fill(piece);
  return splice(input, start + length, 0, bytes);
}

function moveRange(input: Buffer, { random }: MutationTools): Buffer {
  if (input.length === 0) return input;
  const { start, length } = range(input, random);
  const piece = Buffer.from(input.subarray(start, start + length));
  const to = random.below(input.length);
  if (random.oneIn(2)) return splice(input, to, length, piece);
  const rest = splice(input, start, length, Buffer.alloc(0));
  return splice(rest, random.below(rest.length + 1), 0, piece);
}

function useWord(input: Buffer, tools: MutationTools): Buffer {
  const { random, words } = tools;
  const word = random.pick(words);
  if (word === undefined) return insertBytes(input, tools);
  const bytes = Buffer.from(word, "latin1");
  const at = random.below(input.length + 1);
  return splice(input, at, random.oneIn(2) ? bytes.length : 0, bytes);
}

function crossOver(input: Buffer, { random, other }: MutationTools): Buffer {
  const second = other();
  if (second.length === 0) return input;
  if (random.oneIn(2)) {
    return Buffer.concat([
      input.subarray(0, random.below(input.length + 1)),
      second.subarray(random.below(second.length)),
    ]);
  }
  const { start, length } = range(second, random);
  const piece = second.subarray(start, start + length);
  return splice(input, random.below(input.length + 1), random.oneIn(2) ? length : 0, piece);
}

function cutOff(input: Buffer, { random }: MutationTools): Buffer {
  return input.subarray(0, random.below(input.length + 1));
}

/** One side of a comparison stands in the input: it gets the other, or one more or less. */
function takeCompared(input: Buffer, { random, pairs }: MutationTools): Buffer {
  const pair = random.pick(pairs);
  if (pair === undefined) return input;
  const isTurned = random.oneIn(2);
  const [from, to] = isTurned ? [pair[1], pair[0]] : pair;
  if (typeof from === "string" || typeof to === "string") {
    return substitute(input, Buffer.from(String(from)), Buffer.from(String(to)), random);
  }
  const wanted = to + random.below(3) - 1;
  const asBytes = (value: number, bytes: number): Buffer => {
    const field = Buffer.alloc(bytes);
    writeBig(field, BigInt(Math.trunc(value)));
    return field;
  };
  const bytes = random.pick([1, 2, 4, 8]);
  const ways: readonly [(value: number) => Buffer, ...((value: number) => Buffer)[]] = [
    (value) => Buffer.from(String(value)),
    (value) => Buffer.from(Math.abs(value).toString(8)),
    (value) => Buffer.from(Math.abs(value).toString(16)),
    (value) => asBytes(value, bytes),
    (value) => asBytes(value, bytes).reverse(),
  ];
  const way = random.pick(ways);
  return substitute(input, way(from), way(wanted), random);
}

function substitute(input: Buffer, from: Buffer, to: Buffer, random: Random): Buffer {
  if (from.length === 0) return splice(input, random.below(input.length + 1), 0, to);
  const found = input.indexOf(from, random.below(input.length));
  const at = found >= 0 ? found : input.indexOf(from);
  if (at < 0) return input;
  return splice(input, at, from.length, to);
}
