// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../../test/support/scratch.ts";
import { fault } from "../../../base/errors.ts";
import { silentLogger } from "../../../base/logger.ts";
import { createDefaultProfile, type DefaultProfileOptions } from "./default-profile.ts";
import type { ProfileKernel } from "./profile-kernel.ts";

class FakeKernel implements ProfileKernel {
  readonly names = new Set<string>();
  readonly texts: string[] = [];
  version: readonly [number, number] | undefined = [3, 0];
  label = "unconfined";
  refusal = "";

  async loaded() {
    return this.names;
  }

  async parserVersion() {
    return this.version;
  }

  async load(text: string) {
    if (this.refusal !== "") throw fault("UNKNOWN", this.refusal);
    this.texts.push(text);
    this.names.add("berth-default");
  }

  async ownLabel() {
    return this.label;
  }
}

async function setUp(changes: Partial<DefaultProfileOptions> = {}) {
  const place = await scratch();
  const kernel = new FakeKernel();
  const options: DefaultProfileOptions = {
    enabled: true,
    name: "berth-default",
    stampFile: path.join(place.path, "stamp"),
    kernel,
    log: silentLogger,
    lifetime: new AbortController().signal,
    ...changes,
  };
  return {
    kernel,
    make: () => createDefaultProfile(options),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
}

test("the default profile is loaded once, however many containers want it", async () => {
  await using world = await setUp();
  const profile = world.make();
  assert.deepEqual(await Promise.all([profile.ensure(), profile.ensure()]), [undefined, undefined]);
  assert.equal(await profile.ensure(), undefined);
  assert.equal(world.kernel.texts.length, 1);
  assert.deepEqual(profile.describe(), {
    enabled: true,
    defaultProfile: "berth-default",
    problem: "",
  });
});

test("the next daemon loads the default profile only when its text has changed", async () => {
  await using world = await setUp();
  await world.make().ensure();
  await world.make().ensure();
  assert.equal(world.kernel.texts.length, 1);
  world.kernel.label = "berthd";
  await world.make().ensure();
  assert.equal(world.kernel.texts.length, 2);
});

test("the default profile comes back when somebody has unloaded it", async () => {
  await using world = await setUp();
  const profile = world.make();
  await profile.ensure();
  world.kernel.names.clear();
  assert.equal(await profile.ensure(), undefined);
  assert.equal(world.kernel.texts.length, 2);
});

test("a profile that cannot be loaded is tried again", async () => {
  await using world = await setUp();
  const profile = world.make();
  world.kernel.refusal = "apparmor_parser exited with 1: no";
  assert.match((await profile.ensure()) ?? "", /exited with 1: no/);
  assert.match(profile.describe().problem, /exited with 1: no/);
  world.kernel.refusal = "";
  assert.equal(await profile.ensure(), undefined);
  assert.equal(profile.describe().problem, "");
});

test("without a parser only a profile that is there already can be had", async () => {
  await using world = await setUp();
  world.kernel.version = undefined;
  const profile = world.make();
  assert.match((await profile.ensure()) ?? "", /there is no apparmor_parser to load it with/);
  world.kernel.names.add("berth-default");
  assert.equal(await profile.ensure(), undefined);
});

test("another profile than the built-in one is never loaded, and must be there", async () => {
  await using world = await setUp({ name: "site-default" });
  const profile = world.make();
  assert.match((await profile.ensure()) ?? "", /profile "site-default" is not loaded/);
  world.kernel.names.add("site-default");
  assert.equal(await profile.ensure(), undefined);
  assert.deepEqual(world.kernel.texts, []);
});

for (const { name, changes, reason } of [
  { name: "the kernel has no AppArmor", changes: { enabled: false }, reason: /has no AppArmor/ },
  { name: "it is turned off", changes: { name: "" }, reason: /turns the default profile off/ },
]) {
  test(`no default profile when ${name}`, async () => {
    await using world = await setUp(changes);
    assert.match((await world.make().ensure()) ?? "", reason);
    assert.deepEqual(world.kernel.texts, []);
  });
}

test("the daemon's end is no failure of the profile", async () => {
  const lifetime = new AbortController();
  await using world = await setUp({ lifetime: lifetime.signal });
  world.kernel.ownLabel = async () => {
    lifetime.abort();
    throw fault("CANCELLED", "apparmor_parser was cancelled");
  };
  const profile = world.make();
  await assert.rejects(profile.ensure(), { name: "AbortError" });
  assert.equal(profile.describe().problem, "");
});
