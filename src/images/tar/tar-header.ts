// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";

export const blockBytes = 512;

/** One 512-byte header as it is written; names are bytes, one character each ("latin1"). */
export interface RawHeader {
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  /** The type flag's character; "0" for the old NUL. */
  readonly flag: string;
  readonly linkName: string;
  readonly major: number;
  readonly minor: number;
  readonly isGnu: boolean;
  readonly block: Buffer;
}

/** Reads a header block; undefined for a block of zeros, which ends the archive. */
export function readHeader(block: Buffer): RawHeader | undefined {
  if (isZero(block)) return undefined;
  if (!checksumFits(block)) throw fault("INVALID_ARGUMENT", "not a tar archive: bad checksum");
  const magic = block.toString("latin1", 257, 265);
  const isPosix = magic.startsWith("ustar\0");
  const isGnu = magic === "ustar  \0";
  const isStar = isPosix && block.toString("latin1", 508, 512) === "tar\0";
  const prefix = isPosix ? text(block, 345, isStar ? 131 : 155) : "";
  const name = text(block, 0, 100);
  const flag = String.fromCodePoint(block[156] ?? 0);
  const hasDevice = isPosix || isGnu;
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    mode: number(block, 100, 8),
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtime: timeIn(block, 136, 12),
    flag: flag === "\0" ? "0" : flag,
    linkName: text(block, 157, 100),
    major: hasDevice ? number(block, 329, 8) : 0,
    minor: hasDevice ? number(block, 337, 8) : 0,
    isGnu,
    block,
  };
}

/** A NUL-terminated field, one character per byte. */
export function text(block: Buffer, start: number, length: number): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString("latin1", 0, end < 0 ? field.length : end);
}

/** A number field: octal digits, or big-endian two's complement when the top bit is set. */
export function number(block: Buffer, start: number, length: number): number {
  const first = block[start] ?? 0;
  if ((first & 0x80) !== 0) return base256(block.subarray(start, start + length));
  return plainOctal(block, start, start + length) ?? oddOctal(block, start, length);
}

/** A number field that is a time: 0 for what is none. No file is refused for its time. */
function timeIn(block: Buffer, start: number, length: number): number {
  try {
    return number(block, start, length);
  } catch {
    return 0;
  }
}

/** Octal digits to a NUL, a space or the field's end, as nearly all are written; undefined for what else there is. */
function plainOctal(block: Buffer, start: number, end: number): number | undefined {
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const byte = block[at] ?? 0;
    if (byte === 0 && at > start) return value;
    if (byte === 0x20 && at > start) return isOver(block, at, end) ? value : undefined;
    const digit = byte - 0x30;
    if (digit < 0 || digit > 7) return undefined;
    value = value * 8 + digit;
  }
  return value;
}

/** Whether there are only spaces before the NUL or the end. */
function isOver(block: Buffer, from: number, end: number): boolean {
  let at = from;
  while (at < end && block[at] === 0x20) at += 1;
  return at === end || block[at] === 0;
}

function oddOctal(block: Buffer, start: number, length: number): number {
  const digits = text(block, start, length).trim();
  if (digits === "") return 0;
  if (!/^[0-7]+$/.test(digits)) throw fault("INVALID_ARGUMENT", "bad number in a tar header");
  return Number.parseInt(digits, 8);
}

function base256(field: Buffer): number {
  let value = BigInt(`0x${field.toString("hex")}`) & ~(1n << BigInt(field.length * 8 - 1));
  const signBit = 1n << BigInt(field.length * 8 - 2);
  if ((value & signBit) !== 0n) value -= signBit << 1n;
  const result = Number(value);
  if (!Number.isSafeInteger(result)) {
    throw fault("INVALID_ARGUMENT", "number in a tar header is too large");
  }
  return result;
}

function isZero(block: Buffer): boolean {
  return block[0] === 0 && block.every((byte) => byte === 0);
}

// Old writers summed signed bytes, so either sum is accepted.
function checksumFits(block: Buffer): boolean {
  let sum = 0;
  for (let at = 0; at < blockBytes; at += 1) sum += block[at] ?? 0;
  // The sum's own field counts as spaces.
  for (let at = 148; at < 156; at += 1) sum += 0x20 - (block[at] ?? 0);
  let stated: number;
  try {
    stated = number(block, 148, 8);
  } catch {
    return false;
  }
  return stated === sum || stated === sum - 256 * highBytes(block);
}

/** How many bytes have their top bit set, but for the sum's. */
function highBytes(block: Buffer): number {
  let high = 0;
  for (let at = 0; at < blockBytes; at += 1) {
    if (at < 148 || at >= 156) high += (block[at] ?? 0) >> 7;
  }
  return high;
}
