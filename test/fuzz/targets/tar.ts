// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type TarEntry, TarReader } from "../../../src/images/tar/tar-reader.ts";
import {
  type LongNames,
  tarEnd,
  tarHeader,
  tarPadding,
} from "../../../src/images/tar/tar-writer.ts";
import { paxBytes, type RawMember, tarBytes } from "../../support/tar-bytes.ts";
import { addData, Bad, type PlainEntry, slowTar } from "../models/slow-tar.ts";
import { pieces } from "../support/cuts.ts";
import { type FuzzTarget, refused } from "../target.ts";

// An input is an archive, and before it two bytes: the first, when odd, makes the checksums right, without which
// no change of a header would come any further; the second and those after it say where to cut.

const cutBytes = 3;

export const target: FuzzTarget = {
  name: "tar",
  parses: [
    "src/images/tar/tar-reader.ts",
    "src/images/tar/tar-header.ts",
    "src/images/tar/sparse.ts",
    "src/images/tar/pax.ts",
    "src/images/tar/tar-writer.ts",
  ],
  maxBytes: 6000,
  dictionary: [
    "ustar\x0000",
    "ustar  \0",
    "tar\0",
    "././@LongLink",
    "GNU.sparse.major=1\n",
    "22 GNU.sparse.major=1\n",
    "22 GNU.sparse.minor=0\n",
    "26 GNU.sparse.realsize=9\n",
    "2\n0\n1\n8\n1\n",
    "10 path=a\n",
    "9 size=7\n",
    "14 linkpath=b\n",
    "17 mtime=-1.5000\n",
    "27 SCHILY.xattr.user.a=bcd\n",
    "00000000001\0",
    "\x80\0\0\0\0\0\0\0\0\0\x02\0",
    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "\0".repeat(512),
    ...Array.from("0123456789xgLKSV", (flag) => `${flag}\0`),
  ],
  *seeds() {
    for (const members of archives) {
      yield Buffer.concat([Buffer.from([1, 255, 255]), tarBytes(members).subarray(0, -512)]);
    }
  },
  run(input) {
    const isMended = ((input[0] ?? 0) & 1) === 1;
    const archive = Buffer.from(input.subarray(cutBytes));
    const expected: PlainEntry[] = [];
    let isBad = false;
    try {
      slowTar(archive, isMended, expected);
    } catch (error) {
      if (!(error instanceof Bad)) throw error;
      isBad = true;
    }
    const cuts = [Buffer.alloc(0), input.subarray(1, cutBytes)];
    for (const lengths of cuts) {
      const { entries, isRefused } = read(pieces(archive, lengths));
      assert.equal(isRefused, isBad, isBad ? "it is refused" : "it is read");
      assert.deepEqual(entries, expected);
    }
    if (isBad) return;
    for (const entry of expected) if (entry.size === entry.storedBytes) writtenIsTheSame(entry);
  },
};

function read(cut: readonly Buffer[]): { entries: PlainEntry[]; isRefused: boolean } {
  const entries: PlainEntry[] = [];
  const reader = new TarReader({
    entry: (entry) => entries.push(plain(entry)),
    data: (chunk, position) => {
      assert.ok(chunk.length > 0, "a piece of nothing");
      addData(entries.at(-1)?.data ?? [], position, chunk);
    },
    end: () => {
      const last = entries.at(-1);
      assert.equal(last?.isWhole, false, "an end of what has one");
      if (last) last.isWhole = true;
    },
  });
  try {
    for (const piece of cut) reader.push(piece);
    reader.finish();
    return { entries, isRefused: false };
  } catch (error) {
    refused(error, "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED");
    return { entries, isRefused: true };
  }
}

function plain({ mtime, xattrs, ...entry }: TarEntry): PlainEntry {
  const attributes = [...xattrs].map(([key, value]) => `${key}=${value.toString("hex")}`);
  return {
    ...entry,
    ...mtime,
    xattrs: attributes.toSorted((a, b) => (a < b ? -1 : 1)),
    data: [],
    isWhole: false,
  };
}

const maxOctal7 = 0o7777777;

