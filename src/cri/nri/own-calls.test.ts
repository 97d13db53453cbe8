// SPDX-License-Identifier: Apache-2.0
// What plugins want of containers while they, or others, are asked about the same ones: over the verbs and real plugins.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pluggedWorld } from "../../../test/support/cri/plugged-world.ts";
import type { FakePlugin, PluginMethod } from "../../../test/support/nri/fake-plugin.ts";
import { until } from "../../../test/support/until.ts";

/** The id of the container that a request is about. */
function containerIn(request: object): string {
  return (request as { container: { id: string } }).container.id;
}

const update = (containerId: string): object => ({
  containerId,
  linux: { resources: { cpu: { shares: { value: 77 } } } },
});

describe("a plugin that is asked about a container", () => {
  const wishes: readonly {
    readonly name: string;
    readonly during: PluginMethod;
    readonly wish: object;
    readonly state: "CONTAINER_RUNNING" | "CONTAINER_EXITED";
  }[] = [
    {
      name: "updates it while it starts",
      during: "StartContainer",
      wish: { update: true },
      state: "CONTAINER_RUNNING",
    },
    {
      name: "updates it when it has started",
      during: "PostStartContainer",
      wish: { update: true },
      state: "CONTAINER_RUNNING",
    },
    {
      name: "updates it while its limits change",
      during: "UpdateContainer",
      wish: { update: true },
      state: "CONTAINER_RUNNING",
    },
    {
      name: "evicts it when it has started",
      during: "PostStartContainer",
      wish: { evict: true },
      state: "CONTAINER_EXITED",
    },
    {
      name: "evicts it while its limits change",
      during: "UpdateContainer",
      wish: { evict: true },
      state: "CONTAINER_EXITED",
    },
  ];
  for (const { name, during, wish, state } of wishes) {
    it(`${name}, and has its answer before it gives its own`, async () => {
      await using both = await pluggedWorld();
      const { node, world } = both;
      let failed: readonly object[] | undefined;
      const plugin: FakePlugin = await node.plugged({
        on: {
          [during]: async (request: object) => {
            const id = containerIn(request);
            ({ failed } = await plugin.runtime.UpdateContainers({
              ...("update" in wish && { update: [update(id)] }),
              ...("evict" in wish && { evict: [{ containerId: id, reason: "it is noisy" }] }),
            }));
            return {};
          },
        },
      });
      const containerId = await world.startedContainer(await world.runPod());
      if (during === "UpdateContainer") {
        const updating = world.call("UpdateContainerResources", {
          containerId,
          linux: { memoryLimitInBytes: 64n },
        });
        // There is nothing to update in one that is evicted.
        await updating.catch(() => assert.equal(state, "CONTAINER_EXITED"));
      }
      assert.deepEqual(failed, []);
      assert.equal(node.plugins.list()[0]?.calls[during]?.failures, 0);
      const { status } = await world.call("ContainerStatus", { containerId });
      assert.equal(status?.state, state);
      if ("evict" in wish) {
        assert.equal(status?.message, 'evicted by NRI plugin "10-fake": it is noisy');
        await plugin.got("StopContainer");
      } else {
        assert.equal(status?.resources?.linux?.cpuShares, 77n);
        assert.deepEqual(world.client.taskOf("container").updates[0], { cpu: { shares: 77 } });
      }
    });
  }

  it("evicts it with its answer to an update", async () => {
    await using both = await pluggedWorld();
    const { node, world } = both;
    const plugin = await node.plugged({
      on: {
        UpdateContainer: async (request) => ({
          evict: [{ containerId: containerIn(request), reason: "" }],
        }),
      },
    });
    const containerId = await world.startedContainer(await world.runPod());
    const linux = { memoryLimitInBytes: 64n };
    await assert.rejects(world.call("UpdateContainerResources", { containerId, linux }), {
      code: "FAILED_PRECONDITION",
    });
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.equal(status?.state, "CONTAINER_EXITED");
    await plugin.got("StopContainer");
  });
});

describe("a plugin that hangs over the start of a container", () => {
  for (const during of ["StartContainer", "PostStartContainer"] as const) {
    it(`does not keep another from updating it: ${during}`, async () => {
      await using both = await pluggedWorld();
      const { node, world } = both;
      const gate = Promise.withResolvers<void>();
      const hangs = await node.plugged({
        on: {
          [during]: async () => {
            await gate.promise;
            return {};
          },
        },
      });
      const other = await node.plugged({ index: "20" });
      const starting = world.runPod().then((pod) => world.startedContainer(pod));
      const id = containerIn(await hangs.got(during));
      assert.deepEqual((await other.update([update(id)])).failed, []);
      gate.resolve();
      const containerId = await starting;
      assert.equal(containerId, id);
      const { status } = await world.call("ContainerStatus", { containerId });
      assert.equal(status?.state, "CONTAINER_RUNNING");
      assert.equal(status?.resources?.linux?.cpuShares, 77n);
    });
  }
});

describe("plugins of which one hangs over what only it is told of", () => {
  it("learn of a pod's stop after that of its containers", async () => {
    await using both = await pluggedWorld();
    const { node, world } = both;
    const gate = Promise.withResolvers<void>();
    const hangs = await node.plugged({
      events: 2 ** 9, // StopContainer
      on: {
        StopContainer: async () => {
          await gate.promise;
          return {};
        },
      },
    });
    const other = await node.plugged({ index: "20" });
    const podSandboxId = await world.runPod();
    await world.startedContainer(podSandboxId);
    world.client.taskOf("container").init.end(0);
    await hangs.got("StopContainer");
    const stopping = world.call("StopPodSandbox", { podSandboxId });
    await until("its process is gone", async () => world.steps.done.includes("delete sandbox"));
    gate.resolve();
    await stopping;
    assert.deepEqual(other.seen().slice(-2), ["StopContainer", "StopPodSandbox"]);
  });
});

describe("an update that plugins are asked about", () => {
  it("comes before a start that was wanted after it, and is done though its kubelet has gone", async () => {
    await using both = await pluggedWorld();
    const { node, world } = both;
    const gate = Promise.withResolvers<void>();
    const plugin = await node.plugged({
      on: {
        UpdateContainer: async () => {
          await gate.promise;
          return {};
        },
      },
    });
    const containerId = await world.createContainer(await world.runPod());
    const gone = new AbortController();
    const linux = { memoryLimitInBytes: 64n };
    const updating = world.call("UpdateContainerResources", { containerId, linux }, gone.signal);
    await plugin.got("UpdateContainer");
    const starting = world.call("StartContainer", { containerId });
    gone.abort(new Error("the kubelet has gone"));
    await assert.rejects(updating, { message: "the kubelet has gone" });
    gate.resolve();
    await starting;
    assert.deepEqual(plugin.seen().slice(3), [
      "UpdateContainer",
      "PostUpdateContainer",
      "StartContainer",
      "PostStartContainer",
    ]);
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.equal(status?.resources?.linux?.memoryLimitInBytes, 64n);
  });
});
