// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { TarReader } from "../../src/images/tar/tar-reader.ts";
import type { PackedFile } from "./packed-file.ts";
import { tarOf } from "./tar.ts";

const files: readonly PackedFile[] = [
  { path: "usr/bin/program", content: { linkTo: "../lib/program" } },
  { path: "usr/lib/program", mode: 0o755, content: "#!/bin/sh\n" },
  { path: "etc/settings", content: Buffer.from("a = 1\n") },
];

test("a tar has each folder once before what is in it, and all is root's and of one time", () => {
  const found: string[] = [];
  const reader = new TarReader({
    entry: ({ name, type, mode, uid, gid, mtime, linkName }) => {
      assert.deepEqual({ uid, gid, mtime }, { uid: 0, gid: 0, mtime: { seconds: 7, nanos: 0 } });
      found.push([name, type, mode.toString(8), linkName].join(" ").trim());
    },
    data() {},
    end() {},
  });
  reader.push(tarOf(files, 7));
  reader.finish();
  assert.deepEqual(found, [
    "./ directory 755",
    "./etc/ directory 755",
    "./etc/settings file 644",
    "./usr/ directory 755",
    "./usr/bin/ directory 755",
    "./usr/bin/program symlink 777 ../lib/program",
    "./usr/lib/ directory 755",
    "./usr/lib/program file 755",
  ]);
});

test("the order in which files are given does not matter", () => {
  assert.deepEqual(tarOf(files.toReversed(), 7), tarOf(files, 7));
});
