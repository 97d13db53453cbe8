// SPDX-License-Identifier: Apache-2.0
// STATUS, GC and CHECK, and which version of CNI plugins are called with.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import type { CniConfig } from "../../../src/config/config.ts";
import { type CniPodNetwork, createPodNetwork } from "../../../src/network/cni.ts";
import type { PodNetworkRequest } from "../../../src/network/ports.ts";
import { scratch } from "../../support/scratch.ts";
import { type ScriptedCni, scriptCni } from "../../support/scripted-cni.ts";
import { until } from "../../support/until.ts";

const call = { signal: AbortSignal.timeout(300_000) };
const quick = { statusMs: 30, firstRetryMs: 30, gcMs: 30_000 };

function pod(sandboxId: string): PodNetworkRequest {
  return {
    sandboxId,
    netnsPath: "/proc/self/ns/net",
    podName: sandboxId,
    podNamespace: "test",
    podUid: `uid-${sandboxId}`,
    annotations: {},
    portMappings: [],
    dns: { servers: [], searches: [], options: [] },
    cgroupPath: "",
  };
}

interface Setting {
  readonly plugin: ScriptedCni;
  readonly config: CniConfig;
  readonly open: (intervals?: typeof quick) => Promise<CniPodNetwork>;
  readonly configure: (list: object) => Promise<void>;
}

async function setUp(t: TestContext, versions = ["1.0.0", "1.1.0"]): Promise<Setting> {
  const place = await scratch();
  t.after(() => place[Symbol.asyncDispose]());
  const plugin = await scriptCni(place.path, versions);
  const config: CniConfig = {
    confDir: path.join(place.path, "conf"),
    binDirs: [plugin.bin],
    maxConfNum: 1,
    ipPreference: "ipv4",
    runIdlePlugins: false,
    cacheDir: path.join(place.path, "cache"),
  };
  await mkdir(config.confDir);
  const configure = (list: object): Promise<void> =>
    writeFile(
      path.join(config.confDir, "10-n.conflist"),
      JSON.stringify({ name: "n", plugins: [{ type: plugin.type }], ...list }),
    );
  await configure({ cniVersion: "1.1.0" });
  const open = async (intervals = quick): Promise<CniPodNetwork> => {
    const timeouts = { cniMs: 30_000 };
    const network = await createPodNetwork({ config, log: silentLogger, timeouts, intervals });
    t.after(() => network[Symbol.asyncDispose]());
    return network;
  };
  return { plugin, config, open, configure };
}

test("the network is as ready as its plugins say, in their words", async (t) => {
  const { plugin, open } = await setUp(t);
  await plugin.fail("STATUS", { code: 50, msg: "agent is away", details: "since noon" });
  const network = await open();
  const message = `CNI STATUS of plugin "${plugin.type}" in network "n": agent is away: since noon`;
  const reason = "NetworkPluginNotReady";
  assert.deepEqual(network.status(), { ready: false, reason, message });
  await plugin.fail("STATUS", undefined);
  await until("it is ready again", () => network.status().ready);
  const { name, type, cniVersion } = await plugin.input("STATUS");
  assert.deepEqual([name, type, cniVersion], ["n", plugin.type, "1.1.0"]);
  await plugin.fail("STATUS", { code: 51, msg: "pods are cut off" });
  await until("it says so", () => network.status().message.endsWith("pods are cut off"));
});

test("a plugin that sleeps on STATUS holds neither the start nor who asks", async (t) => {
  const { plugin, open } = await setUp(t);
  await plugin.hang("STATUS", true);
  const network = await open();
  assert.match(network.status().message, /network "n" have not answered STATUS yet/);
  await network.setup(pod("p"), call); // nor a pod
  await plugin.hang("STATUS", false);
  await until("it is ready", () => network.status().ready);
});

test("networks of older versions know neither STATUS nor GC, those before 0.4.0 no CHECK", async (t) => {
  const { plugin, open, configure } = await setUp(t);
  await configure({ cniVersion: "1.0.0" });
  const network = await open();
  assert.equal(network.status().ready, true);
  await network.setup(pod("p"), call);
  await network.check(pod("p"), call);
  network.startCollecting(() => []);
  assert.ok("prevResult" in (await plugin.input("CHECK")));
  await configure({ cniVersion: "0.3.1" });
  await network.reload();
  await network.setup(pod("q"), call);
  await network.check(pod("q"), call);
  await network.teardown(pod("q"), call);
  assert.ok(!("prevResult" in (await plugin.input("DEL"))));
  await network.teardown(pod("p"), call);
  assert.ok("prevResult" in (await plugin.input("DEL")));
  assert.deepEqual(await plugin.calls(), ["ADD p", "CHECK p", "ADD q", "DEL q", "DEL p"]);
});

