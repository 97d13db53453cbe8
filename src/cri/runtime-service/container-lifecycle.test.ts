// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { containerConfig, FakeWorld, podConfig } from "../../../test/support/cri/fake-world.ts";
import { until } from "../../../test/support/until.ts";
import { fault } from "../../base/errors.ts";

const sigterm = 15;
const sigquit = 3;
const sigkill = 9;

describe("CreateContainer", () => {
  it("makes a created container with its image, log path and user", async () => {
    await using world = await FakeWorld.create();
    const pod = await world.runPod();
    const containerId = await world.createContainer(pod);
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.equal(status?.state, "CONTAINER_CREATED");
    assert.equal(status?.logPath, "/var/log/pods/shop_web_u-1/server/0.log");
    assert.equal(status?.image?.image, "docker.io/library/busybox:1.36");
    assert.match(status?.imageRef ?? "", /busybox@sha256:d{64}$/);
    assert.equal(status?.imageId, `sha256:${"b".repeat(64)}`);
    assert.equal(status?.stopSignal, "SIGNAL_SIGQUIT");
    assert.deepEqual(status?.user, {
      linux: { uid: 0n, gid: 0n, supplementalGroups: [0n, 10n] },
    });
    const [item] = (await world.call("ListContainers", {})).containers ?? [];
    assert.equal(item?.imageRef, status?.imageId, "as containerd does");
    assert.equal(item?.podSandboxId, pod);
    const record = world.client.records.get(containerId);
    assert.equal(record?.sandbox, pod);
    assert.equal(record?.labels["io.cri-containerd.kind"], "container");
    assert.equal(record?.snapshotKey, containerId);
  });

  const wrong = [
    { name: "no config", config: null, code: "INVALID_ARGUMENT", message: "config is required" },
    {
      name: "no metadata",
      config: containerConfig({ metadata: null }),
      code: "INVALID_ARGUMENT",
      message: "config.metadata is required",
    },
    {
      name: "no image",
      config: containerConfig({ image: null }),
      code: "INVALID_ARGUMENT",
      message: "config.image is required",
    },
    {
      name: "an image without name",
      config: containerConfig({ image: {} }),
      code: "INVALID_ARGUMENT",
      message: "config.image.image is required",
    },
    {
      name: "an image that is not present",
      config: containerConfig({ image: { image: "nginx" } }),
      code: "NOT_FOUND",
      message: 'image "nginx" is not present on this node',
    },
    {
      name: "a target container that does not exist",
      config: containerConfig({
        linux: {
          securityContext: { namespaceOptions: { pid: "TARGET" as const, targetId: "nope" } },
        },
      }),
      code: "NOT_FOUND",
      message: 'container "nope" not found',
    },
  ];
  for (const { name, config, code, message } of wrong) {
    it(`refuses a request with ${name}`, async () => {
      await using world = await FakeWorld.create();
      const pod = await world.runPod();
      await assert.rejects(world.createContainer(pod, config), { code, message });
      assert.deepEqual((await world.call("ListContainers", {})).containers, []);
    });
  }

  it("refuses a sandbox that is unknown, ambiguous or not ready", async () => {
    await using world = await FakeWorld.create();
    await assert.rejects(world.createContainer("nope"), {
      code: "NOT_FOUND",
      message: 'sandbox "nope" not found',
    });
    await assert.rejects(world.createContainer(""), { code: "INVALID_ARGUMENT" });
    const pod = await world.runPod();
    await world.call("StopPodSandbox", { podSandboxId: pod });
    await assert.rejects(world.createContainer(pod), { code: "FAILED_PRECONDITION" });
  });

  const undoOf = {
    "prepare snapshot": ["remove snapshot"],
    "container spec": ["remove snapshot"],
    "new record container": ["drop cri-containers", "remove snapshot"],
    "put cri-containers": ["delete record container", "drop cri-containers", "remove snapshot"],
  };
  for (const [step, undone] of Object.entries(undoOf)) {
    it(`takes everything back when "${step}" fails`, async () => {
      await using world = await FakeWorld.create();
      const pod = await world.runPod();
      world.steps.take();
      world.steps.fail(step);
      await assert.rejects(world.createContainer(pod), { message: `${step} failed` });
      const undoing = world.steps.done.filter((done) =>
        undoOf["put cri-containers"].includes(done),
      );
      assert.deepEqual(undoing, undone);
      assert.deepEqual([...world.client.records.keys()], [pod]);
      world.steps.failing.clear();
      await world.createContainer(pod);
    });
  }

  it("answers a retry with the container that an earlier attempt made", async () => {
    await using world = await FakeWorld.create();
    const pod = await world.runPod();
    const [first, second] = await Promise.all([
      world.createContainer(pod),
      world.createContainer(pod),
    ]);
    assert.equal(first, second);
    assert.equal(await world.createContainer(pod), first);
    await assert.rejects(world.createContainer(pod, containerConfig({ tty: true })), {
      code: "ALREADY_EXISTS",
      message: `container name "server_web_shop_u-1_0" is held by container "${first}", whose configuration differs`,
    });
    await world.call("StartContainer", { containerId: first });
    await assert.rejects(world.createContainer(pod), {
      message: /held by container .* whose state is running$/,
    });
  });
});

