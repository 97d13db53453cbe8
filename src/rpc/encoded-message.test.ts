// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ContainerInit } from "../gen/cri.gen.ts";
import { codec } from "./codec.ts";
import { EncodedMessage, KeptEncodings } from "./encoded-message.ts";
import { leastSizeOf } from "./message-size.ts";

const answer = codec("runtime.v1.ListContainersResponse");

describe("an encoded message", () => {
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
      const list = EncodedMessage.list("runtime.v1.ListContainersResponse", "containers", items);
      const whole = answer.encode({ containers });
      assert.ok(list instanceof EncodedMessage);
      assert.deepEqual(list.encode(), whole);
      assert.equal(leastSizeOf(list), whole.length);
      assert.deepEqual(list.containers, answer.normalize({ containers }).containers);
      assert.deepEqual(answer.normalize(list), answer.normalize({ containers }));
    });
  }

  it("has fields that are encoded in their order, and the others behind them", () => {
    const [status, one, other] = [
      { id: "pod", network: { ip: "10.0.0.1" } },
      { id: "one" },
      { id: "other", exitCode: 3 },
    ];
    const whole = {
      status,
      containersStatuses: [one, other],
      timestamp: 2n ** 60n,
    };
    const message = EncodedMessage.of(
      "runtime.v1.PodSandboxStatusResponse",
      {
        status: codec("runtime.v1.PodSandboxStatus").encode(status),
        containersStatuses: [one, other].map((it) =>
          codec("runtime.v1.ContainerStatus").encode(it),
        ),
      },
      { timestamp: whole.timestamp },
    );
    const response = codec("runtime.v1.PodSandboxStatusResponse");
    assert.ok(message instanceof EncodedMessage);
    assert.deepEqual(message.encode(), response.encode(whole));
    assert.equal(leastSizeOf(message), message.encode().length);
    assert.deepEqual(response.normalize(message), response.normalize(whole));
  });

  it("has only fields that are messages, or lists of them", () => {
    const bytes = Buffer.alloc(0);
    const refused = [
      () => EncodedMessage.list("runtime.v1.Container", "id", []),
      () => EncodedMessage.list("runtime.v1.Container", "metadata", []),
      () => EncodedMessage.list("runtime.v1.Container", "labels", []),
      () => EncodedMessage.list("runtime.v1.Image", "repoTags", []),
      () => EncodedMessage.of("runtime.v1.ListContainersResponse", { containers: bytes }),
    ];
    for (const make of refused) assert.throws(make, TypeError);
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

  it("holds no more than its bytes when it is kept", () => {
    const kept = new KeptEncodings("runtime.v1.Container", (id: { id: string }) => id);
    const bytes = kept.of({ id: "x".repeat(100) });
    assert.equal(bytes.buffer.byteLength, bytes.length);
  });
});
