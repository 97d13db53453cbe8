// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { containerConfig, FakeWorld } from "../../../test/support/cri/fake-world.ts";
import type { ContainerEventResponseInit } from "../../gen/cri.gen.ts";

const short = ({ containerEventType }: ContainerEventResponseInit): string =>
  String(containerEventType)
    .replaceAll(/^CONTAINER_|_EVENT$/g, "")
    .toLowerCase();

describe("GetContainerEvents", () => {
  it("tells a pod's whole life, each event with its pod", async () => {
    await using world = await FakeWorld.create();
    const stream = world.stream("GetContainerEvents");
    const pod = await world.runPod();
    const containerId = await world.startedContainer(pod);
    world.client.taskOf("container").init.end(0);
    await world.call("RemoveContainer", { containerId });
    await world.call("RemovePodSandbox", { podSandboxId: pod });
    await world.runtime.close();
    const events: ContainerEventResponseInit[] = [];
    for await (const event of stream) events.push(event);
    assert.deepEqual(
      events.map((event) => [event.containerId === pod ? "pod" : "container", short(event)]),
      [
        ["pod", "created"],
        ["pod", "started"],
        ["container", "created"],
        ["container", "started"],
        ["container", "stopped"],
        ["container", "deleted"],
        ["pod", "stopped"],
        ["pod", "deleted"],
      ],
    );
    for (const [at, event] of events.entries()) {
      assert.equal(event.podSandboxStatus?.metadata?.uid, "u-1", short(event));
      const before = events[at - 1]?.createdAt ?? 0n;
      assert.ok(BigInt(event.createdAt ?? 0n) > BigInt(before ?? 0n), "times grow");
    }
    const [, , , started, stopped] = events;
    assert.equal(started?.containersStatuses?.[0]?.state, "CONTAINER_RUNNING");
    assert.equal(stopped?.containersStatuses?.[0]?.state, "CONTAINER_EXITED");
  });

  it("is not held up by a client that does not read", async () => {
    await using world = await FakeWorld.create();
    world.stream("GetContainerEvents");
    const pod = await world.runPod();
    // How much the connection takes before anything waits is the machine's.
    for (let round = 0; round < 4000 && world.droppedEvents === 0; round += 1) {
      const containerId = await world.startedContainer(pod);
      await world.call("RemoveContainer", { containerId });
    }
    assert.ok(world.droppedEvents > 0);
  });

  it("stays open until the client leaves", async () => {
    await using world = await FakeWorld.create();
    const abort = new AbortController();
    const events = world.stream("GetContainerEvents", {}, abort.signal)[Symbol.asyncIterator]();
    const next = events.next();
    abort.abort();
    await assert.rejects(next, { name: "AbortError" });
  });
});

describe("PodSandboxStatus", () => {
  it("has the containers' statuses and its own time", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const containerId = await world.startedContainer(podSandboxId);
    const answer = await world.call("PodSandboxStatus", { podSandboxId });
    assert.deepEqual(
      answer.containersStatuses?.map(({ id, state }) => [id, state]),
      [[containerId, "CONTAINER_RUNNING"]],
    );
    assert.ok(BigInt(answer.timestamp ?? 0) > 0n);
  });

  it("has the newest container first: a kubelet takes the first of a name for the present one", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const made: string[] = [];
    for (const attempt of [0, 1, 2]) {
      const metadata = { name: "main", attempt };
      made.push(await world.createContainer(podSandboxId, { ...containerConfig(), metadata }));
    }
    const { containersStatuses } = await world.call("PodSandboxStatus", { podSandboxId });
    assert.deepEqual(
      containersStatuses?.map(({ id }) => id),
      made.toReversed(),
    );
  });
});
