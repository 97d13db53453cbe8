// SPDX-License-Identifier: Apache-2.0
import { isIP } from "node:net";

/** Addresses from one to another, both included. */
export interface Span {
  readonly family: 4 | 6;
  readonly from: bigint;
  readonly to: bigint;
}

export interface Block extends Span {
  readonly prefix: number;
}

/** undefined where the text is no address with a prefix. */
export function blockOf(text: string): Block | undefined {
  const [, address = "", length = ""] = /^([0-9a-f:.]+)\/(\d{1,3})$/i.exec(text) ?? [];
  const value = addressOf(address);
  const prefix = Number(length);
  if (value === undefined) return undefined;
  const family = isIP(address) === 4 ? 4 : 6;
  const bits = (family === 4 ? 32 : 128) - prefix;
  if (bits < 0) return undefined;
  const size = 1n << BigInt(bits);
  const from = value - (value % size);
  return { family, prefix, from, to: from + size - 1n };
}

/** undefined where the text is no address. */
export function addressOf(text: string): bigint | undefined {
  const kind = isIP(text);
  if (kind === 4) return joined(text.split(".").map(Number), 8n);
  if (kind !== 6 || text.includes("%")) return undefined;
  // The URL's form has hexadecimal groups alone.
  const short = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [head = "", tail] = short.split("::");
  const groups = (part: string) =>
    (part === "" ? [] : part.split(":")).map((one) => parseInt(one, 16));
  const [first, last] = [groups(head), groups(tail ?? "")];
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => 0);
  return joined([...first, ...zeros, ...last], 16n);
}

/** Whether two have an address in common. */
export function areShared(one: Span, other: Span): boolean {
  return one.family === other.family && one.from <= other.to && other.from <= one.to;
}

function joined(parts: readonly number[], bits: bigint): bigint {
  return parts.reduce((value, part) => (value << bits) | BigInt(part), 0n);
}
