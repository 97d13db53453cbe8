// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { removeFolderSync } from "../base/remove-folder.ts";
import type { PluginFacts } from "../plugin/plugin.ts";
import { packAny, unpackAny } from "../rpc/codec.ts";
import { inProcessClient } from "../rpc/in-process.ts";
import { createIntrospectionService, loadServerId } from "./introspection-service.ts";

const up: PluginFacts = {
  type: "io.containerd.service.v1",
  id: "tasks-service",
  requires: ["io.containerd.runtime.v2"],
  exports: { root: "/x" },
  capabilities: ["fast"],
  state: { kind: "up" },
};
const broken: PluginFacts = {
  ...up,
  type: "io.containerd.snapshotter.v1",
  id: "overlayfs",
  capabilities: [],
  state: { kind: "failed", error: new Error("no overlay") },
};

const runtime: PluginFacts = { ...up, type: "io.containerd.runtime.v2", id: "task" };

const client = inProcessClient(
  "containerd.services.introspection.v1.Introspection",
  createIntrospectionService({
    plugins: () => [up, broken, runtime],
    uuid: "the-uuid",
    runtimeInfo: async (name, options) => ({ name: `info of ${name}`, options }),
  }),
);

const table: { filters: string[]; ids: string[] }[] = [
  { filters: [], ids: ["tasks-service", "overlayfs", "task"] },
  { filters: ["type==io.containerd.snapshotter.v1"], ids: ["overlayfs"] },
  { filters: ["id==tasks-service"], ids: ["tasks-service"] },
  { filters: ["capabilities.fast"], ids: ["tasks-service", "task"] },
];
for (const { filters, ids } of table) {
  test(`Introspection: Plugins with ${JSON.stringify(filters)}`, async () => {
    const { plugins } = await client.Plugins({ filters });
    assert.deepEqual(
      plugins.map(({ id }) => id),
      ids,
    );
  });
}

test("Introspection: a failed plugin shows its error", async () => {
  const { plugin } = await client.PluginInfo({ type: broken.type, id: "overlayfs" });
  assert.equal(plugin?.initErr?.message, "no overlay");
  assert.equal(plugin.platforms[0]?.os, "linux");
  await assert.rejects(client.PluginInfo({ type: "x", id: "y" }), { code: "NOT_FOUND" });
});

test("Introspection: the runtime plugin tells of a runtime, others of nothing", async () => {
  const options = packAny("containerd.types.RuntimeRequest", { runtimePath: "io.x.y.v2" });
  const { extra } = await client.PluginInfo({ type: runtime.type, id: "task", options });
  assert.equal(unpackAny("containerd.types.RuntimeInfo", extra)?.name, "info of io.x.y.v2");
  const { extra: none } = await client.PluginInfo({ type: runtime.type, id: "task" });
  assert.equal(none, null);
  const other = { type: up.type, id: up.id, options };
  await assert.rejects(client.PluginInfo(other), { code: "UNIMPLEMENTED" });
});

test("Introspection: Server tells the process and the installation", async () => {
  const answer = await client.Server({});
  assert.equal(answer.uuid, "the-uuid");
  assert.equal(answer.pid, BigInt(process.pid));
  assert.ok(answer.pidns > 0n);
});

test("loadServerId keeps the id it made", async () => {
  const root = mkdtempSync(path.join(os.tmpdir(), "berth id-"));
  try {
    const id = await loadServerId(path.join(root, "deep", "id"));
    assert.match(id, /^[0-9a-f-]{36}$/);
    assert.equal(await loadServerId(path.join(root, "deep", "id")), id);
  } finally {
    removeFolderSync(root);
  }
});