describe("StartContainer", () => {
  it("opens the log before the task is made, and waits before it starts", async () => {
    await using world = await FakeWorld.create();
    const pod = await world.runPod();
    const containerId = await world.createContainer(pod);
    world.steps.take();
    await world.call("StartContainer", { containerId });
    const done = world.steps.take().filter((step) => !step.startsWith("put"));
    assert.deepEqual(done, ["open log", "create container", "wait container", "start container"]);
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.equal(status?.state, "CONTAINER_RUNNING");
  });

  it("refuses any state but created", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    await assert.rejects(world.call("StartContainer", { containerId }), {
      code: "FAILED_PRECONDITION",
      message: `cannot start container "${containerId}": state is running, not created`,
    });
    await assert.rejects(world.call("StartContainer", { containerId: "nope" }), {
      code: "NOT_FOUND",
    });
  });

  for (const step of ["open log", "create container", "start container"]) {
    it(`leaves the container exited with StartError when "${step}" fails`, async () => {
      await using world = await FakeWorld.create();
      const containerId = await world.createContainer(await world.runPod());
      const message = 'exec: "nope": executable file not found in $PATH';
      world.steps.fail(step, fault("UNKNOWN", message));
      await assert.rejects(world.call("StartContainer", { containerId }), { message });
      const { status } = await world.call("ContainerStatus", { containerId });
      assert.equal(status?.state, "CONTAINER_EXITED");
      assert.equal(status?.exitCode, 128);
      assert.equal(status?.reason, "StartError");
      assert.equal(status?.message, message);
      assert.equal(world.client.tasks.has(containerId), false);
    });
  }

  it("does not lose an exit that comes before the answer", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.createContainer(await world.runPod());
    world.client.runtime.onTask = (task) => {
      const start = task.start.bind(task);
      task.start = async (execId) => {
        const pid = await start(execId);
        task.init.end(3);
        return pid;
      };
    };
    await world.call("StartContainer", { containerId });
    await world.call("StopContainer", { containerId, timeout: 0n });
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.equal(status?.exitCode, 3);
    assert.equal(status?.reason, "Error");
  });
});

describe("the end of a container", () => {
  const ends = [
    { name: "Completed for exit code 0", exitCode: 0, oomKills: 0, reason: "Completed" },
    { name: "Error for another", exitCode: 1, oomKills: 0, reason: "Error" },
    {
      name: "OOMKilled when the cgroup counts a kill",
      exitCode: 137,
      oomKills: 1,
      reason: "OOMKilled",
    },
    {
      name: "Completed when only a child was killed",
      exitCode: 0,
      oomKills: 1,
      reason: "Completed",
    },
  ];
  for (const { name, exitCode, oomKills, reason } of ends) {
    it(`is ${name}`, async () => {
      await using world = await FakeWorld.create();
      const containerId = await world.startedContainer(await world.runPod());
      world.oomKills = oomKills;
      world.client.taskOf("container").init.end(exitCode);
      await world.call("StopContainer", { containerId, timeout: 0n });
      const { status } = await world.call("ContainerStatus", { containerId });
      assert.deepEqual([status?.exitCode, status?.reason], [exitCode, reason]);
      assert.ok(BigInt(status?.finishedAt ?? 0) >= BigInt(status?.startedAt ?? 0));
    });
  }

  it("reads the cgroup and records the exit before the task is deleted", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    world.steps.take();
    world.client.taskOf("container").init.end(0);
    await world.call("RemoveContainer", { containerId });
    const done = world.steps.take();
    const order = ["read oom", "put cri-containers", "delete container", "remove snapshot"];
    assert.deepEqual(
      done.filter((step) => order.includes(step)),
      order,
    );
  });

  it("is shown even when the disk will not take it, and keeps the task for recovery", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    world.steps.fail("put cri-containers", fault("INTERNAL", "disk full"));
    world.client.taskOf("container").init.end(7);
    await world.call("StopContainer", { containerId, timeout: 0n });
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.deepEqual([status?.state, status?.exitCode], ["CONTAINER_EXITED", 7]);
    assert.ok(world.client.tasks.has(containerId));
  });
});

