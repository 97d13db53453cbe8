// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type AccountQuery,
  AccountSearch,
  type FoundAccounts,
  maxGroups,
  maxId,
  nameBytes,
  parseId,
  searchAccounts,
} from "./passwd-file.ts";

const name = fc.stringMatching(/^[a-z_][a-z0-9_-]{0,15}$/);
const id = fc.nat(maxId);

const find = (query: AccountQuery, text: string): FoundAccounts =>
  searchAccounts(query, Buffer.from(text));
const groupsOf = (member: string, text: string): readonly number[] =>
  find({ kind: "groups", name: undefined, member }, text).memberOf;

/** What does not parse, and must not be in the way. */
const noise = fc.constantFrom(
  "",
  "# a comment: with colons:1:1",
  "short:x",
  "nan:x:a:b:::",
  ":x:1:1:::",
  "big:x:99999999999:1:::",
  `long${"x".repeat(9000)}:x:1:1`,
);

test("a user is found by id and by name, the first that fits, whatever stands between", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, id, id, noise), { minLength: 1 }), (entries) => {
      const text = entries
        .map(([who, uid, gid, other]) => `${other}\n${who}:x:${uid}:${gid}:gecos:/:/bin/sh\n`)
        .join("");
      for (const [who, uid] of entries) {
        const [byName, byId] = [
          entries.find((entry) => entry[0] === who),
          entries.find((entry) => entry[1] === uid),
        ];
        assert.deepEqual(
          [find({ kind: "user", name: who }, text).user, find({ kind: "uid", uid }, text).user],
          [byName, byId].map((it) => it && { name: it[0], uid: it[1], gid: it[2] }),
        );
      }
    }),
  );
});

test("groups are found by name and by member", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, id, fc.array(name))), name, (entries, who) => {
      const text = entries
        .map(([group, gid, members]) => `${group}:x:${gid}:${members.join(",")}\n`)
        .join("");
      const expected = entries.filter(([, , members]) => members.includes(who));
      assert.deepEqual(groupsOf(who, text), [...new Set(expected.map(([, gid]) => gid))]);
      for (const [group] of entries) {
        const { gid } = find({ kind: "groups", name: group, member: undefined }, text);
        assert.equal(gid, entries.find((entry) => entry[0] === group)?.[1]);
      }
    }),
  );
});

test("what is found does not depend on the pieces that the file comes in", () => {
  const file = Buffer.from(
    "a:x:1:x,b\r\n  b:x:2:y,b \n#c:x:3:b\nd:x:4:b,\ne:x:5:bb,ab\nf:x:6:\nlast:x:7:b",
  );
  for (let length = 1; length <= file.length; length += 1) {
    const search = new AccountSearch({ kind: "groups", name: "d", member: "b" });
    for (let at = 0; at < file.length; at += length) search.push(file.subarray(at, at + length));
    assert.deepEqual(search.end(), { user: undefined, gid: 4, memberOf: [1, 2, 4, 7] });
  }
});

test("names are bytes", () => {
  const odd = "na\u00efve\u00e0"; // its last byte is a space where characters are bytes
  const text = `${odd}:x:1:2:::\n`;
  assert.equal(find({ kind: "user", name: nameBytes(odd) }, text).user?.uid, 1);
  assert.deepEqual(groupsOf(nameBytes(odd), `g:x:7:other,${odd}\n`), [7]);
});

test("a line of any length is looked through, and its groups are counted up to the kernel's bound", () => {
  const members = `${"someone-else,".repeat(300_000)}app`;
  assert.deepEqual(groupsOf("app", `g:x:7:${members}\nh:x:8:app\n`), [7, 8]);
  const many = Array.from({ length: maxGroups + 5 }, (_, gid) => `g${gid}:x:${gid}:app\n`);
  assert.equal(groupsOf("app", many.join("")).length, maxGroups + 1);
});

test("the search never throws, and answers ids within range", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const { user } = find({ kind: "uid", uid: 1 }, text);
      assert.ok(user === undefined || (user.uid === 1 && user.gid <= maxId));
      for (const gid of groupsOf("a", text)) assert.ok(gid <= maxId);
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
