// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeHeaders } from "../header-block.ts";
import { HpackDecoder } from "./hpack-decoder.ts";

/** RFC 7541, C.4 and C.6: requests and answers one after another, in Huffman's code. */
const requests: readonly (readonly [string, string])[] = [
  [
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    ":method GET :scheme http :path / :authority www.example.com",
  ],
  [
    "828684be5886a8eb10649cbf",
    ":method GET :scheme http :path / :authority www.example.com cache-control no-cache",
  ],
  [
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ":method GET :scheme https :path /index.html :authority www.example.com custom-key custom-value",
  ],
];

test("header blocks with Huffman's code and a table are read as the RFC has them", () => {
  const decoder = new HpackDecoder();
  for (const [block, fields] of requests) {
    const list = decoder.decode(Buffer.from(block, "hex"));
    assert.equal(list?.fields.join(" "), fields);
  }
});

test("what a table has no room for is gone", () => {
  const decoder = new HpackDecoder();
  const kept = (name: string, value: string): Buffer => {
    const block = encodeHeaders([[name, value]]);
    block[0] = 0x40;
    return block;
  };
  // 32 bytes go with each: 40 of these fill the table.
  for (let at = 0; at < 50; at += 1) decoder.decode(kept(`n${at % 10}`, "v".repeat(68)));
  assert.equal(decoder.decode(Buffer.of(0x80 | 62))?.fields[0], "n9");
  assert.equal(decoder.decode(Buffer.of(0x80 | (62 + 39)))?.fields[0], "n0");
  assert.equal(decoder.decode(Buffer.of(0x80 | (62 + 40))), undefined);
  // A table of no size has nothing, and one field larger than all of it empties it.
  const other = new HpackDecoder();
  other.decode(kept("a", "b"));
  assert.deepEqual(other.decode(Buffer.of(0x20))?.fields, []);
  assert.equal(other.decode(Buffer.of(0x80 | 62)), undefined);
});

test("blocks that are none are told, wherever they are cut", () => {
  const whole = Buffer.from(requests[0]?.[0] ?? "", "hex");
  for (let cut = 4; cut < whole.length; cut += 1) {
    assert.equal(new HpackDecoder().decode(whole.subarray(0, cut)), undefined, `${cut} bytes`);
  }
  const bad = [
    "80", // an index that is nothing
    "00ffffffffffff7f0161", // a length beyond all bounds
    "0085ffffffffff0161", // the end of a string in a string
    "008100016161", // padding that is no ones
    "8220", // a table's size in the middle
    "3fe21f", // a table of 4097 bytes
  ];
  for (const block of bad) {
    assert.equal(new HpackDecoder().decode(Buffer.from(block, "hex")), undefined, block);
  }
});

test("a list beyond what is taken is cut, and the table goes on", () => {
  const decoder = new HpackDecoder();
  const kept = encodeHeaders([["name", "v".repeat(2000)]]);
  kept[0] = 0x40;
  const list = decoder.decode(Buffer.concat([kept, Buffer.alloc(60_000, 0x80 | 62)]));
  assert.ok(list?.isTooLarge && list.fields.length <= 256);
  assert.deepEqual(decoder.decode(Buffer.of(0x80 | 62))?.isTooLarge, false);
});

test("what is encoded is read back, long values too", () => {
  for (const length of [0, 1, 126, 127, 128, 254, 255, 16_383, 20_000]) {
    const block = Buffer.concat([
      Buffer.of(0x88),
      encodeHeaders([["grpc-message", "x".repeat(length)]]),
    ]);
    assert.deepEqual(new HpackDecoder().decode(block)?.fields, [
      ":status",
      "200",
      "grpc-message",
      "x".repeat(length),
    ]);
  }
});
