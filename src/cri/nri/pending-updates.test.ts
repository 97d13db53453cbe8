// SPDX-License-Identifier: Apache-2.0
// What plugins want of a container that is being made, and that they know of already.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FakeWorld } from "../../../test/support/cri/fake-world.ts";
import { pluggedWorld } from "../../../test/support/cri/plugged-world.ts";
import type { FakePlugin } from "../../../test/support/nri/fake-plugin.ts";
import type { PluggedNode } from "../../../test/support/nri/plugged-node.ts";
import { fault } from "../../base/errors.ts";
import type { ContainerUpdateInit } from "../../nri/messages.ts";

const updateOf = (containerId: string, shares = 77): ContainerUpdateInit => ({
  containerId,
  linux: { resources: { cpu: { shares: { value: shares } } } },
});

async function sharesOf(world: FakeWorld, containerId: string): Promise<unknown> {
  const { status } = await world.call("ContainerStatus", { containerId });
  return status?.resources?.linux?.cpuShares;
}

/** Plugin 50 is being asked about a new container; it answers when it is let go. */
async function creating(
  node: PluggedNode,
  world: FakeWorld,
): Promise<{
  readonly id: string;
  readonly go: (how?: { readonly refuses: boolean }) => void;
  readonly made: Promise<string>;
}> {
  const gate = Promise.withResolvers<boolean>();
  const plugin = await node.plugged({
    index: "50",
    on: {
      CreateContainer: async ({ container }) => {
        if (container?.name !== "server") return {};
        if (await gate.promise) throw fault("ABORTED", "there is no room");
        return {};
      },
    },
  });
  const made = world.runPod().then((pod) => world.startedContainer(pod));
  made.catch(() => {});
  const id = (await plugin.got("CreateContainer")).container?.id ?? "";
  return { id, made, go: ({ refuses } = { refuses: false }) => gate.resolve(refuses) };
}

describe("a container that is being made", () => {
  it("gets what a plugin that joins meanwhile makes of it, before it starts", async () => {
    await using both = await pluggedWorld();
    const { node, world } = both;
    const { id, go, made } = await creating(node, world);
    const joined = await node.plugged({
      index: "20",
      on: { Synchronize: async () => ({ update: [updateOf(id)] }) },
    });
    assert.deepEqual(joined.seen(), []);
    go();
    await made;
    assert.equal(await sharesOf(world, id), 77n);
    assert.deepEqual(world.client.taskOf("container").updates, []);
  });

  it("gets what a plugin that joined meanwhile wants by itself, and the plugin its answer then", async () => {
    await using both = await pluggedWorld();
    const { node, world } = both;
    const { id, go, made } = await creating(node, world);
    const joined = await node.plugged({ index: "20" });
    const wanted = joined.update([updateOf(id), updateOf(id, 78)]);
    // Others of the same plugin do not wait for it.
    assert.deepEqual((await joined.update([updateOf("nobody")])).failed, []);
    go();
    assert.deepEqual((await wanted).failed, []);
    assert.equal(await made, id);
    assert.equal(await sharesOf(world, id), 78n);
  });

  it("is told as failed when it does not come to be", async () => {
    await using both = await pluggedWorld();
    const { node, world } = both;
    const { id, go, made } = await creating(node, world);
    const joined = await node.plugged({
      index: "20",
      on: { Synchronize: async () => ({ update: [updateOf(id)] }) },
    });
    const wanted = joined.update([updateOf(id), { ...updateOf(id), ignoreFailure: true }]);
    go({ refuses: true });
    const { failed } = await wanted;
    assert.deepEqual(
      failed.map(({ containerId }) => containerId),
      [id],
    );
    await assert.rejects(made, /there is no room/);
  });

  it("gets what the answer about another one makes of it, which waits for nothing", async () => {
    await using both = await pluggedWorld();
    const { node, world } = both;
    let first: string | undefined;
    const plugin = await node.plugged({
      on: {
        CreateContainer: async ({ container }) => {
          const update = first === undefined ? [] : [updateOf(first)];
          first ??= container?.id;
          return { update };
        },
      },
    });
    const pod = await world.runPod();
    const gate = Promise.withResolvers<void>();
    world.steps.held.set("prepare snapshot", gate.promise);
    const making = world.startedContainer(pod);
    await plugin.got("CreateContainer");
    world.steps.held.clear();
    await world.createContainer(pod, { metadata: { name: "b" }, image: { image: "busybox" } });
    gate.resolve();
    const id = await making;
    assert.equal(id, first);
    assert.equal(await sharesOf(world, id), 77n);
  });

  it("cannot be changed by who is asked about it, but in the answer", async () => {
    await using both = await pluggedWorld();
    const { node, world } = both;
    let failed: readonly unknown[] = [];
    const plugin: FakePlugin = await node.plugged({
      on: {
        CreateContainer: async ({ container }) => {
          ({ failed } = await plugin.update([updateOf(container?.id ?? "")]));
          return {};
        },
      },
    });
    const id = await world.startedContainer(await world.runPod());
    assert.equal(failed.length, 1);
    assert.equal(node.plugins.list()[0]?.calls["CreateContainer"]?.failures, 0);
    assert.notEqual(await sharesOf(world, id), 77n);
  });

  it("is not made when a plugin evicts it in its answer", async () => {
    await using both = await pluggedWorld();
    const { node, world } = both;
    await node.plugged({
      on: {
        CreateContainer: async ({ container }) => ({
          evict: [{ containerId: container?.id ?? "", reason: "no" }],
        }),
      },
    });
    const pod = await world.runPod();
    await assert.rejects(world.createContainer(pod), {
      code: "FAILED_PRECONDITION",
      message: /plugin "10-fake" asked eviction of "[0-9a-f]+" during creation/,
    });
  });
});
