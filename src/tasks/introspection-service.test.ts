// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { PluginFacts } from "../plugin/plugin.ts";
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

const client = inProcessClient(
  "containerd.services.introspection.v1.Introspection",
  createIntrospectionService({ plugins: () => [up, broken], uuid: "the-uuid" }),
);

const table: { filters: string[]; ids: string[] }[] = [
  { filters: [], ids: ["tasks-service", "overlayfs"] },
  { filters: ["type==io.containerd.snapshotter.v1"], ids: ["overlayfs"] },
  { filters: ["id==tasks-service"], ids: ["tasks-service"] },
  { filters: ["capabilities.fast"], ids: ["tasks-service"] },
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

test("Introspection: Server tells the process and the installation", async () => {
  const answer = await client.Server({});
  assert.equal(answer.uuid, "the-uuid");
  assert.equal(answer.pid, BigInt(process.pid));
  assert.ok(answer.pidns > 0n);
});

test("loadServerId keeps the id it made", async () => {
  const root = mkdtempSync(path.join(os.tmpdir(), "berth id-"));
  try {
    const id = await loadServerId(path.join(root, "deep"));
    assert.match(id, /^[0-9a-f-]{36}$/);
    assert.equal(await loadServerId(path.join(root, "deep")), id);
  } finally {
    rmSync(root, { recursive: true });
  }
});