test("CHECK gets what ADD got and tells what is amiss; disableCheck keeps it away", async (t) => {
  const { plugin, open, configure } = await setUp(t);
  const network = await open();
  await network.check(pod("unknown"), call);
  const { raw } = await network.setup(pod("p"), call);
  await network.check(pod("p"), call);
  assert.deepEqual((await plugin.input("CHECK"))["prevResult"], raw["n"]);
  await plugin.fail("CHECK", { code: 7, msg: "the route is gone" });
  await assert.rejects(network.check(pod("p"), call), { message: /the route is gone$/ });
  await configure({ cniVersion: "1.1.0", disableCheck: true });
  await network.reload();
  await network.setup(pod("q"), call);
  await network.check(pod("q"), call);
  await assert.rejects(network.check(pod("p"), call), { cniCode: 7 }); // as it was when p was set up
});

test("a pod that is torn down does not wait for a CHECK that sleeps", async (t) => {
  const { plugin, open } = await setUp(t);
  const network = await open();
  await network.setup(pod("p"), call);
  await plugin.hang("CHECK", true);
  const check = assert.rejects(network.check(pod("p"), call), { code: "CANCELLED" });
  await until("CHECK hangs", async () => (await plugin.calls()).includes("CHECK p"));
  await network.teardown(pod("p"), call);
  await check;
  assert.deepEqual(plugin.held(), []);
});

test("GC keeps what is on record and what sandboxes without a record may have", async (t) => {
  const { plugin, config, open } = await setUp(t);
  const first = await open();
  for (const id of ["kept", "lost", "stray"]) await first.setup(pod(id), call);
  await first[Symbol.asyncDispose]();
  for (const id of ["lost", "stray"]) await rm(path.join(config.cacheDir, `${id}.json`));
  const next = await open();
  next.startCollecting(() => ["kept", "lost"]);
  await until("the stray attachment is gone", () => !plugin.held().includes("stray"));
  assert.deepEqual(plugin.held(), ["kept", "lost"]);
  assert.deepEqual((await plugin.input("GC"))["cni.dev/valid-attachments"], [
    { containerID: "kept", ifname: "eth0" },
    { containerID: "lost", ifname: "eth0" },
  ]);
});

test("GC stays away where a record cannot be read, and from networks with disableGC", async (t) => {
  const { plugin, config, open, configure } = await setUp(t);
  await plugin.fail("DEL", { code: 999, msg: "broken for good" });
  const network = await open();
  await network.setup(pod("p"), call);
  await network.setup(pod("orphan"), call);
  const file = path.join(config.cacheDir, "p.json");
  const whole = await readFile(file, "utf8");
  await writeFile(file, whole.slice(0, 20));
  network.startCollecting(() => []);
  await network.abandon("orphan");
  const rounds = async (): Promise<number> =>
    (await plugin.calls()).filter((it) => it === "DEL orphan").length;
  await until("some rounds are over", async () => (await rounds()) > 2);
  await configure({ cniVersion: "1.1.0", disableGC: true });
  await network.reload();
  await writeFile(file, whole);
  const before = await rounds();
  await until("some rounds are over", async () => (await rounds()) > before + 2);
  assert.ok(!(await plugin.calls()).includes("GC"));
  assert.deepEqual(plugin.held(), ["orphan", "p"]);
});

test("what was abandoned is given back by a later DEL", async (t) => {
  const { plugin, open, configure } = await setUp(t);
  await configure({ cniVersion: "1.0.0" });
  const network = await open();
  network.startCollecting(() => []);
  await network.setup(pod("p"), call);
  await plugin.fail("DEL", { code: 11, msg: "try again later" });
  await assert.rejects(network.teardown(pod("p"), call), { code: "UNAVAILABLE" });
  await network.abandon("p");
  await until("it was tried again", async () => {
    return (await plugin.calls()).filter((it) => it === "DEL p").length >= 3;
  });
  assert.deepEqual(await network.attachedSandboxes(), ["p"]);
  await plugin.fail("DEL", undefined);
  await until("nothing is left", async () => (await network.attachedSandboxes()).length === 0);
  assert.deepEqual(plugin.held(), []);
});