describe("StopContainer", () => {
  const signals = [
    { name: "the image's signal", config: containerConfig(), signal: sigquit },
    {
      name: "the request's before the image's",
      config: containerConfig({ stopSignal: "SIGNAL_SIGTERM" }),
      signal: sigterm,
    },
    {
      name: "a real-time signal by its name",
      config: containerConfig({ stopSignal: "SIGNAL_SIGRTMINPLUS3" }),
      signal: 37,
    },
  ];
  for (const { name, config, signal } of signals) {
    it(`sends ${name}`, async () => {
      await using world = await FakeWorld.create();
      const containerId = await world.createContainer(await world.runPod(), config);
      await world.call("StartContainer", { containerId });
      const task = world.client.taskOf("container");
      await world.call("StopContainer", { containerId, timeout: 10n });
      assert.deepEqual(task.init.signals, [signal]);
    });
  }

  it("kills at once with no grace", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const task = world.client.taskOf("container");
    await world.call("StopContainer", { containerId, timeout: 0n });
    assert.deepEqual(task.init.signals, [sigkill]);
  });

  it("is shortened by a second stop with less grace, which does not signal again", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const task = world.client.taskOf("container");
    task.init.ignored.add(sigquit);
    const patient = world.call("StopContainer", { containerId, timeout: 3600n });
    await world.call("StopContainer", { containerId, timeout: 1n });
    await patient;
    assert.deepEqual(task.init.signals, [sigquit, sigkill]);
  });

  it("succeeds for what is unknown, not started, or gone", async () => {
    await using world = await FakeWorld.create();
    await world.call("StopContainer", { containerId: "nope", timeout: 1n });
    const containerId = await world.createContainer(await world.runPod());
    await world.call("StopContainer", { containerId, timeout: 1n });
    await world.call("StartContainer", { containerId });
    await world.call("StopContainer", { containerId, timeout: 0n });
    await world.call("StopContainer", { containerId, timeout: 0n });
  });

  it("refuses a negative grace", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const request = { containerId, timeout: -1n };
    await assert.rejects(world.call("StopContainer", request), { code: "INVALID_ARGUMENT" });
  });
});

describe("RemoveContainer", () => {
  it("kills a running container and leaves nothing", async () => {
    await using world = await FakeWorld.create();
    const pod = await world.runPod();
    const containerId = await world.startedContainer(pod);
    await Promise.all([
      world.call("RemoveContainer", { containerId }),
      world.call("RemoveContainer", { containerId }),
    ]);
    await world.call("RemoveContainer", { containerId });
    assert.deepEqual([...world.client.records.keys()], [pod]);
    await assert.rejects(world.call("ContainerStatus", { containerId }), { code: "NOT_FOUND" });
    assert.equal(world.events.at(-1)?.type, "deleted");
  });
});

