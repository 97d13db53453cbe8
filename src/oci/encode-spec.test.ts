// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeOciResources, ociInteger, parseExactJson } from "./encode-spec.ts";

test("a 64-bit quantity comes through encoding and parsing with every digit", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (value) => {
      const text = Buffer.from(
        encodeOciResources({ memory: { limit: ociInteger(value) } }),
      ).toString();
      assert.equal(text, `{"memory":{"limit":${value}}}`);
      const parsed = parseExactJson(text) as { memory: { limit: number | bigint } };
      assert.equal(BigInt(parsed.memory.limit), value);
    }),
  );
});

test("parseExactJson leaves everything else as JSON.parse does", () => {
  const text = '{"a":[1,2.5,1e30,"x",null,true],"b":{"c":-0.5}}';
  assert.deepEqual(parseExactJson(text), JSON.parse(text));
});