test("what was abandoned is given back by GC where DEL fails for ever, also after a restart", async (t) => {
  const { plugin, open } = await setUp(t);
  const network = await open({ ...quick, firstRetryMs: 3_600_000 });
  network.startCollecting(() => []);
  await network.setup(pod("p"), call);
  await network.setup(pod("q"), call);
  await plugin.fail("DEL", { code: 999, msg: "broken for good" });
  await assert.rejects(network.teardown(pod("p"), call), { cniCode: 999 });
  await network.abandon("p");
  await network[Symbol.asyncDispose]();
  const next = await open();
  next.startCollecting(() => []);
  await until("only q is left", async () => (await next.attachedSandboxes()).length === 1);
  assert.deepEqual([await next.attachedSandboxes(), plugin.held()], [["q"], ["q"]]);
});

test("a GC that sleeps is killed, and pods go on", async (t) => {
  const { plugin, open } = await setUp(t);
  await plugin.hang("GC", true);
  const network = await open({ ...quick, gcMs: 300 });
  network.startCollecting(() => []);
  await until("GC runs", async () => (await plugin.calls()).includes("GC"));
  await network.setup(pod("p"), call);
  assert.deepEqual(plugin.held(), ["p"]);
});

test("GC waits until no pod comes or goes, and holds up nobody meanwhile", async (t) => {
  const { plugin, open } = await setUp(t);
  const network = await open();
  await plugin.hang("ADD", true);
  const slow = network.setup(pod("slow"), call);
  await until("ADD hangs", async () => (await plugin.calls()).includes("ADD slow"));
  network.startCollecting(() => []);
  await network.teardown(pod("other"), call); // GC waits, and others need not
  assert.ok(!(await plugin.calls()).includes("GC"));
  await plugin.hang("GC", true);
  await plugin.hang("ADD", false);
  await slow;
  await until("GC runs", async () => (await plugin.calls()).includes("GC"));
  const late = network.setup(pod("late"), call);
  await plugin.hang("GC", false);
  await late;
  assert.deepEqual(plugin.held(), ["late", "slow"]);
  const calls = await plugin.calls();
  assert.ok(calls.indexOf("GC") < calls.indexOf("ADD late"));
});

const freezer = "/sys/fs/cgroup/freezer";

test("a plugin that cannot even be killed holds neither its pod nor GC nor others", {
  skip: existsSync(path.join(freezer, "cgroup.procs")) ? false : "needs cgroup v1's freezer",
}, async (t) => {
  const { plugin, open } = await setUp(t);
  const group = path.join(freezer, `berth-test-${process.pid}`);
  await mkdir(group);
  t.after(async () => {
    await writeFile(path.join(group, "freezer.state"), "THAWED");
    await until("the plugins are dead", async () => {
      return (await readFile(path.join(group, "cgroup.procs"), "utf8")) === "";
    });
    await rmdir(group);
  });
  const freeze = async (): Promise<void> => {
    await writeFile(path.join(group, "freezer.state"), "FROZEN");
  };
  await plugin.enter(group);
  const network = await open({ ...quick, statusMs: 3_600_000, gcMs: 300 });
  await network.setup(pod("p"), call);
  await freeze();
  network.startCollecting(() => []);
  await until(
    "GC runs",
    async () => (await readFile(path.join(group, "cgroup.procs"), "utf8")) !== "",
  );
  await plugin.enter(undefined);
  await network.setup(pod("q"), call);
  await plugin.enter(group);
  const limit = { signal: AbortSignal.timeout(300) };
  await assert.rejects(network.teardown(pod("q"), limit), { code: "DEADLINE_EXCEEDED" });
  await plugin.enter(undefined);
  await network.teardown(pod("q"), call);
  await network.teardown(pod("p"), call);
});

const negotiated = [
  { name: "both speak the newest", speaks: ["1.0.0", "1.1.0"], version: "1.1.0" },
  { name: "the plugin is older", speaks: ["0.4.0", "1.0.0"], version: "1.0.0" },
  {
    name: "none is common: the newest, for the plugin to refuse",
    speaks: ["0.2.0"],
    version: "1.1.0",
  },
];

for (const { name, speaks, version } of negotiated) {
  test(`of several versions the newest is taken that all speak: ${name}`, async (t) => {
    const { plugin, open, configure } = await setUp(t, speaks);
    await configure({ cniVersion: "0.4.0", cniVersions: ["0.4.0", "1.0.0", "1.1.0", "9.0.0"] });
    const network = await open();
    await network.setup(pod("p"), call);
    assert.equal((await plugin.input("ADD"))["cniVersion"], version);
  });
}
