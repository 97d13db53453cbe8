// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type EntryPath, entryPath } from "../../../src/images/unpack/entry-path.ts";
import { type FuzzTarget, refused } from "../target.ts";

export const target: FuzzTarget = {
  name: "entry-path",
  parses: ["src/images/unpack/entry-path.ts"],
  maxBytes: 4500,
  dictionary: [
    "/",
    "..",
    "../",
    "/../",
    ".",
    "./",
    "//",
    ".wh.",
    ".wh..wh.",
    ".wh..wh..opq",
    ".wh...",
    "\0",
  ],
  *seeds() {
    yield Buffer.from("usr/lib/../bin/./.wh.sh");
    yield Buffer.from("/a/.wh..wh..opq");
    yield Buffer.from("a/.wh..wh.plnk/b");
    for (const bytes of [254, 255, 256]) yield Buffer.from(`a/${"n".repeat(bytes)}/b`);
    for (const rest of [4, 5, 6])
      yield Buffer.from(`${"abcdefghi/".repeat(409)}${"x".repeat(rest)}`);
    // As long as a path may be once it is clean.
    yield Buffer.from(`${"a/../".repeat(800)}b`);
  },
  run(input) {
    const name = input.toString("latin1");
    const expected = slowly(name);
    let path: EntryPath;
    try {
      path = entryPath(name);
    } catch (error) {
      refused(error, "INVALID_ARGUMENT");
      assert.ok((error as Error).message.length < 1000, "a name in a message is cut");
      assert.equal(expected, undefined, "refused, though it is a name");
      return;
    }
    assert.deepEqual(path, expected);
    const parts =
      "parent" in path ? [...path.parent, path.base] : "folder" in path ? path.folder : [];
    assert.ok(parts.every((part) => part !== "" && part !== "." && part !== ".."));
    assert.ok(parts.every((part) => !part.includes("/") && !part.includes("\0")));
  },
};

/** By a walk up and down; undefined for what is refused. */
function slowly(name: string): EntryPath | undefined {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "..") {
      parts.length = Math.max(parts.length - 1, 0);
    } else if (part !== "" && part !== ".") parts.push(part);
  }
  // A slash before each, as the kernel is told; NAME_MAX and PATH_MAX less the NUL.
  if (name.includes("\0") || `/${parts.join("/")}`.length > (parts.length > 0 ? 4095 : 4096))
    return;
  if (parts.some((part) => part.length > 255)) return;
  const base = parts.pop();
  if (base === undefined) return { kind: "root" };
  if (parts.some((part) => part.slice(0, 8) === ".wh..wh.")) return { kind: "ignored" };
  if (parts.some((part) => part.slice(0, 4) === ".wh.")) return;
  if (base === ".wh..wh..opq") return { kind: "opaque", folder: parts };
  if (base.slice(0, 8) === ".wh..wh.") return { kind: "ignored" };
  if (base.slice(0, 4) !== ".wh.") return { kind: "plain", parent: parts, base };
  const gone = base.slice(4);
  return ["", ".", ".."].includes(gone)
    ? undefined
    : { kind: "whiteout", parent: parts, base: gone };
}
