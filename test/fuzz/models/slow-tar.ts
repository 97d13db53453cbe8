// SPDX-License-Identifier: Apache-2.0

// tar, read a second time and otherwise: from a whole buffer, by positions, slowly. What both readers must agree on
// is in here in words of its own.

/** A member as both readers tell it. */
export interface PlainEntry {
  type: string;
  name: string;
  linkName: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  seconds: number;
  nanos: number;
  major: number;
  minor: number;
  /** Sorted `key=hex`. */
  xattrs: string[];
  dataOffset: number;
  storedBytes: number;
  /** Where bytes belong in the file, in order, with neighbours joined. */
  data: { position: number; hex: string }[];
  isWhole: boolean;
}

/** Adds bytes to those before, which they may follow at once. */
export function addData(data: PlainEntry["data"], position: number, bytes: Buffer): void {
  if (bytes.length === 0) return;
  const last = data.at(-1);
  const hex = bytes.toString("hex");
  if (last && last.position + last.hex.length / 2 === position) last.hex += hex;
  else data.push({ position, hex });
}

export class Bad extends Error {}

function bad(why: string): never {
  throw new Bad(why);
}

type Records = readonly (readonly [key: string, value: Buffer])[];

/** `told` gets the members. Returns once the archive is over; throws Bad. With `mend`, checksums are made right. */
export function slowTar(archive: Buffer, mend: boolean, told: PlainEntry[]): void {
  let at = 0;
  let isInside = false;
  let pax: Records = [];
  let long: string | undefined;
  let longLink: string | undefined;
  /** The next whole blocks; undefined where the archive ends before. */
  const take = (bytes: number): Buffer | undefined => {
    if (archive.length - at < bytes) return undefined;
    at += bytes;
    return archive.subarray(at - bytes, at);
  };
  for (;;) {
    if (at === archive.length && !isInside) return;
    const header = take(512) ?? bad("cut off in a header");
    if (header.every((byte) => byte === 0)) return;
    if (mend) mendChecksum(header);
    const sums = checksums(header);
    if (!sums.includes(numeric(header.subarray(148, 156)))) bad("checksum");
    isInside = true;
    const flag = String.fromCharCode(header[156] ?? 0);
    const raw = rawHeader(header);
    if ("xgVLK".includes(flag)) {
      if (raw.size < 0 || raw.size > 1024 * 1024) bad("long extension");
      const body = (take(blocks(raw.size)) ?? bad("cut off in an extension")).subarray(0, raw.size);
      if (flag === "x") pax = slowPax(body);
      if (flag === "L") long = untilNul(body);
      if (flag === "K") longLink = untilNul(body);
      continue;
    }
    const find = (key: string): Buffer | undefined => {
      const last = pax.findLast(([name]) => name === key)?.[1];
      return last !== undefined && last.length > 0 ? last : undefined;
    };
    const word = (key: string): string | undefined => {
      const value = find(key);
      if (value?.includes(0)) bad(`NUL in ${key}`);
      return value?.toString("latin1");
    };
    const count = (key: string): number | undefined => {
      const value = find(key);
      return value && whole(value.toString("latin1"));
    };
    // GNU's long names come before PAX's, as in Go; an empty one is none.
    const name = long !== undefined && long !== "" ? long : (word("path") ?? raw.name);
    // A file may be of the oldest kind, and contiguous, and sparse.
    const kinds = ["file", "hardlink", "symlink", "character", "block", "directory", "fifo"];
    let type = "\x007S".includes(flag) ? "file" : kinds["0123456".indexOf(flag)];
    if (type === undefined) bad("type");
    if (flag === "\0" && name.endsWith("/")) type = "directory";
    const stored = type === "file" ? (count("size") ?? raw.size) : 0;
    if (stored < 0) bad("negative size");
    let segments: [offset: number, length: number][] = [[0, stored]];
    let size = stored;
    let left = stored;
    if (type === "file") {
      const sparse =
        flag === "S" ? gnuSparse(header, take) : paxSparse(pax, word, count, stored, take);
      if (sparse !== undefined) {
        ({ segments, size } = sparse);
        left = stored - sparse.mapBytes;
        let end = 0;
        let total = 0;
        for (const [offset, length] of segments) {
          if (offset < end || length < 0 || offset + length > size) bad("segment");
          end = offset + length;
          total += length;
        }
        if (total !== left) bad("segments do not fit");
      }
    }
    const time = slowTime(find("mtime")) ?? { seconds: raw.mtime, nanos: 0 };
    const entry: PlainEntry = {
      type,
      name: word("GNU.sparse.name") ?? name,
      linkName:
        longLink !== undefined && longLink !== "" ? longLink : (word("linkpath") ?? raw.linkName),
      mode: raw.mode & 0o7777,
      uid: owner(find("uid")) ?? raw.uid,
      gid: owner(find("gid")) ?? raw.gid,
      size,
      ...time,
      major: raw.major,
      minor: raw.minor,
      xattrs: xattrs(pax),
      dataOffset: at,
      storedBytes: left,
      data: [],
      isWhole: false,
    };
    told.push(entry);
    for (const [offset, length] of segments) {
      const bytes = archive.subarray(at, at + length);
      at += bytes.length;
      addData(entry.data, offset, bytes);
      if (bytes.length < length) bad("cut off in a file");
    }
    entry.isWhole = true;
    // What fills the last block may be missing.
    at = Math.min(archive.length, at + blocks(stored) - stored);
    const isPadded = (at - entry.dataOffset + stored - left) % 512 === 0;
    if (!isPadded) return;
    isInside = false;
    pax = [];
    long = undefined;
    longLink = undefined;
  }
}

