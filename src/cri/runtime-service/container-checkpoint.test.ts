// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { containerConfig, FakeWorld } from "../../../test/support/cri/fake-world.ts";
import { fault } from "../../base/errors.ts";
import { unpackArchive } from "../../checkpoint/checkpoint-archive.ts";
import { packFolder } from "../../checkpoint/folder-tar.ts";

/** Archives are unpacked in a process that is chrooted. */
const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: AbortSignal.timeout(60_000) };

/** A world in which CRIU writes one file. */
async function checkpointed(world: FakeWorld): Promise<{ containerId: string; location: string }> {
  const containerId = await world.startedContainer(await world.runPod());
  world.client.taskOf("container").checkpoint = async (options) => {
    await writeFile(path.join(options.path, "inventory.img"), "criu");
  };
  const location = path.join(world.folder, "a checkpoint.tar");
  await world.call("CheckpointContainer", { containerId, location, timeout: 30n });
  return { containerId, location };
}

const other = { metadata: { name: "other", namespace: "shop", uid: "u-2", attempt: 0 } };

/** Writes an archive anew with one of its JSON files as `change` has it. */
async function changed(
  world: FakeWorld,
  location: string,
  name: string,
  change: (document: object) => object,
): Promise<void> {
  const folder = path.join(world.folder, "changed");
  await unpackArchive(location, folder, call);
  const file = path.join(folder, name);
  await writeFile(file, JSON.stringify(change(JSON.parse(await readFile(file, "utf8")) as object)));
  await writeFile(location, packFolder(folder));
}

describe("CheckpointContainer", () => {
  it("writes one archive that tells all, for its owner only, and leaves nothing else", {
    skip,
  }, async () => {
    await using world = await FakeWorld.create();
    const { containerId, location } = await checkpointed(world);
    assert.equal((await stat(location)).mode & 0o777, 0o600);
    const folder = path.join(world.folder, "opened");
    await unpackArchive(location, folder, call);
    assert.deepEqual((await readdir(folder)).sort(), [
      "checkpoint",
      "config.dump",
      "rootfs-diff.tar",
      "spec.dump",
      "status.dump",
    ]);
    assert.deepEqual(await readdir(path.join(folder, "checkpoint")), ["inventory.img"]);
    const left = await readdir(
      path.join(world.folder, "root/io.berth.cri/containers", containerId),
    );
    assert.deepEqual(left, []);
    assert.ok(!(await readdir(world.folder)).some((name) => name.endsWith(".partial")));
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.equal(status?.state, "CONTAINER_RUNNING");
  });

  it("tells CRIU's reason, and leaves no archive", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    const location = path.join(world.folder, "x.tar");
    const reason = fault("FAILED_PRECONDITION", "criu failed: vdso: unknown kernel");
    world.client.taskOf("container").checkpoint = () => Promise.reject(reason);
    await assert.rejects(world.call("CheckpointContainer", { containerId, location }), {
      code: "FAILED_PRECONDITION",
      message: /vdso: unknown kernel/,
    });
    assert.ok(!(await readdir(world.folder)).includes("x.tar"));
  });

  it("ends at its timeout", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.startedContainer(await world.runPod());
    world.client.taskOf("container").checkpoint = () => new Promise(() => {});
    const location = path.join(world.folder, "x.tar");
    await assert.rejects(
      world.call("CheckpointContainer", { containerId, location, timeout: 1n }),
      { code: "DEADLINE_EXCEEDED" },
    );
  });

  const refusals = [
    { name: "a relative location", change: { location: "x.tar" }, code: "INVALID_ARGUMENT" },
    { name: "a negative timeout", change: { timeout: -1n }, code: "INVALID_ARGUMENT" },
    { name: "an unknown container", change: { containerId: "nope" }, code: "NOT_FOUND" },
    {
      name: "a folder that is not there",
      change: { location: "/no/such/folder/x.tar" },
      code: "INVALID_ARGUMENT",
    },
  ];
  for (const { name, change, code } of refusals) {
    it(`refuses ${name}`, async () => {
      await using world = await FakeWorld.create();
      const containerId = await world.startedContainer(await world.runPod());
      const request = { containerId, location: path.join(world.folder, "x.tar"), ...change };
      await assert.rejects(world.call("CheckpointContainer", request), { code });
    });
  }

  it("refuses a container that does not run", async () => {
    await using world = await FakeWorld.create();
    const containerId = await world.createContainer(await world.runPod());
    await assert.rejects(world.call("CheckpointContainer", { containerId, location: "/x.tar" }), {
      code: "FAILED_PRECONDITION",
      message: /state is created, not running$/,
    });
  });
});

