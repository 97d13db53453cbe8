// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cleanPath, entryPath, linkParts } from "./entry-path.ts";

const cases: readonly (readonly [string, unknown])[] = [
  ["./", { kind: "root" }],
  ["/", { kind: "root" }],
  ["a", { kind: "plain", parent: [], base: "a" }],
  ["./a//b/", { kind: "plain", parent: ["a"], base: "b" }],
  ["/etc/passwd", { kind: "plain", parent: ["etc"], base: "passwd" }],
  ["a/../b", { kind: "plain", parent: [], base: "b" }],
  ["../a", { kind: "plain", parent: [], base: "a" }],
  ["a/../../../b/c", { kind: "plain", parent: ["b"], base: "c" }],
  ["..", { kind: "root" }],
  ["/../a/..", { kind: "root" }],
  ["../.wh.b", { kind: "whiteout", parent: [], base: "b" }],
  ["a/.wh.b", { kind: "whiteout", parent: ["a"], base: "b" }],
  [".wh....", { kind: "whiteout", parent: [], base: "..." }],
  ["a/.wh..wh..opq", { kind: "opaque", folder: ["a"] }],
  [".wh..wh..opq", { kind: "opaque", folder: [] }],
  [".wh..wh.aufs", { kind: "ignored" }],
  [".wh..wh.plnk/12.34", { kind: "ignored" }],
];

for (const [name, expected] of cases) {
  test(`entryPath reads "${name}"`, () => assert.deepEqual(entryPath(name), expected));
}

test("linkParts keeps what is yet to be followed", () => {
  assert.deepEqual(linkParts("/a//./b/../c"), ["a", "b", "..", "c"]);
  for (const target of ["", "/", ".", "..", "a/../..", "a\0", "n".repeat(256)]) {
    assert.throws(() => linkParts(target), { code: "INVALID_ARGUMENT" }, target);
  }
});

for (const name of [".wh.", ".wh..", ".wh...", ".wh.a/b", "a\0b"]) {
  test(`entryPath refuses ${JSON.stringify(name)}`, () => {
    assert.throws(() => entryPath(name), { code: "INVALID_ARGUMENT" });
  });
}

test("cleanPath never leaves a way out", () => {
  const part = fc.constantFrom("", ".", "..", "a", "b", "...", ".wh.a");
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const clean = cleanPath(parts.join("/"));
      assert.ok(clean.every((one) => one !== "" && one !== "." && one !== ".."));
    }),
  );
});
