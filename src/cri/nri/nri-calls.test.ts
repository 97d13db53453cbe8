// SPDX-License-Identifier: Apache-2.0
// What the verbs tell the node's plugins and ask them, in order, over a fake of the plugins.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakePlugins } from "../../../test/support/cri/fake-plugins.ts";
import { FakeWorld } from "../../../test/support/cri/fake-world.ts";
import { until } from "../../../test/support/until.ts";
import type { ContainerUpdate } from "../../nri/messages.ts";
import { codec } from "../../rpc/codec.ts";

function updateOf(containerId: string, limit: bigint, ignoreFailure = false): ContainerUpdate {
  const resources = { memory: { limit: { value: limit } }, pids: { limit: 7n } };
  return codec("nri.pkg.api.v1alpha1.ContainerUpdate").normalize({
    containerId,
    linux: { resources },
    ignoreFailure,
  });
}

async function worldWith(plugins: FakePlugins): Promise<FakeWorld> {
  return FakeWorld.create(plugins);
}

const life = [
  "RunPodSandbox",
  "CreateContainer",
  "PostCreateContainer",
  "StartContainer",
  "PostStartContainer",
  "UpdateContainer",
  "PostUpdateContainer",
  "UpdatePodSandbox",
  "PostUpdatePodSandbox",
  "StopContainer",
  "RemoveContainer",
  "StopPodSandbox",
  "RemovePodSandbox",
];

