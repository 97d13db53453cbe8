// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PluggedNode } from "../../test/support/nri/plugged-node.ts";
import { codec } from "../rpc/codec.ts";
import type { ContainerInit } from "./messages.ts";
import { type SynchronizePart, synchronizeParts } from "./synchronize-parts.ts";

const pods = ["p1", "p2"].map((id) => () => ({ id }));
const containers = Array.from({ length: 50 }, (_, at) => () => ({
  id: `c${at}`,
  args: ["x".repeat(200)],
}));
const decode = ({ payload }: SynchronizePart) =>
  codec("nri.pkg.api.v1alpha1.SynchronizeRequest").decode(payload);

describe("a Synchronize in parts", () => {
  for (const [most, count] of [
    [100_000, 1],
    [3000, 4],
    [250, 50],
  ] as const) {
    it(`has everything once, and no part of more than ${most} bytes`, async () => {
      const leftOut: unknown[] = [];
      const parts: SynchronizePart[] = [];
      for await (const part of synchronizeParts(
        { pods, containers },
        (why) => leftOut.push(why),
        most,
      )) {
        parts.push(part);
      }
      const requests = parts.map(decode);
      assert.ok(parts.length >= count, `${parts.length} parts`);
      assert.ok(parts.every(({ payload }) => payload.length <= most + 2));
      const ids = requests
        .flatMap((each) => [...each.pods, ...each.containers])
        .map(({ id }) => id);
      assert.deepEqual(
        ids,
        [...pods, ...containers].map((make) => make().id),
      );
      assert.deepEqual(
        requests.map(({ more }) => more),
        parts.map((_, at) => at < parts.length - 1),
      );
      assert.deepEqual(leftOut, []);
    });
  }

  it("leaves out what is too long, cannot be made, or is gone", async () => {
    const leftOut: object[] = [];
    const made: (() => ContainerInit | undefined)[] = [
      () => ({ id: "long", args: ["x".repeat(2000)] }),
      () => undefined,
      () => {
        throw new Error("record is broken");
      },
      () => ({ id: "last" }),
    ];
    const ids: string[] = [];
    for await (const part of synchronizeParts(
      { pods: [], containers: made },
      (why) => leftOut.push(why),
      1000,
    )) {
      ids.push(...decode(part).containers.map(({ id }) => id));
    }
    assert.deepEqual(ids, ["last"]);
    assert.deepEqual(
      leftOut.map((why) => Object.keys(why)),
      [["bytes"], ["err"]],
    );
  });

  it("brings 10,000 containers to a plugin, with turns of the event loop between", async () => {
    using node = new PluggedNode({ requestTimeoutMs: 20_000 });
    for (let at = 0; at < 10_000; at += 1) {
      node.containers.set(`c${at}`, { id: `c${at}`, podSandboxId: "p", args: ["x".repeat(1000)] });
    }
    let turns = 0;
    const count = setInterval(() => (turns += 1), 0);
    const plugin = await node.plugged();
    clearInterval(count);
    assert.equal(plugin.containers.size, 10_000);
    const parts = plugin.calls.filter(({ method }) => method === "Synchronize");
    assert.ok(parts.length >= 3, `${parts.length} parts`);
    assert.ok(turns > parts.length, `${turns} turns`);
  });

  it("ends a plugin that does not know parts", async () => {
    using node = new PluggedNode({ requestTimeoutMs: 20_000 });
    for (let at = 0; at < 50; at += 1) {
      node.containers.set(`c${at}`, { id: `c${at}`, args: ["x".repeat(100_000)] });
    }
    const { fake, admitted } = node.plug({ on: { Synchronize: async () => ({ more: false }) } });
    await fake.register();
    await assert.rejects(admitted, /does not take a Synchronize in parts/);
    await fake.closed;
    assert.equal(node.plugins.active, false);
  });
});
