// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLogger } from "../base/logger.ts";
import { type Plugin, type PluginFacts, plugin } from "./plugin.ts";
import { PluginRegistry } from "./registry.ts";

const { signal } = new AbortController();

interface Sketch {
  uri: string;
  requires?: string[];
  fails?: string;
}

/** Plugins that note when they start and stop. "a.x" has type "a" and id "x". */
function plugins(sketches: readonly Sketch[], notes: string[]): Plugin<AsyncDisposable>[] {
  return sketches.map(({ uri, requires = [], fails }) => {
    const [type = "", id = ""] = uri.split(".");
    return {
      type,
      id,
      requires,
      start: async () => {
        await Promise.resolve();
        if (fails) throw new Error(fails);
        notes.push(`+${uri}`);
        return {
          [Symbol.asyncDispose]: async () => {
            notes.push(`-${uri}`);
          },
        };
      },
    };
  });
}

function registryOf(sketches: readonly Sketch[], notes: string[] = []): PluginRegistry {
  const registry = new PluginRegistry(silentLogger);
  for (const plugin of plugins(sketches, notes)) registry.register(plugin);
  return registry;
}

test("PluginRegistry starts what is required first, and stops in reverse", async () => {
  const notes: string[] = [];
  const registry = registryOf(
    [
      { uri: "grpc.tasks", requires: ["service.tasks"] },
      { uri: "service.tasks", requires: ["metadata", "runtime"] },
      { uri: "runtime.v2", requires: ["event.exchange"] },
      { uri: "metadata.sqlite" },
      { uri: "event.exchange" },
    ],
    notes,
  );
  await registry.start({ signal, vital: ["service.tasks"] });
  await registry[Symbol.asyncDispose]();
  assert.deepEqual(notes, [
    "+metadata.sqlite",
    "+event.exchange",
    "+runtime.v2",
    "+service.tasks",
    "+grpc.tasks",
    "-grpc.tasks",
    "-service.tasks",
    "-runtime.v2",
    "-event.exchange",
    "-metadata.sqlite",
  ]);
});

const impossible: { name: string; sketches: Sketch[]; failed: string[]; message: RegExp }[] = [
  {
    name: "a cycle",
    sketches: [
      { uri: "a.x", requires: ["b.x"] },
      { uri: "b.x", requires: ["c"] },
      { uri: "c.x", requires: ["a"] },
    ],
    failed: ["a.x", "b.x", "c.x"],
    message: /plugins require each other: "a\.x" → "b\.x" → "c\.x" → "a\.x"/,
  },
  {
    name: "a plugin that requires itself",
    sketches: [{ uri: "a.x", requires: ["a.x"] }],
    failed: ["a.x"],
    message: /plugins require each other: "a\.x" → "a\.x"/,
  },
  {
    name: "a missing requirement",
    sketches: [{ uri: "a.x", requires: ["b.y"] }],
    failed: ["a.x"],
    message: /plugin "a\.x" requires "b\.y", which no plugin is/,
  },
];
for (const { name, sketches, failed, message } of impossible) {
  test(`PluginRegistry names ${name}, and goes on without it`, async () => {
    await using registry = registryOf([
      ...sketches,
      { uri: "z.x" },
      { uri: "y.x", requires: ["a"] },
    ]);
    await registry.start({ signal, vital: ["z.x"] });
    const states = new Map(
      registry.list().map((facts) => [`${facts.type}.${facts.id}`, facts.state]),
    );
    for (const uri of failed) {
      const state = states.get(uri);
      assert.match(state?.kind === "failed" ? state.error.message : "", message);
    }
    assert.equal(states.get("z.x")?.kind, "up");
    const dependent = states.get("y.x");
    assert.match(
      dependent?.kind === "failed" ? dependent.error.message : "",
      /"y\.x" is off: "a\.x" has failed/,
    );
  });

  test(`PluginRegistry does not start with ${name} among what is vital`, async () => {
    const started = registryOf(sketches).start({ signal, vital: ["a.x"] });
    await assert.rejects(started, { code: "INVALID_ARGUMENT", message });
  });
}

