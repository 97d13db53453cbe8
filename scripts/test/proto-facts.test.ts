// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import protobuf from "protobufjs";
import { differences } from "./proto-facts.ts";

const page = `service a.v1.Pets
  rpc List(a.v1.Ask) returns (stream a.v1.Pet)
message a.v1.Ask
message a.v1.Pet
  1 id string
  2 legs optional int32
  3 names repeated string
  4 tags map<string,a.v1.Ask>
  5 kind a.v1.Pet.Kind
enum a.v1.Pet.Kind
  0 CAT
  7 DOG
`;

function protoWith(change: (text: string) => string): protobuf.Root {
  const proto = change(`syntax = "proto3";
    package a.v1;
    service Pets { rpc List(Ask) returns (stream Pet); }
    message Ask {}
    message Pet {
      string id = 1;
      optional int32 legs = 2;
      repeated string names = 3;
      map<string, Ask> tags = 4;
      Kind kind = 5;
      enum Kind { CAT = 0; DOG = 7; }
    }`);
  const { root } = protobuf.parse(proto, { keepCase: true });
  root.resolveAll();
  return root;
}

const changes: readonly (readonly [from: string, to: string, found: readonly string[]])[] = [
  ["Pet", "Pet", []],
  ["int32 legs = 2", "int32 paws = 2", ["lacks: 2 legs", "has, and should not: 2 paws"]],
  ["legs = 2", "legs = 6", ["lacks: 2 legs", "has, and should not: 6 legs"]],
  ["string id = 1", "bytes id = 1", ["lacks: 1 id string", "has, and should not: 1 id bytes"]],
  ["optional int32", "int32", ["lacks: 2 legs optional", "has, and should not: 2 legs int32"]],
  ["repeated string", "string", ["lacks: 3 names", "has, and should not: 3 names string"]],
  ["map<string, Ask>", "map<string, Pet>", ["lacks: 4 tags", "has, and should not: 4 tags"]],
  ["Kind kind = 5;", "", ["lacks: 5 kind"]],
  ["string id", "string more = 9; string id", ["has, and should not: 9 more string"]],
  ["DOG = 7", "DOG = 8", ["lacks: 7 DOG", "has, and should not: 8 DOG"]],
  ["DOG = 7;", "", ["lacks: 7 DOG"]],
  ["returns (stream Pet)", "returns (Pet)", ["lacks: rpc List", "has, and should not: rpc List"]],
  ["rpc List(Ask)", "rpc Get(Ask)", ["lacks: rpc List", "has, and should not: rpc Get"]],
  ["service Pets", "service Others", ["service a.v1.Pets is missing"]],
];

test("what differs from a page of facts is told", () => {
  for (const [from, to, expected] of changes) {
    const found = differences(
      protoWith((text) => text.replace(from, to)),
      [page],
    );
    assert.equal(found.length, expected.length, `${to}: ${found.join("; ")}`);
    for (const [index, text] of expected.entries()) assert.ok(found[index]?.includes(text), text);
  }
});

test("what is there as something else is missing", () => {
  const root = protoWith((text) => text);
  assert.deepEqual(differences(root, ["message a.v1.Pets\n", "service a.v1.Pet.Kind\n"]), [
    "message a.v1.Pets is missing",
    "service a.v1.Pet.Kind is missing",
  ]);
});

test("a page with a line that is no fact, or with none, is no page", () => {
  const root = protoWith((text) => text);
  for (const bad of ["", "note\n", `${page}1 id string\n`, `${page}extension a.v1.More\n`]) {
    assert.throws(() => differences(root, [bad]), /fact/);
  }
});