describe("StopPodSandbox and RemovePodSandbox", () => {
  it("stop the containers, the task and the network, and may be repeated", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    const containerId = await world.startedContainer(podSandboxId);
    await world.call("StopPodSandbox", { podSandboxId });
    await world.call("StopPodSandbox", { podSandboxId });
    const { status } = await world.call("PodSandboxStatus", { podSandboxId });
    assert.deepEqual([status?.state, status?.network?.ip], ["SANDBOX_NOTREADY", ""]);
    const container = await world.call("ContainerStatus", { containerId });
    assert.equal(container.status?.state, "CONTAINER_EXITED");
    await world.call("RemovePodSandbox", { podSandboxId });
    await world.call("RemovePodSandbox", { podSandboxId });
    await world.call("StopPodSandbox", { podSandboxId });
    assert.equal(world.client.records.size + world.client.tasks.size, 0);
    assert.deepEqual((await world.call("ListContainers", {})).containers, []);
    assert.equal(world.steps.done.filter((step) => step === "network down").length, 1);
  });

  it("take the pod's files away while the network goes", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    await world.startedContainer(podSandboxId);
    const network = Promise.withResolvers<void>();
    world.steps.held.set("network down", network.promise);
    const stopped = world.call("StopPodSandbox", { podSandboxId });
    await until("its files are gone", () => world.steps.done.includes("unmount shm"));
    assert.ok(!world.steps.done.includes("network down"));
    network.resolve();
    await stopped;
    await world.call("RemovePodSandbox", { podSandboxId });
    assert.deepEqual((await world.call("ListPodSandbox", {})).items, []);
  });

  it("keep a sandbox whose record in containerd's store cannot be removed, for the next try", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    await world.call("StopPodSandbox", { podSandboxId });
    world.steps.fail("delete record sandbox");
    await assert.rejects(world.call("RemovePodSandbox", { podSandboxId }));
    const kept = await world.call("ListPodSandbox", {});
    assert.equal(kept.items?.length, 1);
    world.steps.failing.clear();
    await world.call("RemovePodSandbox", { podSandboxId });
    assert.ok(world.steps.done.includes("delete record sandbox"));
    assert.deepEqual((await world.call("ListPodSandbox", {})).items, []);
  });

  it("stop a pod whose network cannot be taken down, and let it go after three tries", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    world.steps.fail("network down", fault("UNKNOWN", "plugin is missing"));
    await world.call("StopPodSandbox", { podSandboxId });
    const { status } = await world.call("PodSandboxStatus", { podSandboxId });
    assert.equal(status?.state, "SANDBOX_NOTREADY");
    await assert.rejects(world.call("RemovePodSandbox", { podSandboxId }), { code: "UNAVAILABLE" });
    await world.call("RemovePodSandbox", { podSandboxId });
    assert.deepEqual((await world.call("ListPodSandbox", {})).items, []);
    assert.ok(world.steps.done.includes("abandon network")); // for the network to try again later
  });

  it("end while a plugin hangs, and let the pod go after three tries", async (t) => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    t.mock.timers.enable({ apis: ["setTimeout"] });
    world.steps.held.set("network down", new Promise(() => {}));
    const stages = (): ReadonlyMap<string, number> => world.runtime.stages();
    const given = async (work: Promise<unknown>): Promise<void> => {
      const ends: string[] = [];
      work.then(
        () => ends.push("well"),
        () => ends.push("badly"),
      );
      while (ends.length === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        // No kubelet waits two minutes. The disk is a real one: what it takes is no waiting for the plugin.
        if (stages().has("network")) t.mock.timers.tick(1000);
      }
    };
    const before = Date.now();
    await given(world.call("StopPodSandbox", { podSandboxId }));
    const refused = world.call("RemovePodSandbox", { podSandboxId });
    await given(refused);
    await assert.rejects(refused, { code: "UNAVAILABLE" });
    await given(world.call("RemovePodSandbox", { podSandboxId }));
    assert.ok(Date.now() - before < 60_000);
    assert.deepEqual((await world.call("ListPodSandbox", {})).items, []);
    assert.ok(world.steps.done.includes("abandon network"));
  });

  it("let a pod of the same name be made again after its removal", async () => {
    await using world = await FakeWorld.create();
    const podSandboxId = await world.runPod();
    await world.call("RemovePodSandbox", { podSandboxId });
    assert.notEqual(await world.runPod(), podSandboxId);
  });
});

describe("ListPodSandbox and ListContainers", () => {
  it("filter by id prefix, state and labels together", async () => {
    await using world = await FakeWorld.create();
    const first = await world.runPod();
    const second = await world.runPod(
      podConfig({ metadata: { name: "db", namespace: "shop", uid: "u-2" }, labels: { app: "db" } }),
    );
    await world.call("StopPodSandbox", { podSandboxId: second });
    const ids = async (filter: object): Promise<(string | null | undefined)[]> =>
      ((await world.call("ListPodSandbox", { filter })).items ?? []).map(({ id }) => id);
    assert.deepEqual(await ids({}), [first, second]);
    assert.deepEqual(await ids({ id: first.slice(0, 12) }), [first]);
    assert.deepEqual(await ids({ state: { state: "SANDBOX_READY" } }), [first]);
    assert.deepEqual(await ids({ labelSelector: { app: "db" } }), [second]);
    assert.deepEqual(await ids({ id: first, labelSelector: { app: "db" } }), []);
    const containerId = await world.createContainer(first);
    const listed = await world.call("ListContainers", { filter: { podSandboxId: first } });
    assert.deepEqual(
      listed.containers?.map(({ id }) => id),
      [containerId],
    );
  });
});
