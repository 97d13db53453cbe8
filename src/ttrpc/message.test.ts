// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  maxMetadata,
} from "./message.ts";

test("a request survives encoding, 64-bit timeouts included", () => {
  const request = fc.record(
    {
      service: fc.string(),
      method: fc.string(),
      payload: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      timeoutNanos: fc.nat(Number.MAX_SAFE_INTEGER),
      metadata: fc.array(fc.tuple(fc.string(), fc.string())),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(request, (value) => {
      const read = decodeRequest(encodeRequest(value));
      assert.deepEqual({ ...read, payload: Buffer.from(read.payload) }, value);
    }),
  );
});

test("a response survives encoding", () => {
  const cases = [
    { code: 0, message: "", payload: Buffer.from("x") },
    { code: 5, message: "container not created", payload: Buffer.alloc(0) },
    { code: 0, message: "", payload: Buffer.alloc(0) },
  ];
  for (const value of cases) assert.deepEqual(decodeResponse(encodeResponse(value)), value);
});

test("a status given in parts is what all of them say", () => {
  const parts = Buffer.concat([
    encodeResponse({ code: 5, message: "not found", payload: Buffer.alloc(0) }),
    encodeResponse({ code: 6, message: "", payload: Buffer.alloc(0) }),
    Buffer.from("0a00", "hex"),
  ]);
  const payload = Buffer.alloc(0);
  assert.deepEqual(decodeResponse(parts), { code: 6, message: "not found", payload });
});

test("malformed envelopes throw or decode, and never hang", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      for (const decode of [decodeRequest, decodeResponse]) {
        try {
          decode(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof Error);
        }
      }
    }),
  );
});

test("metadata is read up to a number of entries", () => {
  const entries = (count: number): Buffer => Buffer.alloc(2 * count, Buffer.from([0x2a, 0]));
  assert.equal(decodeRequest(entries(maxMetadata)).metadata.length, maxMetadata);
  assert.throws(() => decodeRequest(entries(maxMetadata + 1)), /too much metadata/);
});

for (const [what, hex] of [
  ["more than 32 bits", "8a80808010016d"],
  ["field number 0", "02016d"],
  ["a group that another ends", "5b64"],
] as const) {
  test(`a tag of ${what} is malformed`, () => {
    for (const decode of [decodeRequest, decodeResponse]) {
      assert.throws(() => decode(Buffer.from(hex, "hex")), Error);
    }
  });
}