function blocks(bytes: number): number {
  return bytes + ((512 - (bytes % 512)) % 512);
}

/** Of unsigned bytes, and of signed ones. */
function checksums(header: Buffer): [number, number] {
  let unsigned = 8 * 0x20;
  let above = 0;
  for (const [at, byte] of header.entries()) {
    if (at >= 148 && at < 156) continue;
    unsigned += byte;
    if (byte >= 128) above += 1;
  }
  return [unsigned, unsigned - 256 * above];
}

function mendChecksum(header: Buffer): void {
  const [sum] = checksums(header);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}

function untilNul(field: Buffer): string {
  const text = field.toString("latin1");
  return text.split("\0", 1)[0] ?? "";
}

const blanks = "\t\n\v\f\r \u00A0";

function numeric(field: Buffer): number {
  const first = field[0] ?? 0;
  if (first >= 0x80) {
    const isNegative = (first & 0x40) !== 0;
    let value = BigInt(first & 0x7f) - (isNegative ? 128n : 0n);
    for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
    if (!Number.isSafeInteger(Number(value))) bad("number");
    return Number(value);
  }
  const chars = untilNul(field).split("");
  while (chars.length > 0 && blanks.includes(chars[0] ?? "")) chars.shift();
  while (chars.length > 0 && blanks.includes(chars.at(-1) ?? "")) chars.pop();
  let value = 0;
  for (const char of chars) {
    if (char < "0" || char > "7") bad("number");
    value = value * 8 + Number(char);
  }
  return value;
}

function timeField(field: Buffer): number {
  try {
    return numeric(field);
  } catch {
    return 0;
  }
}

function owner(value: Buffer | undefined): number | undefined {
  if (value === undefined) return undefined;
  const text = value.toString("latin1");
  return text[0] === "-" ? 0 - whole(text.slice(1)) : whole(text);
}

function rawHeader(header: Buffer): {
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: number;
  linkName: string;
  major: number;
  minor: number;
} {
  const at = (start: number, length: number): Buffer => header.subarray(start, start + length);
  const magic = at(257, 8).toString("latin1");
  const isUstar = magic.slice(0, 6) === "ustar\0";
  const isStar = isUstar && at(508, 4).toString("latin1") === "tar\0";
  const hasDevice = isUstar || magic === "ustar  \0";
  const prefix = isUstar ? untilNul(at(345, isStar ? 131 : 155)) : "";
  const name = untilNul(at(0, 100));
  return {
    name: prefix.length > 0 ? `${prefix}/${name}` : name,
    mode: numeric(at(100, 8)),
    uid: numeric(at(108, 8)),
    gid: numeric(at(116, 8)),
    size: numeric(at(124, 12)),
    mtime: timeField(at(136, 12)),
    linkName: untilNul(at(157, 100)),
    major: hasDevice ? numeric(at(329, 8)) : 0,
    minor: hasDevice ? numeric(at(337, 8)) : 0,
  };
}

/** Records one after another: how long they are, a blank, key, `=`, value, and a line's end. */
export function slowPax(body: Buffer): Records {
  const text = body.toString("latin1");
  const records: [string, Buffer][] = [];
  let rest = text;
  while (rest !== "" && rest[0] !== "\0") {
    let digits = "";
    while (digits.length < 10 && "0123456789".includes(rest[digits.length] ?? "x")) {
      digits += rest[digits.length];
    }
    if (digits === "" || digits.length > 9 || rest[digits.length] !== " ")
      bad("length of a record");
    const record = rest.slice(0, Number(digits));
    if (record.length !== Number(digits) || !record.endsWith("\n")) bad("record");
    const field = record.slice(digits.length + 1, -1);
    const equals = field.indexOf("=");
    // The blank may be all there is room for.
    if (record.length <= digits.length + 1 || equals < 0) bad("record without =");
    records.push([field.slice(0, equals), Buffer.from(field.slice(equals + 1), "latin1")]);
    rest = rest.slice(record.length);
  }
  return records;
}

