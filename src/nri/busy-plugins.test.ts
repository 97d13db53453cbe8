// SPDX-License-Identifier: Apache-2.0
// Plugins that are slow or fail, where others, and the plugin itself, must not lose what they are owed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PluggedNode } from "../../test/support/nri/plugged-node.ts";
import { fault } from "../base/errors.ts";
import { sleep } from "../base/timers.ts";

const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(60_000) });
const bit = (event: number): number => 2 ** (event - 1);
const pod = { id: "pod", name: "web", namespace: "default", uid: "u" };
const asked = (id: string) => ({ pod, container: { id, podSandboxId: "pod", name: "app" } });

test("a plugin that answers is not passed over for the length of its queue", async () => {
  using node = new PluggedNode({ requestTimeoutMs: 2000 });
  const plugin = await node.plugged({
    on: {
      CreateContainer: async () => {
        await sleep(60, call());
        return { adjust: { env: [{ key: "pinned", value: "yes" }] } };
      },
    },
  });
  const ids = Array.from({ length: 40 }, (_, at) => `c${at}`);
  const made = await Promise.all(
    ids.map((id) => node.plugins.createContainer(() => asked(id), call())),
  );
  assert.deepEqual(
    made.map(({ adjust }) => adjust?.env.length),
    ids.map(() => 1),
  );
  assert.equal(plugin.calls.filter(({ method }) => method === "Synchronize").length, 1);
  for (const one of made) one[Symbol.dispose]();
});

test("a plugin whose Synchronize takes longer than a call may, serves after it", async () => {
  using node = new PluggedNode({ requestTimeoutMs: 200 });
  node.containers.set("c1", asked("c1").container);
  const plugin = await node.plugged({
    on: {
      Synchronize: async () => {
        await sleep(400, call());
        return {};
      },
    },
  });
  assert.equal(node.plugins.list()[0]?.state, "serving");
  assert.equal(plugin.calls.filter(({ method }) => method === "Synchronize").length, 1);
});

test("a plugin that is late with its Synchronize serves after it, where it has missed nothing", async () => {
  using node = new PluggedNode({ requestTimeoutMs: 40 });
  const plugin = await node.plugged({
    on: {
      Synchronize: async () => {
        await sleep(500, call());
        return {};
      },
    },
  });
  assert.equal(node.plugins.list()[0]?.state, "serving");
  assert.equal(plugin.calls.filter(({ method }) => method === "Synchronize").length, 1);
});

test("what plugins are only told of reaches all, and what they answer holds, whatever one says", async () => {
  using node = new PluggedNode();
  const change = { containerId: "c2", linux: { resources: { cpu: { cpus: "0-1" } } } };
  const refuses = async (): Promise<never> => {
    throw fault("INTERNAL", "no");
  };
  await node.plugged({
    index: "10",
    on: { StopContainer: async () => ({ update: [change] }) },
  });
  await node.plugged({
    index: "20",
    on: { StopContainer: refuses, RemoveContainer: refuses, PostStartContainer: refuses },
  });
  const last = await node.plugged({ index: "30" });
  const updates = await node.plugins.stopContainer(() => asked("c1"), call());
  assert.deepEqual(
    updates.map(({ containerId }) => containerId),
    ["c2"],
  );
  await last.got("StopContainer");
  for (const kind of ["RemoveContainer", "PostStartContainer"] as const) {
    const { container } = asked("c1");
    await node.plugins.tell({ kind, pod: () => pod, container: () => container }, call());
    await last.got(kind);
  }
});

test("what happens to a container is told to all before the next, and others' do not wait for it", async () => {
  using node = new PluggedNode();
  const gate = Promise.withResolvers<void>();
  const hangs = await node.plugged({
    events: bit(7),
    on: {
      PostStartContainer: async () => {
        await gate.promise;
        return {};
      },
    },
  });
  const seen: string[] = [];
  const last = (what: string) => async (request: object) => {
    const { container } = request as { container?: { id: string } | null };
    seen.push(`${what} ${container?.id}`);
    return {};
  };
  const kinds = ["PostStartContainer", "UpdateContainer", "StopContainer"] as const;
  const on = Object.fromEntries(
    [...kinds, "RemoveContainer" as const].map((kind) => [kind, last(kind)]),
  );
  await node.plugged({ index: "20", on });
  const about = (id: string) => ({ pod: () => pod, container: () => asked(id).container });
  const inOrder = [
    node.plugins.tell({ kind: "PostStartContainer", ...about("c1") }, call()),
    node.plugins.updateContainer(() => asked("c1"), call()),
    node.plugins.stopContainer(() => asked("c1"), call()),
    node.plugins.tell({ kind: "RemoveContainer", ...about("c1") }, call()),
  ];
  await hangs.got("PostStartContainer");
  await node.plugins.updateContainer(() => asked("c2"), call());
  await node.plugins.stopContainer(() => asked("c2"), call());
  assert.deepEqual(seen, ["UpdateContainer c2", "StopContainer c2"]);
  gate.resolve();
  await Promise.all(inOrder);
  assert.deepEqual(seen.slice(2), [
    "PostStartContainer c1",
    "UpdateContainer c1",
    "StopContainer c1",
    "RemoveContainer c1",
  ]);
});

test("a validator that dies while a container is made refuses it", async () => {
  using node = new PluggedNode();
  const plugin = await node.plugged({
    events: 0,
    on: {
      CreateContainer: async () => {
        plugin[Symbol.dispose]();
        return {};
      },
      ValidateContainerAdjustment: async () => ({}),
    },
  });
  await assert.rejects(
    node.plugins.createContainer(() => asked("c1"), call()),
    { code: "UNAVAILABLE", message: /"10-fake"/ },
  );
});

test("a plugin is told the time-out that is its own", async () => {
  using node = new PluggedNode({ plugins: { "10-fake": { requestTimeoutMs: 7000 } } });
  const plugin = await node.plugged();
  assert.equal((await plugin.got("Configure")).requestTimeout, 7000n);
});

test("a plugin that is late while the updates of its Synchronize are applied is asked again once it has answered", async () => {
  const applied = Promise.withResolvers<void>();
  using node = new PluggedNode({
    requestTimeoutMs: 60,
    onFailure: "refuse",
    state: {
      update: async () => {
        await applied.promise;
        return [];
      },
    },
  });
  node.containers.set("c1", asked("c1").container);
  const answer = Promise.withResolvers<void>();
  const { fake, admitted } = node.plug({
    on: {
      Synchronize: async () => ({
        update: [{ containerId: "c1", linux: { resources: { cpu: { cpus: "0" } } } }],
      }),
      CreateContainer: async () => {
        await answer.promise;
        return {};
      },
    },
  });
  await fake.register();
  await fake.got("Synchronize");
  const late = node.plugins.createContainer(() => asked("c2"), call());
  await assert.rejects(late, /NRI plugin "\S+" is needed/);
  await sleep(100, call()); // its own timer has told so too
  applied.resolve();
  await sleep(100, call()); // what follows from it
  assert.equal(node.plugins.list()[0]?.state, "late");
  answer.resolve();
  await admitted;
  using _made = await node.plugins.createContainer(() => asked("c3"), call());
  assert.equal(node.plugins.list()[0]?.state, "serving");
});
