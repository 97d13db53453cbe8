// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ContainerInit } from "../gen/cri.gen.ts";
import { codec } from "./codec.ts";
import { EncodedList, KeptEncodings } from "./encoded-list.ts";
import { leastSizeOf } from "./message-size.ts";

const answer = codec("runtime.v1.ListContainersResponse");

describe("an encoded list", () => {
  for (const [what, lengths] of Object.entries({
    "no item": [],
    "an empty item": [0],
    "items about the lengths at which the length's own size changes": [
      0, 1, 110, 124, 125, 126, 127, 128, 16_370, 16_380, 16_384, 2_097_140, 2_097_160,
    ],
  })) {
    it(`has the bytes of the whole message with ${what}`, () => {
      const containers = lengths.map((length): ContainerInit => ({ id: "x".repeat(length) }));
      const items = containers.map((item) => codec("runtime.v1.Container").encode(item));
      const list = EncodedList.of("runtime.v1.ListContainersResponse", "containers", items);
      const whole = answer.encode({ containers });
      assert.ok(list instanceof EncodedList);
      assert.deepEqual(list.encode(), whole);
      assert.equal(leastSizeOf(list), whole.length);
      assert.deepEqual(list.containers, answer.normalize({ containers }).containers);
      assert.deepEqual(answer.normalize(list), answer.normalize({ containers }));
    });
  }

  it("is of a repeated field with messages", () => {
    const refused = [
      () => EncodedList.of("runtime.v1.Container", "id", []),
      () => EncodedList.of("runtime.v1.Container", "metadata", []),
      () => EncodedList.of("runtime.v1.Image", "repoTags", []),
    ];
    for (const list of refused) assert.throws(list, TypeError);
  });
});

describe("kept encodings", () => {
  it("are made once for each value, unless they are large", () => {
    let made = 0;
    const encodings = new KeptEncodings("runtime.v1.Container", ({ id }: { id: string }) => {
      made += 1;
      return { id };
    });
    const [small, equal, large] = [{ id: "a" }, { id: "a" }, { id: "x".repeat(20_000) }];
    for (const value of [small, small, equal, large, large]) {
      const { id } = codec("runtime.v1.Container").decode(encodings.of(value));
      assert.equal(id, value.id);
    }
    assert.equal(made, 4);
  });
});
