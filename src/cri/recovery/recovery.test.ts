// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { FakeWorld } from "../../../test/support/cri/fake-world.ts";
import { containerInit } from "../../../test/support/services.ts";
import { until } from "../../../test/support/until.ts";
import { fault } from "../../base/errors.ts";
import { nullIo } from "../../client/io/null-io.ts";
import { noteFreeze } from "../checkpoint/freeze-notes.ts";

async function stateOf(world: FakeWorld, containerId: string): Promise<unknown[]> {
  const { status } = await world.call("ContainerStatus", { containerId });
  return [status?.state, status?.exitCode, status?.reason];
}

describe("recovery", () => {
  it("refuses calls until it has ended, but for Version", async () => {
    await using world = await FakeWorld.create();
    const recovering = world.restart();
    await new Promise(setImmediate); // the old service has closed, the new one recovers
    const { runtimeName } = await world.call("Version", {});
    assert.equal(runtimeName, "berth");
    const refused = world.call("ListPodSandbox", {});
    await assert.rejects(refused, { code: "UNAVAILABLE", message: /starting up/ });
    await recovering;
    await world.call("ListPodSandbox", {});
  });

  it("takes up running pods, their logs and their exits", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const containerId = await world.startedContainer(podSandboxId);
    await world.restart();
    assert.ok(world.steps.done.includes("resume log"));
    const [state] = await stateOf(world, containerId);
    assert.equal(state, "CONTAINER_RUNNING");
    const pod = await world.call("PodSandboxStatus", { podSandboxId });
    assert.equal(pod.status?.state, "SANDBOX_READY");
    assert.equal(pod.status?.network?.ip, "10.0.0.2");
    await world.call("ReopenContainerLog", { containerId });
    await world.call("ExecSync", { containerId, cmd: ["true"] });
    world.client.taskOf("container").init.end(3);
    await world.call("StopContainer", { containerId, timeout: 0n });
    assert.deepEqual(await stateOf(world, containerId), ["CONTAINER_EXITED", 3, "Error"]);
    await world.call("RemovePodSandbox", { podSandboxId });
    assert.equal(world.client.records.size + world.client.tasks.size, 0);
  });

  it("finds the exit of a container that ended meanwhile", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    await world.runtime.close();
    world.client.taskOf("container").init.end(42);
    await world.restart();
    assert.deepEqual(await stateOf(world, containerId), ["CONTAINER_EXITED", 42, "Error"]);
    assert.ok(world.steps.done.includes("resume log of stopped"));
  });

  it("gives 255 and Unknown to a container whose task is gone, and ends its sandbox", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const containerId = await world.startedContainer(podSandboxId);
    for (const task of world.client.runtime.list()) world.client.runtime.forget(task);
    await world.restart();
    assert.deepEqual(await stateOf(world, containerId), ["CONTAINER_EXITED", 255, "Unknown"]);
    const { status } = await world.call("PodSandboxStatus", { podSandboxId });
    assert.equal(status?.state, "SANDBOX_NOTREADY");
    await world.call("RemovePodSandbox", { podSandboxId });
  });

  it("finds out that a container was started although its record says created", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.createContainer(await world.runPod());
    const container = await world.client.loadContainer(containerId);
    const options = { io: nullIo, rootfs: [] };
    const task = await container.newTask(options, { signal: AbortSignal.timeout(60_000) });
    await task.start({ signal: AbortSignal.timeout(60_000) });
    await world.restart();
    const [state] = await stateOf(world, containerId);
    assert.equal(state, "CONTAINER_RUNNING");
  });

  it("ends a task that was made but not started, and lets the container be started again", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    world.client.taskOf("container").init.status = "CREATED";
    await world.restart();
    assert.deepEqual(await stateOf(world, containerId), ["CONTAINER_CREATED", 0, ""]);
    assert.equal(world.client.tasks.has(containerId), false);
    await world.call("StartContainer", { containerId });
    const [state] = await stateOf(world, containerId);
    assert.equal(state, "CONTAINER_RUNNING");
  });

  it("undoes a sandbox that was being made", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    world.client.taskOf("sandbox").init.status = "CREATED";
    world.steps.take();
    await world.restart();
    const undone = ["network down", "remove netns", "unmount shm", "drop cri-sandboxes"];
    assert.deepEqual(
      world.steps.take().filter((step) => undone.includes(step)),
      undone,
    );
    await assert.rejects(world.call("PodSandboxStatus", { podSandboxId }), { code: "NOT_FOUND" });
  });

  it("shows a record that cannot be recovered as unknown, and recovers the others", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const containerId = await world.startedContainer(podSandboxId);
    world.client.runtime.unreachable.add(containerId);
    await world.restart();
    const [state] = await stateOf(world, containerId);
    assert.equal(state, "CONTAINER_UNKNOWN");
    const { status } = await world.call("PodSandboxStatus", { podSandboxId });
    assert.equal(status?.state, "SANDBOX_READY");
    world.client.runtime.unreachable.clear();
    await world.call("StopContainer", { containerId, timeout: 0n });
    assert.deepEqual(await stateOf(world, containerId), ["CONTAINER_EXITED", 255, "Unknown"]);
  });

  it("leaves a container as it was whose shim does not answer and whose process lives, and goes on", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const containerId = await world.startedContainer(podSandboxId);
    world.client.runtime.unreachable.add(containerId);
    world.living.add(containerId);
    await world.restart();
    assert.equal((await stateOf(world, containerId))[0], "CONTAINER_RUNNING");
    assert.ok(!world.steps.done.includes("resume log"));
    world.client.runtime.unreachable.clear();
    await until("its log is taken up again", () => world.steps.done.includes("resume log"));
    world.client.taskOf("container").init.end(4);
    await until("its exit is seen", async () => (await stateOf(world, containerId))[1] === 4);
  });

  it("leaves a pod ready whose shim does not answer and whose process lives, and goes on", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    world.client.runtime.unreachable.add(podSandboxId);
    world.living.add(podSandboxId);
    await world.restart();
    const state = async (): Promise<unknown> =>
      (await world.call("PodSandboxStatus", { podSandboxId })).status?.state;
    assert.equal(await state(), "SANDBOX_READY");
    world.client.runtime.unreachable.clear();
    world.client.taskOf("sandbox").init.end(0);
    await until("its end is seen", async () => (await state()) === "SANDBOX_NOTREADY");
  });

  it("keeps nothing of a container that is removed while it is taken up late", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    world.client.runtime.unreachable.add(containerId);
    world.living.add(containerId);
    await world.restart();
    const gate = Promise.withResolvers<void>();
    world.steps.held.set("resume log", gate.promise);
    world.client.runtime.unreachable.clear();
    await until("its log is being taken up", () => world.steps.waited.includes("resume log"));
    await world.call("RemoveContainer", { containerId });
    gate.resolve();
    await until("its log is closed", () => world.steps.done.includes("close log"));
  });

  it("thaws a container that stood still for a checkpoint once its late shim answers", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    await world.client.taskOf("container").pause();
    const notes = path.join(world.folder, "root/io.berth.cri/checkpoints");
    const staging = path.join(world.folder, ".berth-checkpoint-x");
    await noteFreeze(notes, { containers: [containerId], staging });
    const answer = Promise.withResolvers<void>();
    world.client.runtime.lateTasks.set(containerId, answer.promise);
    await world.restart();
    assert.equal((await readdir(notes)).length, 1);
    world.client.runtime.lateTasks.clear();
    answer.resolve();
    await until("it runs", () => world.client.taskOf("container").init.status === "RUNNING");
    await until("nothing is noted", async () => (await readdir(notes)).length === 0);
  });

  it("lets a pod's containers be stopped while the pod's own task is tried again", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const containerId = await world.startedContainer(podSandboxId);
    const answer = Promise.withResolvers<void>();
    world.client.runtime.lateTasks.set(podSandboxId, answer.promise);
    world.living.add(podSandboxId);
    await world.restart();
    await assert.rejects(world.call("StopContainer", { containerId, timeout: 0n }), {
      code: "UNAVAILABLE",
    });
    world.client.runtime.unreachable.add(podSandboxId);
    world.client.runtime.lateTasks.clear();
    answer.resolve();
    await until("it can be stopped", () =>
      world.call("StopContainer", { containerId, timeout: 0n }).then(
        () => true,
        () => false,
      ),
    );
    assert.equal((await stateOf(world, containerId))[0], "CONTAINER_EXITED");
  });

  it("shows such a container as unknown once its process is gone without a word", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    world.client.runtime.unreachable.add(containerId);
    world.living.add(containerId);
    await world.restart();
    world.living.clear();
    await until("it is unknown", async () => {
      return (await stateOf(world, containerId))[0] === "CONTAINER_UNKNOWN";
    });
  });

  it("removes what belongs to no record, and leaves what is not ours", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const labels = { "io.cri-containerd.kind": "container" };
    await world.client.newContainer(containerInit("orphan", { labels }));
    await world.client.newContainer(containerInit("made-by-ctr", { labels: { owner: "me" } }));
    const sandboxes = path.join(world.folder, "root/io.berth.cri/sandboxes");
    await mkdir(path.join(sandboxes, "orphan"));
    const netns = path.join(world.folder, "state/netns");
    await mkdir(path.join(netns, "orphan"), { recursive: true });
    await world.restart();
    assert.deepEqual([...world.client.records.keys()], [podSandboxId, "made-by-ctr"]);
    assert.deepEqual(await readdir(sandboxes), [podSandboxId]);
    assert.ok(world.steps.done.includes("remove netns"));
  });

  it("gives back the addresses of sandboxes that have no record, before their namespaces go", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    world.attached = [podSandboxId, "orphan"];
    await mkdir(path.join(world.folder, "state/netns/orphan"), { recursive: true });
    world.steps.take();
    await world.restart();
    const done = world.steps.take().filter((step) => /network|netns|FIFO/.test(step));
    assert.deepEqual(done.slice(0, 4), [
      "remove orphan FIFOs",
      "network down",
      "remove netns",
      "collect networks but 1",
    ]);
  });

  it("serves while a leftover does not go, and what is made meanwhile is none", async () => {
    await using world = await FakeWorld.create();
    world.attached = ["orphan"];
    const plugin = Promise.withResolvers<void>();
    world.steps.held.set("network down", plugin.promise);
    await world.restart();
    world.steps.held.clear();
    const podSandboxId = await world.runPod();
    world.steps.take();
    plugin.resolve();
    await until("the leftover is gone", async () => world.steps.done.includes("network down"));
    const { status } = await world.call("PodSandboxStatus", { podSandboxId });
    assert.equal(status?.state, "SANDBOX_READY");
    assert.ok(world.client.records.has(podSandboxId));
  });

  it("shows what is late as it was, lets nobody change it, and takes it up once it is there", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const containerId = await world.startedContainer(podSandboxId);
    const answer = Promise.withResolvers<void>();
    world.client.runtime.lateTasks.set(containerId, answer.promise);
    await world.restart();
    assert.deepEqual(await stateOf(world, containerId), ["CONTAINER_RUNNING", 0, ""]);
    const { items = [] } = await world.call("ListPodSandbox", {});
    assert.deepEqual(
      items.map(({ id, state }) => [id, state]),
      [[podSandboxId, "SANDBOX_READY"]],
    );
    const isLate = { code: "UNAVAILABLE", message: /has not answered since the start/ };
    const shortId = containerId.slice(0, 12);
    await assert.rejects(
      world.call("StopContainer", { containerId: shortId, timeout: 0n }),
      isLate,
    );
    await assert.rejects(world.call("StopPodSandbox", { podSandboxId }), isLate);
    await assert.rejects(world.call("ReopenContainerLog", { containerId }), isLate);
    world.client.runtime.lateTasks.clear();
    world.client.taskOf("container").init.end(7);
    answer.resolve();
    await until("its end is known", async () => (await stateOf(world, containerId))[1] === 7);
    await world.call("RemovePodSandbox", { podSandboxId });
  });

  it("asks for the state of each task once", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const containerId = await world.startedContainer(podSandboxId);
    const asked: string[] = [];
    for (const task of world.client.tasks.values()) {
      const state = task.state.bind(task);
      task.state = (...args) => {
        asked.push(task.id);
        return state(...args);
      };
    }
    await world.restart();
    assert.deepEqual(asked.sort(), [podSandboxId, containerId].sort());
  });

  it("leaves to the network's own collection what could not be taken down", async () => {
    await using world = await FakeWorld.create();
    world.attached = ["orphan"];
    world.steps.fail("network down", fault("UNKNOWN", "plugin is missing"));
    world.steps.take();
    await world.restart();
    const done = world.steps.take().filter((step) => /network/.test(step));
    assert.deepEqual(done, ["network down failed", "abandon network", "collect networks but 0"]);
  });

  it("checks the networks of running pods beside the calls, and tells what is amiss", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const cniCheck = async (): Promise<unknown> => {
      const { info } = await world.call("PodSandboxStatus", { podSandboxId, verbose: true });
      return (JSON.parse(info?.["info"] ?? "{}") as { cniCheck?: string }).cniCheck;
    };
    assert.equal(await cniCheck(), undefined);
    const slow = Promise.withResolvers<void>();
    world.steps.held.set("network check", slow.promise);
    await world.restart();
    assert.equal(await cniCheck(), undefined); // a plugin that sleeps holds nobody
    slow.resolve();
    assert.equal(await until("the network is checked", cniCheck), "OK");
    world.steps.fail("network check", fault("UNKNOWN", "eth0 has lost its address"));
    await world.restart();
    assert.equal(await until("the network is checked", cniCheck), "eth0 has lost its address");
    await world.call("StopPodSandbox", { podSandboxId });
    await world.call("RemovePodSandbox", { podSandboxId });
  });

  it("keeps what belongs to a damaged record", async () => {
    await using world = await FakeWorld.create();
    const labels = { "io.cri-containerd.kind": "container" };
    await world.client.newContainer(containerInit("damaged", { labels }));
    world.client.rows.damage({ table: "cri-containers", namespace: "k8s.io", id: "damaged" });
    await world.restart();
    assert.ok(world.client.records.has("damaged"));
  });
});
