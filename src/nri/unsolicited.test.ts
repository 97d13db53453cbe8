// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FakePlugin } from "../../test/support/nri/fake-plugin.ts";
import { PluggedNode } from "../../test/support/nri/plugged-node.ts";
import { silentLogger } from "../base/logger.ts";
import { sleep } from "../base/timers.ts";

const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(60_000) });
const asked = () => ({ pod: { id: "pod" }, container: { id: "c1", podSandboxId: "pod" } });

function many<T>(count: number, make: (at: number) => T): T[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

describe("what a plugin wants by itself", () => {
  it("is done, and what failed is told", async () => {
    using node = new PluggedNode({
      state: {
        update: async (updates) => updates.filter(({ containerId }) => containerId === "bad"),
      },
    });
    const plugin = await node.plugged();
    const { failed } = await plugin.update([{ containerId: "good" }, { containerId: "bad" }]);
    assert.deepEqual(
      failed.map(({ containerId }) => containerId),
      ["bad"],
    );
    await plugin.runtime.UpdateContainers({ evict: [{ containerId: "c1", reason: "noisy" }] });
    assert.deepEqual(node.evicted, ['c1, NRI plugin "10-fake": noisy']);
  });

  it("is done in order, a few at once, and the rest is refused", async () => {
    let running = 0;
    let most = 0;
    const calls = 500;
    const open = 4;
    const rest = Promise.withResolvers<void>();
    using node = new PluggedNode({
      state: {
        update: async () => {
          running += 1;
          most = Math.max(most, running);
          await rest.promise; // or its place is free again for one of the rest
          await sleep(1);
          running -= 1;
          return [];
        },
      },
    });
    const plugin = await node.plugged();
    let refused = 0;
    const refuse = (): void => {
      refused += 1;
      if (refused === calls - open) rest.resolve();
    };
    const asked = Array.from({ length: calls }, () => plugin.update([{ containerId: "c1" }]));
    await Promise.all(asked.map((call) => call.catch(refuse)));
    assert.equal(most, 1);
    assert.equal(refused, calls - open);
    await plugin.update([]);
  });

  it("is done two at a time where one message has more, those of one container in order", async () => {
    const order: string[] = [];
    let running = 0;
    let most = 0;
    using node = new PluggedNode({
      state: {
        update: async (updates) => {
          running += 1;
          most = Math.max(most, running);
          order.push(...updates.map(({ containerId }) => containerId));
          await sleep(1);
          running -= 1;
          return [];
        },
      },
    });
    const plugin = await node.plugged();
    const ids = many(40, (at) => `c${at}`);
    await plugin.update(ids.map((containerId) => ({ containerId })));
    assert.equal(most, 2);
    assert.deepEqual(order, ids);
  });

  const tooMuch: readonly {
    readonly name: string;
    readonly request: Parameters<FakePlugin["runtime"]["UpdateContainers"]>[0];
    readonly code: string;
    readonly message: RegExp;
  }[] = [
    {
      name: "updates",
      request: { update: many(4097, (at) => ({ containerId: `c${at}` })) },
      code: "RESOURCE_EXHAUSTED",
      message: /^NRI plugin "10-fake" wants too much: .*4096 updates and evictions at once/,
    },
    {
      name: "evictions",
      request: { evict: many(99_000, () => ({ containerId: "c1" })) },
      code: "RESOURCE_EXHAUSTED",
      message: /^NRI plugin "10-fake" wants too much/,
    },
    {
      name: "text",
      request: { evict: many(3, () => ({ containerId: "c1", reason: "x".repeat(1_000_000) })) },
      code: "FAILED_PRECONDITION",
      message:
        /^plugin "10-fake": evict\[2\]\.reason: the message has more than 2097152 characters/,
    },
  ];
  for (const { name, request, code, message } of tooMuch) {
    it(`is refused by its name where a message has too much of it: ${name}`, async () => {
      using node = new PluggedNode();
      const plugin = await node.plugged();
      await assert.rejects(plugin.runtime.UpdateContainers(request), { code, message });
      assert.deepEqual([...node.updates, ...node.evicted], []);
      await plugin.update([{ containerId: "c1" }]);
      assert.equal(node.updates.length, 1);
    });
  }

  it("is refused once a plugin has had its budget, and another plugin has its own", async () => {
    using node = new PluggedNode();
    const greedy = await node.plugged();
    const other = await node.plugged({ index: "20" });
    const most = many(4096, (at) => ({ containerId: `c${at}` }));
    await greedy.update(most);
    await assert.rejects(greedy.update(most), {
      code: "RESOURCE_EXHAUSTED",
      message: /"10-fake" wants too much: .* 100 a second/,
    });
    await other.update(most);
    assert.equal(node.updates.length, 2 * most.length);
  });

  it("is told as failed where no kernel has such limits, or no record has room for them", async () => {
    using node = new PluggedNode();
    const plugin = await node.plugged();
    const unified = Object.fromEntries(many(600, (at) => [`memory.f${at}`, "1"]));
    const { failed } = await plugin.update([
      { containerId: "c1", linux: { resources: { cpu: { cpus: "0; reboot" } } } },
      { containerId: "c2", linux: { resources: { unified } } },
      { containerId: "c3", linux: { resources: { unified } }, ignoreFailure: true },
      { containerId: "c4", linux: { resources: { cpu: { cpus: "0" } } } },
    ]);
    assert.deepEqual(
      failed.map(({ containerId }) => containerId),
      ["c1", "c2"],
    );
    assert.deepEqual(
      node.updates.map(({ containerId }) => containerId),
      ["c4"],
    );
  });
});

describe("what a plugin wants in its answer", () => {
  for (const count of [50_000, 190_000]) {
    it(`is refused by its name where it has ${count} evictions`, async () => {
      using node = new PluggedNode();
      const evict = many(count, () => ({}));
      await node.plugged({
        on: { CreateContainer: async () => ({ evict }), UpdateContainer: async () => ({ evict }) },
      });
      const message =
        /^plugin "10-fake": evict.*: all answers together have more than 65536 entries/;
      const refused = { code: "FAILED_PRECONDITION", message };
      await assert.rejects(node.plugins.createContainer(asked, call()), refused);
      await assert.rejects(node.plugins.updateContainer(asked, call()), refused);
      assert.deepEqual(node.evicted, []);
    });
  }

  it("evicts no container that is being made, and the log says so", async () => {
    const logged: string[] = [];
    const log = {
      ...silentLogger,
      warn: ({ err }: object & { err?: unknown }) => void logged.push(String(err)),
    };
    using node = new PluggedNode({ log });
    using _made = await node.plugins.createContainer(asked, call());
    const plugin = await node.plugged();
    await plugin.runtime.UpdateContainers({ evict: [{ containerId: "c1", reason: "" }] });
    assert.deepEqual(node.evicted, []);
    assert.equal(logged.length, 1);
    assert.match(logged[0] ?? "", /container "c1" is being made/);
  });

  it("evicts a container once, with the first reason", async () => {
    using node = new PluggedNode();
    const evict = ["noisy", "very noisy"].map((reason) => ({ containerId: "c2", reason }));
    await node.plugged({ on: { CreateContainer: async () => ({ evict }) } });
    using _made = await node.plugins.createContainer(asked, call());
    assert.deepEqual(node.evicted, ['c2, NRI plugin "10-fake": noisy']);
  });
});
