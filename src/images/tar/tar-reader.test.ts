// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { paxBytes, type RawMember, tarBytes } from "../../../test/support/tar-bytes.ts";
import { type TarEntry, TarReader } from "./tar-reader.ts";

interface Read {
  readonly entry: TarEntry;
  content: Buffer;
}

function read(archive: Buffer, piece = archive.length): Read[] {
  const found: Read[] = [];
  const reader = new TarReader({
    entry: (entry) => found.push({ entry, content: Buffer.alloc(entry.size) }),
    data: (chunk, position) => void chunk.copy(found.at(-1)?.content ?? chunk, position),
    end: () => {},
  });
  for (let at = 0; at < archive.length; at += piece) reader.push(archive.subarray(at, at + piece));
  reader.finish();
  return found;
}

const one = (member: RawMember): TarEntry => read(tarBytes([member]))[0]?.entry as TarEntry;

test("TarReader reads members whatever the pieces they come in", () => {
  const archive = tarBytes([
    { name: "dir/", flag: "5", mode: 0o700 },
    { name: "dir/file", content: "content", pax: { "SCHILY.xattr.user.x": "y" } },
    { name: "link", flag: "2", link: "dir/file" },
    { name: "empty" },
    { name: "large", content: Buffer.alloc(5000, "x") },
  ]);
  const whole = read(archive);
  assert.deepEqual(
    whole.map(({ entry }) => [entry.name, entry.type]),
    [
      ["dir/", "directory"],
      ["dir/file", "file"],
      ["link", "symlink"],
      ["empty", "file"],
      ["large", "file"],
    ],
  );
  for (const { entry, content } of whole) {
    const at = entry.dataOffset;
    assert.deepEqual(archive.subarray(at, at + content.length), content);
  }
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2000 }), (piece) => {
      assert.deepEqual(read(archive, piece), whole);
    }),
    { numRuns: 50 },
  );
});

test("TarReader lets GNU's long names overrule PAX records, but for empty ones, as Go does", () => {
  const long = (flag: "L" | "K", text: string): RawMember => ({
    name: "././@LongLink",
    flag,
    content: `${text}\0`,
  });
  const pax = { path: "from/pax", linkpath: "to/pax" };
  const linkOf = (...before: RawMember[]): string[] => {
    const [found] = read(tarBytes([...before, { name: "short", flag: "2", link: "own", pax }]));
    return [found?.entry.name ?? "", found?.entry.linkName ?? ""];
  };
  assert.deepEqual(linkOf(long("L", "from/gnu"), long("K", "to/gnu")), ["from/gnu", "to/gnu"]);
  assert.deepEqual(linkOf(long("L", ""), long("K", "")), ["from/pax", "to/pax"]);
  const [plain] = read(tarBytes([long("L", ""), { name: "short" }]));
  assert.equal(plain?.entry.name, "short");
});

test("TarReader lets PAX records overrule the header", () => {
  const entry = one({
    name: "short",
    uid: 1,
    pax: {
      path: "a/long/name",
      linkpath: "target",
      uid: "4294967294",
      mtime: "-1.25",
      "SCHILY.xattr.security.capability": Buffer.from([0, 1, 255, 10]),
    },
  });
  assert.equal(entry.name, "a/long/name");
  assert.equal(entry.linkName, "target");
  assert.equal(entry.uid, 4_294_967_294);
  assert.deepEqual(entry.mtime, { seconds: -2, nanos: 750_000_000 });
  assert.deepEqual(entry.xattrs.get("security.capability"), Buffer.from([0, 1, 255, 10]));
});

test("TarReader reads GNU long names and big numbers", () => {
  const long = `${"x".repeat(150)}\0`;
  const archive = tarBytes([
    { name: "././@LongLink", flag: "L", content: long },
    { name: "././@LongLink", flag: "K", content: `to/${long}` },
    {
      name: "cut",
      flag: "2",
      link: "cut",
      patch: (header) => {
        header.write("8000000080000000", 108, 8, "hex"); // uid 2^31
        header.write("ffffffffffffffffffffffff", 136, 12, "hex"); // one second before 1970
      },
    },
  ]);
  const entry = read(archive)[0]?.entry;
  assert.equal(entry?.name, "x".repeat(150));
  assert.equal(entry?.linkName, `to/${"x".repeat(150)}`);
  assert.equal(entry?.uid, 2 ** 31);
  assert.deepEqual(entry?.mtime, { seconds: -1, nanos: 0 });
});

test("TarReader takes an old folder for one by its slash, and no newer file", () => {
  assert.equal(one({ name: "old/", flag: "\0" }).type, "directory");
  const found = read(tarBytes([{ name: "file/", content: "abc" }, { name: "next" }]));
  assert.deepEqual(
    found.map(({ entry, content }) => [entry.name, entry.type, content.toString()]),
    [
      ["file/", "file", "abc"],
      ["next", "file", ""],
    ],
  );
});

test("TarReader skips global headers", () => {
  const body = paxBytes([["comment", "abc"]]);
  const archive = tarBytes([
    { name: "pax_global_header", flag: "g", content: body },
    { name: "file", content: "x" },
  ]);
  assert.deepEqual(
    read(archive).map(({ entry }) => entry.name),
    ["file"],
  );
});