test("PluginRegistry names a duplicate", async () => {
  const started = registryOf([{ uri: "a.x" }, { uri: "a.x" }]).start({ signal, vital: [] });
  await assert.rejects(started, {
    code: "INVALID_ARGUMENT",
    message: /"a\.x" is registered twice/,
  });
});

test("PluginRegistry lets a failure reach only those that need it", async () => {
  const notes: string[] = [];
  await using registry = registryOf(
    [
      { uri: "snapshot.overlay", fails: "no overlay here" },
      { uri: "snapshot.native" },
      { uri: "a.needsOverlay", requires: ["snapshot.overlay"] },
      { uri: "b.needsAny", requires: ["snapshot"] },
      { uri: "c.needsA", requires: ["a"] },
      { uri: "d.free" },
    ],
    notes,
  );
  await registry.start({ signal, vital: ["d.free"] });
  assert.deepEqual(notes, ["+snapshot.native", "+b.needsAny", "+d.free"]);
  const errors = registry
    .list()
    .map(({ type, state }) => [type, state.kind === "failed" ? state.error.message : state.kind]);
  assert.deepEqual(errors, [
    ["snapshot", "no overlay here"],
    ["snapshot", "up"],
    ["a", 'plugin "a.needsOverlay" is off: "snapshot.overlay" has failed'],
    ["b", "up"],
    ["c", 'plugin "c.needsA" is off: "a.needsOverlay" has failed'],
    ["d", "up"],
  ]);
});

test("PluginRegistry stops all again when a vital plugin fails", async () => {
  const notes: string[] = [];
  const registry = registryOf(
    [{ uri: "a.x" }, { uri: "b.x", requires: ["a"], fails: "broken" }],
    notes,
  );
  await assert.rejects(registry.start({ signal, vital: ["b.x"] }), /broken/);
  assert.deepEqual(notes, ["+a.x", "-a.x"]);
});

test("PluginRegistry starts nothing more once what is vital cannot come, and tells why", async () => {
  const notes: string[] = [];
  const registry = registryOf(
    [
      { uri: "store.x", fails: "the store is locked" },
      { uri: "service.x", requires: ["store"] },
      { uri: "grpc.x", requires: ["service"] },
      { uri: "other.x" },
    ],
    notes,
  );
  await assert.rejects(
    registry.start({ signal, vital: ["grpc.x"] }),
    /^Error: the store is locked/,
  );
  assert.deepEqual(notes, []);
});

test("PluginRegistry goes on while another plugin of the type is to come", async () => {
  const notes: string[] = [];
  await using registry = registryOf(
    [
      { uri: "store.a", fails: "broken" },
      { uri: "store.b" },
      { uri: "service.x", requires: ["store"] },
    ],
    notes,
  );
  await registry.start({ signal, vital: ["service.x"] });
  assert.deepEqual(notes, ["+store.b", "+service.x"]);
});

test("PluginRegistry hands over what is required, under the names and types it is required by", async () => {
  const registry = new PluginRegistry(silentLogger);
  const number = plugin({ type: "n", id: "x", requires: {}, init: () => 42 });
  const broken = plugin({
    type: "n",
    id: "y",
    requires: {},
    init: (): number => {
      throw new Error("broken");
    },
  });
  const twice = plugin({
    type: "t",
    id: "x",
    requires: { one: number, each: { all: [number, broken] } },
    init: ({ one, each }) => [one * 2, ...each] as const,
  });
  const sneaky = plugin({
    type: "s",
    id: "x",
    requires: { one: number },
    // @ts-expect-error what is not required is not there
    init: ({ one, each }) => [one, each],
  });
  const all: readonly Plugin<unknown>[] = [twice, number, broken, sneaky];
  for (const one of all) registry.register(one);
  await registry.start({ signal, vital: [] });
  assert.deepEqual(registry.get(twice), [84, ["x", 42]]);
  assert.deepEqual(registry.get(sneaky), [42, undefined]);
  assert.deepEqual(
    registry.list().map(({ id, requires }) => [id, requires]),
    [
      ["x", []],
      ["y", []],
      ["x", ["n.x", "n"]],
      ["x", ["n.x"]],
    ],
  );
  await registry[Symbol.asyncDispose]();
  assert.throws(() => registry.get(number), { code: "FAILED_PRECONDITION" });
  assert.equal(registry.find(number), undefined);
});

