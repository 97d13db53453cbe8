// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeWorld } from "../../../test/support/cri/fake-world.ts";
import type { OciLinuxResources } from "../../oci/spec.ts";

function storedResources(world: FakeWorld, id: string): unknown {
  const value = world.client.records.get(id)?.spec?.value ?? Buffer.alloc(0);
  const spec = JSON.parse(Buffer.from(value).toString()) as { linux: { resources: unknown } };
  return spec.linux.resources;
}

describe("UpdateContainerResources", () => {
  it("merges into what was given before, in the spec and in the task", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const task = world.client.taskOf("container");
    const update = (linux: object): Promise<unknown> =>
      world.call("UpdateContainerResources", { containerId, linux });
    await update({ memoryLimitInBytes: 64n });
    await update({ cpuShares: 512n });
    assert.deepEqual(task.updates.at(-1), { cpu: { shares: 512 }, memory: { limit: 64 } });
    assert.deepEqual(storedResources(world, containerId), task.updates.at(-1));
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.equal(status?.resources?.linux?.cpuShares, 512n);
    assert.equal(status?.resources?.linux?.memoryLimitInBytes, 64n);
  });

  it("leaves what plugins have set and CRI has no word for", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const record = world.client.records.get(containerId);
    const spec = JSON.parse(Buffer.from(record?.spec?.value ?? []).toString());
    spec.linux.resources = {
      memory: { limit: 32, swap: 32, reservation: 16, swappiness: 10 },
      cpu: { realtimePeriod: 1000, shares: 2 },
      blockIO: { weight: 100 },
    };
    Object.assign(record?.spec ?? {}, { value: Buffer.from(JSON.stringify(spec)) });
    const linux = { memoryLimitInBytes: 64n, cpuShares: 512n };
    await world.call("UpdateContainerResources", { containerId, linux });
    assert.deepEqual(storedResources(world, containerId), {
      memory: { limit: 64, reservation: 16, swappiness: 10 },
      cpu: { realtimePeriod: 1000, shares: 512 },
      blockIO: { weight: 100 },
    });
  });

  it("leaves the OOM score that holds", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const score = async (): Promise<unknown> =>
      (await world.call("ContainerStatus", { containerId })).status?.resources?.linux?.oomScoreAdj;
    const before = await score();
    const linux = { oomScoreAdj: 321n, cpuShares: 5n };
    await world.call("UpdateContainerResources", { containerId, linux });
    assert.equal((await score()) || 0n, before || 0n);
  });

  it("puts the stored spec back when the task refuses", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const before = storedResources(world, containerId);
    world.steps.fail("update container");
    const request = { containerId, linux: { memoryLimitInBytes: 1n } };
    await assert.rejects(world.call("UpdateContainerResources", request), {
      message: "update container failed",
    });
    assert.deepEqual(storedResources(world, containerId), before);
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.ok(!status?.resources?.linux?.memoryLimitInBytes);
  });

  it("sets the limits back that were set before one failed", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const task = world.client.taskOf("container");
    const update = (linux: object): Promise<unknown> =>
      world.call("UpdateContainerResources", { containerId, linux });
    await update({ cpuShares: 512n });
    const { updates } = task;
    const apply = task.update.bind(task);
    task.update = async (options) => {
      await apply(options);
      if (updates.length === 2) throw new Error("cpuset is wrong");
    };
    await assert.rejects(update({ cpuShares: 64n, cpusetCpus: "99" }));
    assert.deepEqual(updates.at(-1), { cpu: { shares: 512 } });
  });

  it("has all of two updates at once, in the task as in the record", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const task = world.client.taskOf("container");
    const update = (linux: object): Promise<unknown> =>
      world.call("UpdateContainerResources", { containerId, linux });
    await Promise.all([
      update({ memoryLimitInBytes: 64n }),
      update({ cpuShares: 512n }),
      update({ cpuQuota: 1000n }),
    ]);
    const { cpu, memory } = task.updates.at(-1) as OciLinuxResources;
    assert.deepEqual([cpu?.shares, cpu?.quota, memory?.limit], [512, 1000, 64]);
    assert.deepEqual(storedResources(world, containerId), task.updates.at(-1));
  });

  for (const [name, step] of [
    ["that is being started", "start container"],
    ["whose task is being made", "create container"],
  ] as const) {
    it(`reaches a container ${name}`, async () => {
      await using world = await FakeWorld.create();
      const containerId = await world.createContainer(await world.runPod());
      const { promise, resolve } = Promise.withResolvers<void>();
      world.steps.held.set(step, promise);
      const starting = world.call("StartContainer", { containerId });
      const linux = { memoryLimitInBytes: 64n };
      const updating = world.call("UpdateContainerResources", { containerId, linux });
      await new Promise(setImmediate);
      resolve();
      await Promise.all([starting, updating]);
      const last = world.client.taskOf("container").updates.at(-1) as OciLinuxResources;
      assert.deepEqual(last.memory, { limit: 64 });
      const { status } = await world.call("ContainerStatus", { containerId });
      assert.equal(status?.resources?.linux?.memoryLimitInBytes, 64n);
      assert.equal(status?.state, "CONTAINER_RUNNING");
    });
  }

  it("that is under way is waited for by a start", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.createContainer(await world.runPod());
    const linux = { memoryLimitInBytes: 64n };
    const updating = world.call("UpdateContainerResources", { containerId, linux });
    await Promise.all([updating, world.call("StartContainer", { containerId })]);
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.equal(status?.resources?.linux?.memoryLimitInBytes, 64n);
    assert.equal(status?.state, "CONTAINER_RUNNING");
  });

  const refused = [
    {
      name: "a negative memory limit",
      linux: { memoryLimitInBytes: -1n },
      code: "INVALID_ARGUMENT",
    },
    { name: "negative shares", linux: { cpuShares: -1n }, code: "INVALID_ARGUMENT" },
    {
      name: "a memory limit below what is used",
      linux: { memoryLimitInBytes: 4095n },
      code: "FAILED_PRECONDITION",
    },
    {
      name: "a file of cgroup v2 on a host with v1",
      linux: { unified: { "memory.high": "1000" } },
      code: "FAILED_PRECONDITION",
    },
  ];
  for (const { name, linux, code } of refused) {
    it(`refuses ${name}`, async () => {
      await using world = await FakeWorld.create();
      world.memoryUsage = 4096n;
      const containerId = await world.startedContainer(await world.runPod());
      await assert.rejects(world.call("UpdateContainerResources", { containerId, linux }), {
        code,
      });
      assert.deepEqual(world.client.taskOf("container").updates, []);
    });
  }

  it("refuses a container that is unknown or has exited", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    await world.call("StopContainer", { containerId, timeout: 0n });
    const request = { containerId, linux: { cpuShares: 1n } };
    await assert.rejects(world.call("UpdateContainerResources", request), {
      code: "FAILED_PRECONDITION",
    });
    await assert.rejects(
      world.call("UpdateContainerResources", { ...request, containerId: "nope" }),
      { code: "NOT_FOUND" },
    );
  });
});