test("TarReader needs no trailer and no last padding, but whole headers and contents", () => {
  const archive = tarBytes([{ name: "file", content: "x".repeat(9) }]);
  for (const end of [521, 522, 1000, 1023, 1024, 1536]) {
    assert.equal(read(archive.subarray(0, end))[0]?.content.toString(), "x".repeat(9));
  }
  for (const end of [1, 511, 512, 513, 520, 1025, 1535]) {
    assert.throws(() => read(archive.subarray(0, end)), { code: "INVALID_ARGUMENT" });
  }
  assert.deepEqual(read(Buffer.alloc(0)), []);
});

const malformed: readonly (readonly [string, Buffer])[] = [
  ["text", Buffer.from("no archive ".repeat(100))],
  ["a wrong checksum", flip(tarBytes([{ name: "a" }]), 0)],
  ["an unknown type", tarBytes([{ name: "a", flag: "Z" }])],
  ["a NUL in a PAX path", tarBytes([{ name: "a", pax: { path: "a\0b" } }])],
  ["PAX without a length", tarBytes([{ name: "p", flag: "x", content: "path=a\n" }])],
  ["PAX longer than its header", tarBytes([{ name: "p", flag: "x", content: "99 path=a\n" }])],
  ["a sparse map that does not fit", tarBytes([sparse("0,1,0,1")])],
  ["a sparse map beyond the file", tarBytes([sparse("99,4")])],
  ["a sparse map of odd length", tarBytes([sparse("0")])],
];

for (const [name, archive] of malformed) {
  test(`TarReader refuses ${name}`, () => {
    assert.throws(() => read(archive), { code: "INVALID_ARGUMENT" });
  });
}

// What used to take a time that grew with the square of the input: of these sizes, hours.
const large: readonly { name: string; archive: () => Buffer; size?: number; code?: string }[] = [
  {
    name: "a sparse map of 16 MiB",
    archive: () => tarBytes([sparseInData(900_000)]),
    size: 900_000 * 3,
  },
  {
    name: "a sparse map of more segments than any file has",
    archive: () => tarBytes([sparseInData(1_000_001)]),
    code: "RESOURCE_EXHAUSTED",
  },
  {
    name: "a sparse map without an end",
    archive: () => tarBytes([{ ...sparseInData(0), content: Buffer.alloc(8 * 1024 * 1024, "1") }]),
    code: "INVALID_ARGUMENT",
  },
  {
    name: "a PAX header of nothing but small records",
    archive: () => {
      const records = numbers(80_000).map((at) => [`a${at % 50_000}`, ""] as const);
      return tarBytes([{ name: "p", flag: "x", content: paxBytes(records) }, { name: "a" }]);
    },
    size: 0,
  },
  {
    name: "fifty thousand headers before one member",
    archive: () =>
      tarBytes([
        ...numbers(50_000).map((at) => ({ name: "l", flag: at % 2 ? "L" : "K", content: "n" })),
        { name: "a", content: "x" },
      ]),
    size: 1,
  },
  {
    name: "a long name of gigabytes",
    archive: () => tarBytes([{ name: "l", flag: "L", size: 3 * 2 ** 30 }]),
    code: "RESOURCE_EXHAUSTED",
  },
];

for (const { name, archive, size, code } of large) {
  test(`TarReader is through with ${name} before long`, { timeout: 60_000 }, () => {
    const sizes: number[] = [];
    const sink = {
      entry: (entry: TarEntry) => sizes.push(entry.size),
      data: () => {},
      end: () => {},
    };
    const reader = new TarReader(sink);
    const readAll = (): void => {
      reader.push(archive());
      reader.finish();
    };
    if (code === undefined) readAll();
    else assert.throws(readAll, { code });
    assert.deepEqual(sizes, size === undefined ? [] : [size]);
  });
}

test("TarReader answers or refuses whatever bytes it is given", () => {
  const archive = tarBytes([{ name: "a", content: "x", pax: { path: "b", mtime: "1.5" } }]);
  fc.assert(
    fc.property(fc.nat(archive.length - 1), fc.nat(255), (at, byte) => {
      const changed = Buffer.from(archive);
      changed[at] = byte;
      try {
        read(changed);
      } catch (error) {
        const { code } = error as { code?: string };
        assert.ok(code === "INVALID_ARGUMENT" || code === "RESOURCE_EXHAUSTED", String(error));
      }
    }),
    { numRuns: 300 },
  );
});

function sparse(map: string): RawMember {
  return {
    name: "s",
    content: "data",
    pax: { "GNU.sparse.size": "10", "GNU.sparse.map": map },
  };
}

/** A file of so many segments of one byte, the map before the data. */
function sparseInData(segments: number): RawMember {
  const map = [`${segments}\n`];
  for (const at of numbers(segments)) map.push(`${at * 3}\n1\n`);
  const text = Buffer.from(map.join(""));
  const content = Buffer.alloc(Math.ceil(text.length / 512) * 512 + segments);
  text.copy(content);
  const realsize = String(segments * 3);
  const pax = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": realsize };
  return { name: "s", content, pax };
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at);
}

function flip(archive: Buffer, at: number): Buffer {
  archive[at] = (archive[at] ?? 0) ^ 1;
  return archive;
}
