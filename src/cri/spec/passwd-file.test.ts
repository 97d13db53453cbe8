// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { maxId, parseGroups, parseId, parsePasswd } from "./passwd-file.ts";

const name = fc.stringMatching(/^[a-z_][a-z0-9_-]{0,15}$/);
const id = fc.nat(maxId);

test("parsePasswd gives back what a file says, whatever stands between", () => {
  const noise = fc.constantFrom(
    "",
    "# a comment",
    "short:x",
    "nan:x:a:b:::",
    ":x:1:1:::",
    "big:x:99999999999:1:::",
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(name, id, id, noise)), (entries) => {
      const text = entries.map(
        ([who, uid, gid, other]) => `${other}\n${who}:x:${uid}:${gid}:gecos:/:/bin/sh\n`,
      );
      assert.deepEqual(
        parsePasswd(text.join("")),
        entries.map(([who, uid, gid]) => ({ name: who, uid, gid })),
      );
    }),
  );
});

test("parseGroups gives back names, ids and members", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, id, fc.array(name))), (entries) => {
      const text = entries
        .map(([who, gid, members]) => `${who}:x:${gid}:${members.join(",")}\n`)
        .join("");
      assert.deepEqual(
        parseGroups(text),
        entries.map(([who, gid, members]) => ({ name: who, gid, members })),
      );
    }),
  );
});

test("the parsers never throw", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      for (const { uid, gid } of parsePasswd(text)) assert.ok(uid <= maxId && gid <= maxId);
      for (const { gid } of parseGroups(text)) assert.ok(gid <= maxId);
    }),
  );
});

test("parseId takes decimal digits within range only", () => {
  const rows: [string | undefined, number | undefined][] = [
    ["0", 0],
    ["2147483647", maxId],
    ["2147483648", undefined],
    ["-1", undefined],
    ["1e3", undefined],
    ["0x10", undefined],
    [" 1", undefined],
    ["", undefined],
    [undefined, undefined],
  ];
  for (const [text, out] of rows) assert.equal(parseId(text), out, String(text));
});
