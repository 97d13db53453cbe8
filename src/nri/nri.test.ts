// SPDX-License-Identifier: Apache-2.0
// What of NRI a node without plugins has loaded, and what becomes of calls before and after the first plugin.
import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import path from "node:path";
import { test } from "node:test";
import type { NodeState } from "./ports.ts";
import type { NriSettings } from "./settings.ts";

const loaded = new Set<string>();
registerHooks({
  load: (url, context, next) => {
    loaded.add(path.basename(url));
    return next(url, context);
  },
});
// After the hook: the tests' plugins would load what is looked for.
const { silentLogger } = await import("../base/logger.ts");
const { createNri } = await import("./nri.ts");
const { scratch } = await import("../../test/support/scratch.ts");

const ofPlugins = ["node-plugins.ts", "plugin-set.ts", "connection.ts", "creation-merge.ts"];
const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(60_000) });
const nothing: NodeState = {
  pods: () => [],
  containers: () => [],
  hasContainer: () => true,
  update: async () => [],
  evict: async () => {},
};

function settings(socketPath: string, required: readonly string[] = []): NriSettings {
  return {
    socketPath,
    pluginPath: "/nowhere",
    pluginConfigPath: "/nowhere",
    runFolder: "/nowhere",
    registrationTimeoutMs: 5000,
    requestTimeoutMs: 5000,
    disableConnections: false,
    onFailure: undefined,
    required,
    tolerateMissingPluginsAnnotation: "",
    plugins: {},
    defaultValidator: undefined,
  };
}

test("the first plugin has what asks it loaded, and learns of all that was being made before", async () => {
  await using folder = await scratch();
  const socketPath = path.join(folder.path, "nri.sock");
  const options = { node: nothing, runtime: { name: "berth", version: "1" }, log: silentLogger };
  await using nri = createNri({ ...options, settings: settings(socketPath) });
  await nri.start(call());
  using _pod = await nri.runPodSandbox(() => ({ id: "p" }), call());
  using made = await nri.createContainer(() => ({ container: { id: "c" } }), call());
  (await nri.createContainer(() => ({ container: { id: "shown" } }), call()))[Symbol.dispose]();
  assert.equal(made.adjust, undefined);
  assert.deepEqual(await nri.updateContainer(() => ({}), call()), {
    resources: undefined,
    updates: [],
  });
  assert.deepEqual(await nri.stopContainer(() => ({}), call()), []);
  await nri.tell({ kind: "StopPodSandbox", pod: () => ({ id: "p" }) }, call());
  assert.deepEqual([nri.active, nri.list(), nri.missing()], [false, [], []]);
  assert.deepEqual(
    ofPlugins.filter((file) => loaded.has(file)),
    [],
  );
  const { FakePlugin } = await import("../../test/support/nri/fake-plugin.ts");
  using plugin = await FakePlugin.connect(socketPath);
  assert.deepEqual([[...plugin.pods], [...plugin.containers]], [["p"], ["c"]]);
  assert.equal(nri.active, true);
  await nri.createContainer(() => ({ container: { id: "later" } }), call());
  assert.deepEqual(plugin.seen(), ["CreateContainer"]);
});

test("what is required is missed with no plugin at all", async () => {
  await using folder = await scratch();
  const socketPath = path.join(folder.path, "nri.sock");
  const options = { node: nothing, runtime: { name: "berth", version: "1" }, log: silentLogger };
  await using nri = createNri({ ...options, settings: settings(socketPath) });
  await nri.start(call());
  nri.reload(settings(socketPath, ["10-policy"]));
  assert.equal(nri.active, true);
  assert.deepEqual(nri.missing(), [{ name: "10-policy", reason: "" }]);
  await assert.rejects(
    nri.createContainer(() => ({ container: { id: "c" } }), call()),
    { code: "UNAVAILABLE", message: /required NRI plugin "10-policy" is not connected/ },
  );
});
