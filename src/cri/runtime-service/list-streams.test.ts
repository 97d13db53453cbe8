// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { containerConfig, FakeWorld, podConfig } from "../../../test/support/cri/fake-world.ts";
import { chunksOf, encoded } from "../convert/chunks.ts";

describe("list streams", () => {
  it("answer what the lists do, each item once, in messages that are not empty", async () => {
    await using world = await FakeWorld.create();
    for (const name of ["a", "b", "c"]) {
      const metadata = { name, namespace: "shop", uid: `u-${name}`, attempt: 0 };
      const pod = await world.runPod(podConfig({ metadata, labels: { name } }));
      await world.startedContainer(pod);
    }
    const ids = async <T extends object>(
      stream: AsyncIterable<T>,
      pick: (message: T) => readonly { id?: unknown }[] | undefined,
    ): Promise<unknown[]> => {
      const all: unknown[] = [];
      for await (const message of stream) {
        const items = pick(message) ?? [];
        assert.ok(items.length > 0);
        all.push(...items.map(({ id }) => id));
      }
      return all;
    };
    const pods = (await world.call("ListPodSandbox", {})).items?.map(({ id }) => id);
    const containers = (await world.call("ListContainers", {})).containers?.map(({ id }) => id);
    assert.deepEqual(
      await ids(world.stream("StreamPodSandboxes"), ({ podSandboxes }) => podSandboxes),
      pods,
    );
    assert.deepEqual(
      await ids(world.stream("StreamContainers"), (message) => message.containers),
      containers,
    );
    assert.deepEqual(
      await ids(world.stream("StreamContainerStats"), ({ containerStats }) =>
        containerStats?.map(({ attributes }) => ({ id: attributes?.id })),
      ),
      containers,
    );
    assert.deepEqual(
      await ids(world.stream("StreamPodSandboxStats"), ({ podSandboxStats }) =>
        podSandboxStats?.map(({ attributes }) => ({ id: attributes?.id })),
      ),
      pods,
    );
    const filter = { labelSelector: { name: "b" } };
    assert.deepEqual(
      await ids(world.stream("StreamPodSandboxes", { filter }), (message) => message.podSandboxes),
      [pods?.[1]],
    );
  });

  it("end without a message when there is nothing", async () => {
    await using world = await FakeWorld.create();
    for (const method of [
      "StreamPodSandboxes",
      "StreamContainers",
      "StreamPodSandboxMetrics",
    ] as const) {
      for await (const message of world.stream(method)) assert.fail(JSON.stringify(message));
    }
  });

  it("keep messages small, but never split an item", () => {
    const container = (bytes: number) => containerConfig({ annotations: { a: "x".repeat(bytes) } });
    const sizes = (limit: { bytes: number; items: number }): number[] =>
      [
        ...chunksOf(
          encoded("runtime.v1.ContainerConfig", [100, 100, 5000, 100, 100, 100].map(container)),
          limit,
        ),
      ].map((chunk) => chunk.length);
    assert.deepEqual(sizes({ bytes: 1000, items: 100 }), [2, 1, 3]);
    assert.deepEqual(sizes({ bytes: 1_000_000, items: 4 }), [4, 2]);
  });
});

describe("UpdatePodSandboxResources", () => {
  it("is remembered over a restart, and shown", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    await world.call("UpdatePodSandboxResources", {
      podSandboxId,
      overhead: { cpuShares: 10n },
      resources: { memoryLimitInBytes: 1_000_000n },
    });
    await world.restart();
    const { info = {} } = await world.call("PodSandboxStatus", { podSandboxId, verbose: true });
    const shown = JSON.parse(info["info"] ?? "{}");
    assert.equal(shown.overhead.cpu_shares, 10);
    assert.equal(shown.resources.memory_limit_in_bytes, 1_000_000);
  });

  it("is NOT_FOUND for an unknown sandbox", async () => {
    await using world = await FakeWorld.create();
    await assert.rejects(world.call("UpdatePodSandboxResources", { podSandboxId: "nope" }), {
      code: "NOT_FOUND",
    });
  });
});
