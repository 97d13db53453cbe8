// SPDX-License-Identifier: Apache-2.0
import { splitNanos } from "../../base/nanos.ts";
import { blockBytes } from "./tar-header.ts";
import type { TarEntry, TarType } from "./tar-reader.ts";

/** A member to be written; names are bytes, one character each. */
export type NewTarEntry = Omit<TarEntry, "dataOffset" | "storedBytes">;

/** An empty member of root's, for others to be made from by overriding its fields. */
export const plainMember = {
  linkName: "",
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: { seconds: 0, nanos: 0 },
  major: 0,
  minor: 0,
  xattrs: new Map<string, Buffer>(),
} as const;

const flags: Readonly<Record<TarType, string>> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};
const maxShortName = 100;
const maxOctal7 = 0o7777777;
const maxOctal11 = 0o77777777777;

/** The end of an archive. */
export const tarEnd: Buffer = Buffer.alloc(2 * blockBytes);

/**
 * How long names are written: in PAX headers, as tars do since 2001, or as GNU's tar did before, for small tars that
 * skip PAX. Then there are no attributes, and times are whole seconds.
 */
export type LongNames = "pax" | "gnu";

/**
 * The header of a member: ustar, after others where that is too small. The content follows, and then
 * `tarPadding`.
 */
export function tarHeader(entry: NewTarEntry, longNames: LongNames = "pax"): Buffer {
  const own = block(entry, flags[entry.type], longNames);
  if (longNames === "gnu") {
    return Buffer.concat([...gnuLong("L", entry.name), ...gnuLong("K", entry.linkName), own]);
  }
  const records = paxRecords(entry);
  if (records.length === 0) return own;
  const body = Buffer.concat(records);
  const pax: NewTarEntry = { ...entry, ...paxMember, size: body.length };
  return Buffer.concat([block(pax, "x", "pax"), body, tarPadding(body.length), own]);
}

function gnuLong(flag: "L" | "K", name: string): Buffer[] {
  if (name.length <= maxShortName) return [];
  const body = Buffer.from(`${name}\0`, "latin1");
  const header: NewTarEntry = { ...gnuMember, size: body.length };
  return [block(header, flag, "gnu"), body, tarPadding(body.length)];
}

/** A time in nanoseconds since 1970, as a member has it. */
export function tarTime(nanos: bigint): NewTarEntry["mtime"] {
  const split = splitNanos(nanos);
  return { ...split, seconds: Number(split.seconds) };
}

/** What fills a content of that length up to whole blocks. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
}

const gnuMember = { ...plainMember, type: "file", name: "././@LongLink" } as const;
const paxMember = { name: "PaxHeaders/member", linkName: "", mode: 0o644, uid: 0, gid: 0 } as const;

function paxRecords(entry: NewTarEntry): Buffer[] {
  const { name, linkName, mtime } = entry;
  const records: Buffer[] = [];
  const add = (key: string, value: Buffer): void => void records.push(paxRecord(key, value));
  if (!isShort(name)) add("path", Buffer.from(name, "latin1"));
  if (!isShort(linkName)) add("linkpath", Buffer.from(linkName, "latin1"));
  if (entry.size > maxOctal11) add("size", Buffer.from(String(entry.size)));
  if (entry.uid > maxOctal7) add("uid", Buffer.from(String(entry.uid)));
  if (entry.gid > maxOctal7) add("gid", Buffer.from(String(entry.gid)));
  if (mtime.nanos !== 0 || mtime.seconds < 0 || mtime.seconds > maxOctal11) {
    add("mtime", Buffer.from(timeText(mtime)));
  }
  for (const [key, value] of entry.xattrs) add(`SCHILY.xattr.${key}`, value);
  return records;
}

/** `LENGTH key=value\n`, where the length counts its own digits. */
function paxRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, "latin1"), value, Buffer.from("\n")]);
  let length = rest.length;
  while (length !== rest.length + String(length).length) {
    length = rest.length + String(length).length;
  }
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function timeText({ seconds, nanos }: NewTarEntry["mtime"]): string {
  if (seconds >= 0) return `${seconds}.${String(nanos).padStart(9, "0")}`;
  if (nanos === 0) return String(seconds);
  const whole = -(seconds + 1); // −1.25 s is second −2 and 750 million nanoseconds
  return `-${whole}.${String(1e9 - nanos).padStart(9, "0")}`;
}

function block(entry: NewTarEntry, flag: string, longNames: LongNames): Buffer {
  const header = Buffer.alloc(blockBytes);
  header.write(entry.name.slice(0, maxShortName), 0, "latin1");
  octal(header, 100, 8, entry.mode & 0o7777);
  const large = longNames === "gnu" ? base256 : most;
  large(header, 108, 8, entry.uid);
  large(header, 116, 8, entry.gid);
  large(header, 124, 12, entry.size);
  octal(header, 136, 12, Math.min(Math.max(entry.mtime.seconds, 0), maxOctal11));
  header.write(flag, 156, "latin1");
  header.write(entry.linkName.slice(0, maxShortName), 157, "latin1");
  header.write("ustar\x0000", 257, "latin1");
  octal(header, 329, 8, entry.major);
  octal(header, 337, 8, entry.minor);
  header.fill(" ", 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}

/** As many digits as fit; a PAX record has the number itself. */
function most(header: Buffer, at: number, length: number, value: number): void {
  octal(header, at, length, Math.min(value, 8 ** (length - 1) - 1));
}

/** GNU's way: the bytes of the number where its digits do not fit. */
function base256(header: Buffer, at: number, length: number, value: number): void {
  if (value < 8 ** (length - 1)) return octal(header, at, length, value);
  header[at] = 0x80;
  header[at + length - 7] = Math.floor(value / 2 ** 48); // no more than five bits
  header.writeUIntBE(value % 2 ** 48, at + length - 6, 6);
}

function octal(header: Buffer, at: number, length: number, value: number): void {
  header.write(value.toString(8).padStart(length - 1, "0"), at, "latin1");
}

function isShort(name: string): boolean {
  // Readers take plain names for whatever they like, so only ASCII goes without a PAX record.
  return name.length <= maxShortName && /^[\x20-\x7e]*$/.test(name);
}