describe("restoring", { skip }, () => {
  it("makes the container from the checkpoint's image and layer, and starts it from CRIU's", async () => {
    await using world = await FakeWorld.create();
    const { location } = await checkpointed(world);
    const pod = await world.runPod(other);
    world.steps.take();
    const config = containerConfig({ image: { image: location } });
    const containerId = await world.createContainer(pod, config);
    const done = world.steps.take();
    assert.ok(done.indexOf("unpack layer") > done.indexOf("prepare snapshot"), done.join());
    const { status } = await world.call("ContainerStatus", { containerId });
    assert.match(status?.imageId ?? "", /^sha256:b/);
    await world.call("StartContainer", { containerId });
    const image = world.client.runtime.lastCreate?.checkpointPath ?? "";
    assert.deepEqual(await readdir(image), ["inventory.img"]);
    const { info } = await world.call("ContainerStatus", { containerId, verbose: true });
    const { pid } = JSON.parse(info?.["info"] ?? "{}") as { pid: number };
    assert.equal(pid, world.client.tasks.get(containerId)?.pid);
    assert.notEqual(pid, 0);
    await world.call("RemoveContainer", { containerId });
    await assert.rejects(readdir(image), { code: "ENOENT" });
  });

  it("that fails leaves a container that can be removed", async () => {
    await using world = await FakeWorld.create();
    const { location } = await checkpointed(world);
    const config = containerConfig({ image: { image: location } });
    const pod = await world.runPod(other);
    const containerId = await world.createContainer(pod, config);
    world.steps.failing.set("start container", fault("FAILED_PRECONDITION", "criu failed"));
    await assert.rejects(world.call("StartContainer", { containerId }), { message: "criu failed" });
    await world.call("RemovePodSandbox", { podSandboxId: pod });
    assert.equal(world.client.tasks.get(containerId), undefined);
  });

  it("pulls, names and tags no image that an archive names", async () => {
    await using world = await FakeWorld.create();
    const { location } = await checkpointed(world);
    const before = (await world.call("ListContainers", {})).containers?.length;
    await changed(world, location, "config.dump", (facts) => ({
      ...facts,
      rootfsImage: "registry.test/evil:1",
      rootfsImageRef: "registry.test/evil@sha256:0",
      rootfsImageName: "../../etc/passwd",
    }));
    const config = containerConfig({ image: { image: location } });
    await assert.rejects(world.createContainer(await world.runPod(other), config), {
      code: "NOT_FOUND",
      message: /image "registry\.test\/evil@sha256:0" of the checkpoint is not on this node/,
    });
    assert.equal((await world.call("ListContainers", {})).containers?.length, before);
  });

  it("takes annotations, devices and mounts from the request, and not from an archive", async () => {
    await using world = await FakeWorld.create();
    const { location } = await checkpointed(world);
    await changed(world, location, "spec.dump", (spec) => ({
      ...spec,
      annotations: { "cdi.k8s.io/evil": "vendor.com/device=all" },
      mounts: [{ destination: "/host", source: "/", type: "bind", options: ["rbind"] }],
      hooks: { createRuntime: [{ path: "/bin/sh" }] },
    }));
    const config = containerConfig({ image: { image: location } });
    const containerId = await world.createContainer(await world.runPod(other), config);
    const { info } = await world.call("ContainerStatus", { containerId, verbose: true });
    const text = JSON.stringify(info);
    assert.match(text, /runtimeSpec/);
    assert.doesNotMatch(text, /evil|\/host|createRuntime/);
  });

  it("refuses what is no checkpoint, and leaves nothing", async () => {
    await using world = await FakeWorld.create();
    const pod = await world.runPod();
    const file = path.join(world.folder, "not one.tar");
    await writeFile(file, Buffer.alloc(1024));
    const attempts = [
      { image: file, code: "INVALID_ARGUMENT" },
      { image: "/no/such.tar", code: "NOT_FOUND" },
      { image: world.folder, code: "INVALID_ARGUMENT" },
    ];
    for (const { image, code } of attempts) {
      const config = containerConfig({ image: { image } });
      await assert.rejects(world.createContainer(pod, config), { code });
    }
    const left = await readdir(path.join(world.folder, "root/io.berth.cri/containers")).catch(
      () => [],
    );
    assert.deepEqual(left, []);
  });
});