/** Hangs in its `init` until `release` is called, or for good. */
function hanging(uri: string, notes: string[]) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const [type = "", id = ""] = uri.split(".");
  const made = plugin({
    type,
    id,
    requires: {},
    init: async (_, { signal: own, waitsFor }) => {
      waitsFor("a disk");
      own.addEventListener("abort", () => notes.push(`!${uri}`));
      await promise;
      return { [Symbol.dispose]: () => notes.push(`-${uri}`) };
    },
  });
  return { plugin: made, release: resolve };
}

const late = {
  code: "DEADLINE_EXCEEDED",
  message: /"a\.x" is not up after 0\.02 s, it waits for a disk/,
};

test("PluginRegistry goes on without a plugin that does not come up, and stops it when it comes", async () => {
  const notes: string[] = [];
  const registry = new PluginRegistry(silentLogger, { startMs: 20 });
  const { plugin: slow, release } = hanging("a.x", notes);
  registry.register(slow);
  for (const other of plugins([{ uri: "b.x" }, { uri: "c.x", requires: ["a"] }], notes)) {
    registry.register(other);
  }
  await registry.start({ signal, vital: ["b.x"] });
  assert.deepEqual(notes, ["!a.x", "+b.x"]);
  const [{ state }] = registry.list().filter(({ type }) => type === "a") as [PluginFacts];
  assert.ok(state.kind === "failed");
  assert.throws(() => {
    throw state.error;
  }, late);
  release();
  await sleep(0);
  assert.deepEqual(notes.splice(2), ["-a.x"]);
  await registry[Symbol.asyncDispose]();
});

test("PluginRegistry gives up when what is vital does not come up", async () => {
  const notes: string[] = [];
  const registry = new PluginRegistry(silentLogger, { startMs: 600_000, vitalStartMs: 20 });
  registry.register(hanging("a.x", notes).plugin);
  for (const one of plugins([{ uri: "b.x", requires: ["a.x"] }], notes)) registry.register(one);
  await assert.rejects(registry.start({ signal, vital: ["b.x"] }), late);
  assert.deepEqual(notes, ["!a.x"]);
});

test("PluginRegistry waits for no plugin that hangs when the daemon is to stop", async () => {
  const stop = new AbortController();
  const registry = new PluginRegistry(silentLogger, { stopMs: 20 });
  registry.register(hanging("a.x", []).plugin);
  const starting = registry.start({ signal: stop.signal, vital: ["a.x"] });
  stop.abort();
  await assert.rejects(starting, { name: "AbortError" });
});

test("PluginRegistry stops the others when one does not stop", async () => {
  const notes: string[] = [];
  const registry = new PluginRegistry(silentLogger, { stopMs: 20 });
  for (const one of plugins([{ uri: "a.x" }], notes)) registry.register(one);
  registry.register(
    plugin({
      type: "b",
      id: "x",
      requires: {},
      init: () => ({ [Symbol.asyncDispose]: () => new Promise<void>(() => {}) }),
    }),
  );
  await registry.start({ signal, vital: [] });
  await registry[Symbol.asyncDispose]();
  assert.deepEqual(notes, ["+a.x", "-a.x"]);
});
