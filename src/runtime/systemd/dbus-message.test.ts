// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { DbusFrames } from "./dbus-frames.ts";
import {
  type DbusMessage,
  encodeCall,
  encodeMessage,
  field,
  messageType,
  parseMessage,
} from "./dbus-message.ts";
import {
  array,
  boolean,
  objectPath,
  string,
  struct,
  uint32,
  uint64,
  variant,
} from "./dbus-values.ts";

const call = {
  destination: "a.b",
  path: "/o",
  interface: "i.j",
  member: "M",
  body: [string("text"), uint32(7), boolean(true), uint64(9n), objectPath("/p")],
};

test("a call is what it was after the way there and back", () => {
  assert.deepEqual(parseMessage(encodeCall(3, call)), {
    type: messageType.call,
    replySerial: 0,
    path: "/o",
    interface: "i.j",
    member: "M",
    errorName: "",
    sender: "",
    body: ["text", 7, true, 9n, "/p"],
  });
});

// As the specification has it, by hand.
test("lists and properties are marshalled byte by byte as they must be", () => {
  const property = struct(string("k"), variant(uint32(5)));
  const bytes = encodeMessage(messageType.signal, 1, [], [array(property, [property])]);
  const header = "6c040001 18000000 01000000 0b000000";
  const fields = "08 016700 05 6128737629 00 0000000000";
  const body = "10000000 00000000 01000000 6b00 017500 000000 05000000";
  assert.equal(bytes.toString("hex"), [header, fields, body].join("").replaceAll(" ", ""));
});

test("a message in the other byte order is read", () => {
  const bytes = Buffer.from(
    "42030001" +
      "00000008" +
      "00000002" +
      "0000000f" + // the header is 15 bytes of fields
      "0501750000000009" +
      "08016700017300" +
      "00" +
      "00000003" +
      "61626300",
    "hex",
  );
  const message = parseMessage(bytes);
  assert.equal(message.replySerial, 9);
  assert.deepEqual(message.body, ["abc"]);
});

test("messages come in any pieces, and those that are too long or damaged are passed over", () => {
  const signal = (member: string, ...body: Parameters<typeof array>[1]) =>
    encodeMessage(messageType.signal, 1, [[field.member, string(member)]], body);
  const damaged = signal("damaged", string("a"));
  damaged.writeUInt32LE(10_000, damaged.byteLength - 6); // a text that ends behind it
  const stream = Buffer.concat([
    signal("one"),
    signal("long", string("x".repeat(200_000))),
    damaged,
    signal("two", array({ signature: "s", alignment: 4 }, [string("a")]), string("b")),
    signal("three", string("c")),
  ]);
  for (const size of [1, 7, 16, 1000, stream.byteLength]) {
    const frames = new DbusFrames();
    const found: DbusMessage[] = [];
    for (let at = 0; at < stream.byteLength; at += size)
      frames.push(stream.subarray(at, at + size), (message) => void found.push(message));
    assert.deepEqual(
      found.map(({ member, body }) => [member, ...body]),
      [["one"], ["two"], ["three", "c"]],
      `in pieces of ${size}`,
    );
  }
});

for (const [what, hex] of [
  ["no D-Bus at all", "48545450"],
  ["another version", "6c010002"],
  ["a body beyond all bounds", "6c010001ffffffff"],
] as const) {
  test(`${what} is refused`, () => {
    const bytes = Buffer.alloc(16);
    Buffer.from(hex, "hex").copy(bytes);
    assert.throws(() => new DbusFrames().push(bytes, () => {}), RangeError);
  });
}