/** What was read is written, and read again. */
function writtenIsTheSame(entry: PlainEntry): void {
  const { seconds, nanos, uid, gid, major, minor } = entry;
  if ([uid, gid, major, minor].some((value) => value < 0)) return;
  if (major > maxOctal7 || minor > maxOctal7 || Math.abs(seconds) >= 1e15) return;
  const xattrs = new Map(
    entry.xattrs.map((text): [string, Buffer] => {
      const equals = text.lastIndexOf("=");
      return [text.slice(0, equals), Buffer.from(text.slice(equals + 1), "hex")];
    }),
  );
  const content = Buffer.from(entry.data[0]?.hex ?? "", "hex");
  const type = entry.type as TarEntry["type"];
  for (const longNames of ["pax", "gnu"] as const satisfies readonly LongNames[]) {
    const header = tarHeader({ ...entry, type, mtime: { seconds, nanos }, xattrs }, longNames);
    const archive = Buffer.concat([header, content, tarPadding(content.length), tarEnd]);
    const { entries, isRefused } = read([archive]);
    assert.ok(!isRefused && entries.length === 1, "what was written is read");
    const wanted = { ...entry, dataOffset: header.length };
    if (longNames === "gnu") {
      Object.assign(wanted, { xattrs: [], nanos: 0, seconds: Math.max(0, seconds) });
      if (seconds > 0o77777777777) continue;
    }
    assert.deepEqual(entries[0], wanted);
  }
}

const pax = (records: readonly (readonly [string, string])[]): RawMember => ({
  name: "pax",
  flag: "x",
  content: paxBytes(records),
});

/** GNU's sparse file of more segments than its header and a first block after it hold. */
function manySegments(): RawMember {
  const octal = (value: number): string => `${value.toString(8).padStart(11, "0")}\0`;
  const entries = Array.from({ length: 4 + 21 + 20 }, (_, at) => octal(10 * at) + octal(1));
  const blocks = [entries.slice(4, 25), entries.slice(25)].map((list, at) => {
    const block = Buffer.alloc(512);
    block.write(list.join(""), "latin1");
    block[504] = at === 0 ? 1 : 0;
    return block;
  });
  return {
    name: "many",
    flag: "S",
    size: entries.length,
    content: Buffer.concat([...blocks, Buffer.alloc(entries.length, "d")]),
    patch: (header) => {
      header.write("ustar  \0", 257, "latin1");
      header.write(entries.slice(0, 4).join(""), 386, "latin1");
      header[482] = 1;
      header.write(octal(1000), 483, "latin1");
    },
  };
}

const archives: readonly (readonly RawMember[])[] = [
  [
    { name: "dir/", flag: "5", mode: 0o700 },
    { name: "dir/file", content: "content", pax: { "SCHILY.xattr.user.x": "y", mtime: "-1.25" } },
    { name: "link", flag: "2", link: "dir/file" },
    { name: "hard", flag: "1", link: "dir/file" },
    { name: "null", flag: "3", major: 1, minor: 3 },
  ],
  [{ name: "v7/", flag: "\0", patch: (header) => header.fill(0, 257) }],
  [
    { name: "././@LongLink", flag: "L", content: `${"x".repeat(120)}\0` },
    { name: "././@LongLink", flag: "K", content: `${"y".repeat(120)}\0` },
    { name: "cut", flag: "2", link: "cut", patch: (header) => header.write("ustar  \0", 257) },
  ],
  [
    { name: "pax_global_header", flag: "g", content: paxBytes([["comment", "abc"]]) },
    { name: "file", content: "x", uid: 5, gid: 6, mtime: 1_700_000_000 },
  ],
  [
    pax([
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.minor", "0"],
      ["GNU.sparse.name", "holes"],
      ["GNU.sparse.realsize", "9000"],
    ]),
    { name: "GNUSparseFile.0/holes", content: `${"2\n0\n3\n8000\n4\n".padEnd(512, "\0")}abcdefg` },
  ],
  [
    pax([
      ["GNU.sparse.size", "100"],
      ["GNU.sparse.map", "0,3,90,4"],
    ]),
    { name: "holes", content: "abcdefg" },
  ],
  [
    pax([
      ["GNU.sparse.size", "100"],
      ["GNU.sparse.offset", "0"],
      ["GNU.sparse.numbytes", "3"],
      ["GNU.sparse.offset", "90"],
      ["GNU.sparse.numbytes", "4"],
    ]),
    { name: "holes", content: "abcdefg" },
  ],
  [manySegments(), { name: "next", content: "x" }],
  [
    {
      name: "gnu",
      flag: "S",
      content: "abcdefg",
      patch: (header) => {
        header.write("ustar  \0", 257, "latin1");
        const numbers = ["00000000000", "00000000003", "00000000132", "00000000004"];
        for (const [at, text] of numbers.entries()) header.write(`${text}\0`, 386 + 12 * at);
        header.write("00000000144\0", 483);
      },
    },
  ],
  [
    {
      name: "size",
      pax: { size: "3", uid: "4294967294", path: "a/b", linkpath: "" },
      content: "abc",
    },
  ],
];
