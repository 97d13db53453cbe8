// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FakeWorld } from "../../../test/support/cri/fake-world.ts";
import { rootOf } from "../../../test/support/whole-roots.ts";
import { noRuntimeFeatures } from "../oci-spec/runtime-features.ts";

describe("Version, Status and RuntimeConfig", () => {
  it("name the runtime", async () => {
    await using world = await FakeWorld.create();
    assert.deepEqual(await world.call("Version", {}), {
      version: "0.1.0",
      runtimeName: "berth",
      runtimeVersion: "9.9.9",
      runtimeApiVersion: "v1",
    });
  });

  it("list the default handler under the empty name too", async () => {
    await using world = await FakeWorld.create();
    const { runtimeHandlers } = await world.call("Status", {});
    assert.deepEqual(
      runtimeHandlers?.map(({ name }) => name),
      ["", "runc", "crun"],
    );
  });

  it("tell in verbose answers what confines containers", async () => {
    await using world = await FakeWorld.create();
    const { info } = await world.call("Status", { verbose: true });
    assert.deepEqual(JSON.parse(info?.["confinement"] ?? ""), { apparmor: { enabled: false } });
  });

  it("tell what holds for all handlers, and what for one", async () => {
    await using world = await FakeWorld.create();
    const all = await world.call("Status", {});
    world.features = { crun: { ...noRuntimeFeatures, mountOptions: ["noexec", "nosuid"] } };
    const without = await world.call("Status", {});
    assert.deepEqual(
      [all, without].map(({ features }) => [features?.mountOptions, features?.cgroupMountMode]),
      [
        [true, true],
        [false, true],
      ],
    );
    assert.deepEqual(
      without.runtimeHandlers?.map(({ features }) => features?.cgroupNamespaces),
      [true, true, false],
    );
  });

  it("say why the network is not ready", async () => {
    await using world = await FakeWorld.create();
    world.networkReady = false;
    const { status } = await world.call("Status", {});
    assert.deepEqual(status?.conditions, [
      { type: "RuntimeReady", status: true },
      {
        type: "NetworkReady",
        status: false,
        reason: "NoNetwork",
        message: "no configuration in /etc/cni/net.d",
      },
    ]);
  });

  it("say why nothing can be stored, for as long as it is so", async () => {
    await using world = await FakeWorld.create();
    const ready = async () => (await world.call("Status", {})).status?.conditions?.[0];
    world.client.rows.harm = "it was removed";
    assert.deepEqual(await ready(), {
      type: "RuntimeReady",
      status: false,
      reason: "NothingStored",
      message: "it was removed",
    });
    world.client.rows.harm = undefined;
    assert.deepEqual(await ready(), { type: "RuntimeReady", status: true });
  });

  it("tell the cgroup driver of the default handler", async () => {
    await using world = await FakeWorld.create();
    assert.deepEqual(await world.call("RuntimeConfig", {}), {
      linux: { cgroupDriver: "CGROUPFS" },
    });
  });
});

describe("RuntimeService", () => {
  it("has a handler for each method of the proto", async () => {
    await using world = await FakeWorld.create();
    const { methods } = rootOf("runtime.v1.VersionRequest").lookupService(
      "runtime.v1.RuntimeService",
    );
    assert.deepEqual(
      Object.keys(methods).filter((method) => !(method in world.runtime.service)),
      [],
    );
  });
});