describe("the node's plugins", () => {
  it("learn of each step in a pod's life once, in order", async () => {
    const plugins = new FakePlugins();
    await using world = await worldWith(plugins);
    const podSandboxId = await world.runPod();
    const containerId = await world.startedContainer(podSandboxId);
    await world.call("UpdateContainerResources", { containerId, linux: { cpuShares: 5n } });
    await world.call("UpdatePodSandboxResources", { podSandboxId, resources: { cpuShares: 9n } });
    for (const timeout of [0n, 0n]) await world.call("StopContainer", { containerId, timeout });
    await world.call("RemoveContainer", { containerId });
    await world.call("StopPodSandbox", { podSandboxId });
    await world.call("RemovePodSandbox", { podSandboxId });
    assert.deepEqual(plugins.calls, life);
    assert.equal(plugins.pending, 0);
  });

  it("are asked about a pod before it is stored as ready: a crash undoes what they may refuse", async () => {
    const plugins = new FakePlugins();
    await using world = await worldWith(plugins);
    const stored = (): unknown[] =>
      world.client.rows
        .stored()
        .filter(({ table }) => table === "cri-sandboxes")
        .map(({ value }) => (JSON.parse(value) as { state: { kind: string } }).state.kind);
    const runPodSandbox = plugins.runPodSandbox.bind(plugins);
    const asked: unknown[] = [];
    plugins.runPodSandbox = (pod, call) => {
      asked.push(stored());
      return runPodSandbox(pod, call);
    };
    await world.runPod();
    assert.deepEqual(asked, [["creating"]]);
    assert.deepEqual(stored(), ["ready"]);
  });

  it("learn of an end that nobody asked for, and of a removal by the pod's", async () => {
    const plugins = new FakePlugins();
    await using world = await worldWith(plugins);
    const podSandboxId = await world.runPod();
    await world.startedContainer(podSandboxId);
    const neverStarted = await world.createContainer(podSandboxId, {
      metadata: { name: "second" },
      image: { image: "busybox" },
    });
    plugins.calls.splice(0);
    plugins.containers.splice(0);
    world.client.taskOf("container").init.end(3);
    await until("the plugins know", async () => plugins.calls.includes("StopContainer"));
    const [stopped] = plugins.containers;
    assert.equal(stopped?.state, "CONTAINER_STOPPED");
    assert.equal(stopped?.exitCode, 3);
    assert.equal(stopped?.statusReason, "Error");
    await world.call("RemovePodSandbox", { podSandboxId });
    assert.deepEqual(plugins.calls.toSorted(), [
      "RemoveContainer",
      "RemoveContainer",
      "RemovePodSandbox",
      "StopContainer",
      "StopContainer", // of the one that never ran
      "StopPodSandbox",
    ]);
    assert.equal(plugins.calls.at(-1), "RemovePodSandbox");
    assert.ok(plugins.containers.some(({ id }) => id === neverStarted));
  });

  it("learn once of what ended while the daemon was away", async () => {
    const plugins = new FakePlugins();
    await using world = await worldWith(plugins);
    const podSandboxId = await world.runPod();
    const saw = await world.startedContainer(podSandboxId);
    world.client.taskOf("container").init.end(0);
    await until("the plugins know", async () => plugins.calls.includes("StopContainer"));
    const second = await world.createContainer(podSandboxId, {
      metadata: { name: "second" },
      image: { image: "busybox" },
    });
    await world.call("StartContainer", { containerId: second });
    await world.runtime.close();
    world.client.tasks.get(second)?.init.end(1);
    plugins.calls.splice(0);
    plugins.containers.splice(0);
    await world.restart();
    assert.deepEqual(
      plugins.containers.map(({ id }) => id),
      [second],
    );
    for (const containerId of [saw, second]) await world.call("RemoveContainer", { containerId });
    assert.deepEqual(plugins.calls, ["StopContainer", "RemoveContainer", "RemoveContainer"]);
  });

  it("know what there is to know of pod and container", async () => {
    const plugins = new FakePlugins();
    await using world = await worldWith(plugins);
    const containerId = await world.startedContainer(await world.runPod());
    const at = (call: string) => plugins.calls.indexOf(call);
    const [pod] = plugins.pods;
    assert.deepEqual(pod?.ips, ["10.0.0.2", "fd00::2"]);
    assert.notEqual(pod?.pid, 0);
    assert.equal(pod?.linux?.cgroupsPath, "/k8s.io/some");
    const [creating] = plugins.containers;
    assert.equal(creating?.id, containerId);
    assert.deepEqual(creating?.args, ["sh"]);
    assert.deepEqual(creating?.env, ["A=b"]);
    assert.equal(creating?.state, "CONTAINER_CREATED");
    assert.equal(creating?.image?.name, "docker.io/library/busybox:1.36");
    assert.match(creating?.image?.digest ?? "", /^sha256:d{64}$/);
    const starting = plugins.containers[at("StartContainer") - 1];
    assert.notEqual(starting?.pid, 0);
    const started = plugins.containers[at("PostStartContainer") - 1];
    assert.equal(started?.state, "CONTAINER_RUNNING");
    assert.equal(started?.pid, starting?.pid);
    assert.notEqual(started?.startedAt, 0n);
  });

  it("change a container that is made, and the record says who", async () => {
    const plugins = new FakePlugins();
    await using world = await worldWith(plugins);
    plugins.adjust = codec("nri.pkg.api.v1alpha1.ContainerAdjustment").normalize({
      env: [{ key: "FOO", value: "1" }],
      linux: { resources: { memory: { limit: { value: 4096 } }, cpu: { cpus: "0" } } },
    });
    plugins.owners = (id) => ({
      owners: {
        [id]: {
          simple: { 8: "10-memory", 21: "20-pinning" },
          compound: { 6: { owners: { FOO: "20-pinning" } } },
        },
      },
    });
    const containerId = await world.createContainer(await world.runPod());
    const spec: unknown = JSON.parse(
      Buffer.from(world.client.records.get(containerId)?.spec?.value ?? "").toString(),
    );
    assert.deepEqual((spec as { process: { env: string[] } }).process.env, ["A=b", "FOO=1"]);
    const { status, info } = await world.call("ContainerStatus", { containerId, verbose: true });
    assert.equal(status?.resources?.linux?.memoryLimitInBytes, 4096n);
    assert.equal(status?.resources?.linux?.cpusetCpus, "0");
    const { changedBy } = JSON.parse(info?.["info"] ?? "") as { changedBy: unknown };
    assert.deepEqual(changedBy, [
      { by: "10-memory", fields: ["MemLimit"] },
      { by: "20-pinning", fields: ["CPUSetCPUs", "Env FOO"] },
    ]);
    assert.equal(plugins.pending, 0);
    await world.restart();
    const again = await world.call("ContainerStatus", { containerId, verbose: true });
    assert.match(again.info?.["info"] ?? "", /"changedBy":\[\{"by":"10-memory"/);
  });

  it("have the last word on new limits", async () => {
    const plugins = new FakePlugins();
    await using world = await worldWith(plugins);
    const containerId = await world.startedContainer(await world.runPod());
    const task = world.client.taskOf("container");
    plugins.resources = codec("nri.pkg.api.v1alpha1.LinuxResources").normalize({
      memory: { limit: { value: 100 } },
    });
    const linux = { memoryLimitInBytes: 64n };
    await world.call("UpdateContainerResources", { containerId, linux });
    assert.equal(plugins.asked[0]?.memory?.limit?.value, 64n);
    assert.deepEqual(task.updates.at(-1), { memory: { limit: 100 } });
    plugins.failing.add("UpdateContainer");
    await assert.rejects(world.call("UpdateContainerResources", { containerId, linux }), {
      message: "UpdateContainer is refused",
    });
    assert.equal(task.updates.length, 1);
  });

  it("change others with what they answer, whose failure fails nothing", async () => {
    const plugins = new FakePlugins();
    await using world = await worldWith(plugins);
    const pod = await world.runPod();
    const other = await world.startedContainer(pod);
    const task = world.client.taskOf("container");
    plugins.updates = [updateOf(other, 77n), updateOf("nobody", 1n)];
    await world.createContainer(pod, {
      metadata: { name: "second" },
      image: { image: "busybox" },
    });
    assert.deepEqual(task.updates, [{ pids: { limit: 7 }, memory: { limit: 77 } }]);
    world.steps.fail("update container");
    await world.createContainer(pod, { metadata: { name: "third" }, image: { image: "busybox" } });
  });
});

const refusals = [
  { call: "RunPodSandbox", heard: ["RunPodSandbox", "StopPodSandbox", "RemovePodSandbox"] },
  {
    call: "CreateContainer",
    heard: ["RunPodSandbox", "CreateContainer", "StopContainer", "RemoveContainer"],
  },
  { call: "StartContainer", heard: [...life.slice(0, 4), "StopContainer"] },
];
for (const { call, heard } of refusals) {
  it(`a refusal of ${call} fails the verb, and all is taken back`, async () => {
    const plugins = new FakePlugins();
    await using world = await worldWith(plugins);
    plugins.failing.add(call);
    const start = async (): Promise<string> => world.startedContainer(await world.runPod());
    await assert.rejects(start(), { message: `${call} is refused` });
    assert.deepEqual(plugins.calls, heard);
    assert.equal(plugins.pending, 0);
    const { items = [] } = await world.call("ListPodSandbox", {});
    assert.equal(items.length, call === "RunPodSandbox" ? 0 : 1);
    const { containers = [] } = await world.call("ListContainers", {});
    assert.deepEqual(
      containers.map(({ state }) => state),
      call === "StartContainer" ? ["CONTAINER_EXITED"] : [],
    );
  });
}

const told = life.filter((call) => /^Post|^Stop|^Remove/.test(call));
it("a failure of what plugins are only told of fails nothing", async () => {
  const plugins = new FakePlugins();
  await using world = await worldWith(plugins);
  for (const call of told) plugins.failing.add(call);
  const podSandboxId = await world.runPod();
  await world.startedContainer(podSandboxId);
  await world.call("RemovePodSandbox", { podSandboxId });
  const { items = [] } = await world.call("ListPodSandbox", {});
  assert.deepEqual(items, []);
});

describe("NodeState", () => {
  it("lists pods, and containers that have not ended", async () => {
    await using world = await worldWith(new FakePlugins());
    const pod = await world.runPod();
    const running = await world.startedContainer(pod);
    const second = { metadata: { name: "second" }, image: { image: "busybox" } };
    const created = await world.createContainer(pod, second);
    const { nodeState } = world.runtime;
    assert.deepEqual(
      nodeState.pods().map((make) => make()?.id),
      [pod],
    );
    const ids = (): unknown[] => nodeState.containers().map((make) => make()?.id);
    assert.deepEqual(ids(), [running, created]);
    world.client.taskOf("container").init.end(0);
    await until("it has ended", async () => ids().length === 1);
    assert.deepEqual(ids(), [created]);
  });

  it("lists nothing any more whose removal is being told: who joins then would keep it", async () => {
    const plugins = new FakePlugins();
    await using world = await worldWith(plugins);
    const podSandboxId = await world.runPod();
    const containerId = await world.createContainer(podSandboxId);
    const { nodeState } = world.runtime;
    const seen: unknown[] = [];
    const tell = plugins.tell.bind(plugins);
    plugins.tell = async (event, call) => {
      await tell(event, call);
      if (!event.kind.startsWith("Remove")) return;
      seen.push([event.kind, nodeState.pods().length, nodeState.containers().length]);
    };
    await world.call("RemoveContainer", { containerId });
    await world.call("RemovePodSandbox", { podSandboxId });
    assert.deepEqual(seen, [
      ["RemoveContainer", 1, 0],
      ["RemovePodSandbox", 0, 0],
    ]);
  });

  it("applies updates, and tells which have failed and may not", async () => {
    await using world = await worldWith(new FakePlugins());
    const id = await world.startedContainer(await world.runPod());
    const { nodeState } = world.runtime;
    const call = { signal: AbortSignal.timeout(60_000) };
    assert.deepEqual(await nodeState.update([updateOf(id, 5n), updateOf("nobody", 5n)], call), []);
    assert.equal(world.client.taskOf("container").updates.length, 1);
    world.steps.fail("update container");
    const failing = updateOf(id, 6n);
    assert.deepEqual(await nodeState.update([failing, updateOf(id, 7n, true)], call), [failing]);
    const { status } = await world.call("ContainerStatus", { containerId: id });
    assert.equal(status?.resources?.linux?.memoryLimitInBytes, 5n);
  });

  it("evicts a container, and its record says why", async () => {
    await using world = await worldWith(new FakePlugins());
    const id = await world.startedContainer(await world.runPod());
    const call = { signal: AbortSignal.timeout(60_000) };
    await world.runtime.nodeState.evict(id, 'NRI plugin "10-x": its CPUs are needed', call);
    const { status } = await world.call("ContainerStatus", { containerId: id });
    assert.equal(status?.state, "CONTAINER_EXITED");
    assert.equal(status?.message, 'evicted by NRI plugin "10-x": its CPUs are needed');
    await world.runtime.nodeState.evict("nobody", "", call);
  });
});
