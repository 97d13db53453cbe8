// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { FakeWorld, podConfig } from "../../../test/support/cri/fake-world.ts";
import { until } from "../../../test/support/until.ts";
import { fault } from "../../base/errors.ts";

const metadata = { name: "web", namespace: "shop", uid: "u-1", attempt: 0 };

describe("RunPodSandbox", () => {
  it("makes a ready sandbox with its network's addresses", async () => {
    await using world = await FakeWorld.create();
    const id = await world.runPod();
    const { status } = await world.call("PodSandboxStatus", { podSandboxId: id });
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.equal(status?.state, "SANDBOX_READY");
    assert.deepEqual(status?.metadata, metadata);
    assert.deepEqual(status?.network, { ip: "10.0.0.2", additionalIps: [{ ip: "fd00::2" }] });
    assert.deepEqual(
      world.events.map(({ type }) => type),
      ["created", "started"],
    );
    const files = await readdir(path.join(world.folder, "root/io.berth.cri/sandboxes", id));
    assert.deepEqual(files.sort(), ["hostname", "hosts", "resolv.conf"]);
  });

  it("starts the task while CNI is at work, and answers once both are through", async () => {
    await using world = await FakeWorld.create();
    const network = Promise.withResolvers<void>();
    world.steps.held.set("network up", network.promise);
    let answered = false;
    const pod = world.runPod().then(() => {
      answered = true;
    });
    await until("the task is started", () => world.steps.done.includes("start sandbox"));
    assert.ok(!answered);
    const { items } = await world.call("ListPodSandbox", {});
    assert.deepEqual(items, []);
    network.resolve();
    await pod;
  });

  it("neither pins a network namespace nor calls CNI for a pod in the node's network", async () => {
    await using world = await FakeWorld.create();
    const linux = { securityContext: { namespaceOptions: { network: "NODE" as const } } };
    const id = await world.runPod(podConfig({ linux }));
    assert.deepEqual(
      world.steps.done.filter((step) => /net/.test(step)),
      [],
    );
    const { status } = await world.call("PodSandboxStatus", { podSandboxId: id });
    assert.deepEqual([status?.network?.ip, status?.network?.additionalIps], ["", []]);
  });

  const wrong = [
    { name: "no config", config: null, message: "config is required" },
    {
      name: "no metadata",
      config: podConfig({ metadata: null }),
      message: "config.metadata is required",
    },
    {
      name: "no name",
      config: podConfig({ metadata: { ...metadata, name: "" } }),
      message: "config.metadata.name is required",
    },
    {
      name: "no namespace",
      config: podConfig({ metadata: { ...metadata, namespace: "" } }),
      message: "config.metadata.namespace is required",
    },
    {
      name: "no uid",
      config: podConfig({ metadata: { ...metadata, uid: "" } }),
      message: "config.metadata.uid is required",
    },
  ];
  for (const { name, config, message } of wrong) {
    it(`refuses a request with ${name}`, async () => {
      await using world = await FakeWorld.create();
      await assert.rejects(world.call("RunPodSandbox", { config }), {
        code: "INVALID_ARGUMENT",
        message,
      });
      assert.deepEqual(world.steps.done, []);
    });
  }

  it("refuses a runtime handler that is not configured", async () => {
    await using world = await FakeWorld.create();
    const request = { config: podConfig(), runtimeHandler: "kata" };
    await assert.rejects(world.call("RunPodSandbox", request), {
      code: "NOT_FOUND",
      message: 'no runtime for "kata" is configured',
    });
  });

  const undoOf = {
    "mount shm": ["network down", "remove netns", "unmount shm", "drop cri-sandboxes"],
    "pin netns": ["unmount shm", "drop cri-sandboxes"],
    "put cri-sandboxes": [
      "delete record sandbox",
      "network down",
      "remove netns",
      "unmount shm",
      "drop cri-sandboxes",
    ],
    "network up": [
      "kill sandbox 9",
      "delete sandbox",
      "delete record sandbox",
      "network down",
      "remove netns",
      "unmount shm",
      "drop cri-sandboxes",
    ],
    "sandbox spec": ["network down", "remove netns", "unmount shm", "drop cri-sandboxes"],
    "new record sandbox": ["network down", "remove netns", "unmount shm", "drop cri-sandboxes"],
    "create sandbox": [
      "delete record sandbox",
      "network down",
      "remove netns",
      "unmount shm",
      "drop cri-sandboxes",
    ],
    "start sandbox": [
      "kill sandbox 9",
      "delete sandbox",
      "delete record sandbox",
      "network down",
      "remove netns",
      "unmount shm",
      "drop cri-sandboxes",
    ],
  };
  for (const [step, undone] of Object.entries(undoOf)) {
    it(`takes everything back when "${step}" fails`, async () => {
      await using world = await FakeWorld.create();
      world.steps.fail(step);
      await assert.rejects(world.runPod(), { message: `${step} failed` });
      const undoing = world.steps.done.filter((done) => undone.includes(done));
      assert.deepEqual(undoing, undone);
      assert.deepEqual((await world.call("ListPodSandbox", {})).items, []);
      assert.equal(world.client.tasks.size + world.client.records.size, 0);
      const left = path.join(world.folder, "root/io.berth.cri/sandboxes");
      if (existsSync(left)) assert.deepEqual(await readdir(left), []);
    });
  }

  it("keeps a sandbox that could not be undone in sight, for Remove to finish", async () => {
    await using world = await FakeWorld.create();
    world.steps.fail("start sandbox");
    world.steps.fail("network down");
    await assert.rejects(world.runPod(), { message: "start sandbox failed" });
    const { items = [] } = await world.call("ListPodSandbox", {});
    assert.equal(items[0]?.state, "SANDBOX_NOTREADY");
    world.steps.failing.clear();
    world.steps.take();
    await world.call("RemovePodSandbox", { podSandboxId: items[0]?.id ?? "" });
    assert.ok(world.steps.done.includes("network down"));
    assert.deepEqual((await world.call("ListPodSandbox", {})).items, []);
  });

  it("lets a retry join the attempt that runs, also after the first caller has gone", async () => {
    await using world = await FakeWorld.create();
    const network = Promise.withResolvers<void>();
    world.steps.held.set("network up", network.promise);
    const impatient = new AbortController();
    const first = world.call("RunPodSandbox", { config: podConfig() }, impatient.signal);
    const retry = world.runPod();
    impatient.abort(fault("CANCELLED", "the caller has gone"));
    await assert.rejects(first, { code: "CANCELLED" });
    network.resolve();
    const id = await retry;
    assert.equal(await world.runPod(), id, "a later retry gets the finished sandbox");
    assert.equal(world.steps.done.filter((step) => step === "network up").length, 1);
  });

  it("refuses another configuration under a name that is taken", async () => {
    await using world = await FakeWorld.create();
    const id = await world.runPod();
    await assert.rejects(world.runPod(podConfig({ hostname: "other" })), {
      code: "ALREADY_EXISTS",
      message: `sandbox name "web_shop_u-1_0" is held by sandbox "${id}", whose configuration differs`,
    });
  });

  it("makes a sandbox not ready when its task dies", async () => {
    await using world = await FakeWorld.create();
    const id = await world.runPod();
    world.client.taskOf("sandbox").init.end(137);
    await until("the task is deleted", () => !world.client.tasks.has(id));
    const { status } = await world.call("PodSandboxStatus", { podSandboxId: id });
    assert.equal(status?.state, "SANDBOX_NOTREADY");
  });
});
