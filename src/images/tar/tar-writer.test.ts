// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type TarEntry, TarReader } from "./tar-reader.ts";
import { type NewTarEntry, tarEnd, tarHeader, tarPadding } from "./tar-writer.ts";

const plain: NewTarEntry = {
  type: "file",
  name: "file",
  linkName: "",
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: { seconds: 1_700_000_000, nanos: 0 },
  major: 0,
  minor: 0,
  xattrs: new Map(),
};

function read(archive: Buffer): TarEntry[] {
  const entries: TarEntry[] = [];
  const reader = new TarReader({ entry: (entry) => entries.push(entry), data() {}, end() {} });
  reader.push(archive);
  reader.finish();
  return entries;
}

function roundTrip(entry: NewTarEntry): NewTarEntry {
  const content = Buffer.alloc(Math.min(entry.size, 4096), "x");
  const archive = [tarHeader(entry), content, tarPadding(content.length), tarEnd];
  const [{ dataOffset: _offset, storedBytes: _stored, ...found }] = read(
    Buffer.concat(archive),
  ) as [TarEntry];
  return found;
}

const cases: { name: string; entry: Partial<NewTarEntry> }[] = [
  { name: "a plain file", entry: { size: 1000 } },
  { name: "a folder", entry: { type: "directory", name: "etc/", mode: 0o1777 } },
  { name: "a long name", entry: { name: `${"deep/".repeat(60)}file` } },
  { name: "a name that is no UTF-8", entry: { name: "caf\u00e9\u00ff" } },
  { name: "a link to a long name", entry: { type: "symlink", linkName: "x".repeat(300) } },
  { name: "a hard link", entry: { type: "hardlink", linkName: "bin/busybox" } },
  { name: "a device", entry: { type: "block", major: 254, minor: 1000 } },
  { name: "large ids", entry: { uid: 3_000_000, gid: 4_294_967_294 } },
  { name: "nanoseconds", entry: { mtime: { seconds: 1_700_000_000, nanos: 5 } } },
  { name: "a time before 1970", entry: { mtime: { seconds: -2, nanos: 750_000_000 } } },
  {
    name: "attributes with any bytes",
    entry: { xattrs: new Map([["security.capability", Buffer.from([1, 0, 0, 2, 10, 61])]]) },
  },
];
for (const { name, entry } of cases) {
  test(`tar writer: ${name} is read as it was written`, () => {
    assert.deepEqual(roundTrip({ ...plain, ...entry }), { ...plain, ...entry });
  });
}

test("tar writer: whatever the names, the reader finds them", () => {
  const name = fc
    .uint8Array({ minLength: 1, maxLength: 400 })
    .map((bytes) => Buffer.from(bytes.map((byte) => byte || 1)).toString("latin1"));
  fc.assert(
    fc.property(name, name, (one, two) => {
      const entry: NewTarEntry = { ...plain, type: "symlink", name: one, linkName: two };
      const found = roundTrip(entry);
      assert.deepEqual([found.name, found.linkName], [one, two]);
    }),
  );
});