export function whole(text: string): number {
  const isDigits =
    text.length > 0 && text.length <= 16 && Array.from(text).every((c) => c >= "0" && c <= "9");
  const value = isDigits ? BigInt(text) : -1n;
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) bad("number");
  return Number(value);
}

/** Seconds, which may have a fraction, of which nine digits count. Undefined for what is no time. */
export function slowTime(
  value: Buffer | undefined,
): { seconds: number; nanos: number } | undefined {
  if (value === undefined || value.length === 0) return undefined;
  const text = value.toString("latin1");
  const isNegative = text.startsWith("-");
  const unsigned = isNegative || text.startsWith("+") ? text.slice(1) : text;
  const [before = "", after = "", ...more] = unsigned.split(".");
  const isDigits = (part: string): boolean => Array.from(part).every((c) => c >= "0" && c <= "9");
  if (before === "" || more.length > 0 || !isDigits(before) || !isDigits(after)) return undefined;
  const most = Number.MAX_SAFE_INTEGER;
  if (BigInt(before) > BigInt(most)) return { seconds: isNegative ? -most : most, nanos: 0 };
  const whole = BigInt(before) * 1_000_000_000n + BigInt(after.slice(0, 9).padEnd(9, "0"));
  const nanos = isNegative ? -whole : whole;
  const rest = ((nanos % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { seconds: Number((nanos - rest) / 1_000_000_000n), nanos: Number(rest) };
}

function xattrs(pax: Records): string[] {
  const found = new Map<string, string>();
  for (const [key, value] of pax) {
    const [first, second, ...name] = key.split(".");
    if (first !== "SCHILY" || second !== "xattr" || key.split(".").length < 3) continue;
    found.set(name.join("."), value.toString("hex"));
  }
  return [...found].map(([key, value]) => `${key}=${value}`).toSorted((a, b) => (a < b ? -1 : 1));
}

interface Sparse {
  segments: [number, number][];
  size: number;
  mapBytes: number;
}

type Take = (bytes: number) => Buffer | undefined;

function gnuSparse(header: Buffer, take: Take): Sparse {
  const segments: [number, number][] = [];
  const collect = (block: Buffer, start: number, most: number): void => {
    for (let index = 0; index < most; index += 1) {
      const at = start + 24 * index;
      if (block[at] === 0) return;
      segments.push([
        numeric(block.subarray(at, at + 12)),
        numeric(block.subarray(at + 12, at + 24)),
      ]);
    }
  };
  collect(header, 386, 4);
  for (let more = header[482] === 1; more; ) {
    const block = take(512) ?? bad("cut off in a map");
    collect(block, 0, 21);
    more = block[504] === 1;
  }
  return { segments, size: numeric(header.subarray(483, 495)), mapBytes: 0 };
}

function paxSparse(
  pax: Records,
  word: (key: string) => string | undefined,
  count: (key: string) => number | undefined,
  stored: number,
  take: Take,
): Sparse | undefined {
  if (word("GNU.sparse.major") === "1") {
    return { ...mapInData(stored, take), size: count("GNU.sparse.realsize") ?? 0 };
  }
  const size = count("GNU.sparse.size");
  if (size === undefined) return undefined;
  const map = word("GNU.sparse.map");
  const numbers = map
    ? map.split(",").map(whole)
    : pax.flatMap(([key, value]) =>
        ["GNU.sparse.offset", "GNU.sparse.numbytes"].includes(key)
          ? [whole(value.toString("latin1"))]
          : [],
      );
  return { segments: pairsOf(numbers), size, mapBytes: 0 };
}

function mapInData(stored: number, take: Take): Omit<Sparse, "size"> {
  let text = "";
  for (let mapBytes = 512; mapBytes <= blocks(stored); mapBytes += 512) {
    text += (take(512) ?? bad("cut off in a map")).toString("latin1");
    const lines = text.split("\n");
    if ((lines.pop() ?? "").length > 512) bad("line of a map");
    if (lines.length === 0) continue;
    const wanted = 1 + 2 * whole(lines[0] ?? "");
    if (wanted > 2_000_001) bad("too many segments");
    const numbers = lines.slice(0, wanted).map(whole);
    if (numbers.length === wanted) return { segments: pairsOf(numbers.slice(1)), mapBytes };
  }
  return bad("cut off in a map");
}

function pairsOf(numbers: readonly number[]): [number, number][] {
  if (numbers.length % 2 !== 0) bad("odd map");
  return numbers.flatMap((value, at) =>
    at % 2 === 0 ? [[value, numbers[at + 1] ?? 0] as [number, number]] : [],
  );
}
