// SPDX-License-Identifier: Apache-2.0
// Of a node that uses Berth already, by its files or by what it tells.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import type { V1Node } from "@kubernetes/client-node";
import { removeFolderSync } from "../base/remove-folder.ts";
import type { NodeClient } from "../kube/api/node-client.ts";
import { type Looking, look } from "./look.ts";

const root = mkdtempSync(path.join(os.tmpdir(), "berth-look-again-"));
after(() => removeFolderSync(root));
mkdirSync(path.join(root, "run"));
symlinkSync("run", path.join(root, "link"));
mkdirSync(path.join(root, "proc"));
mkdirSync(path.join(root, "var/lib/kubelet"), { recursive: true });

const ourEndpoint = path.join(root, "run/berthd.sock");
const call = { signal: new AbortController().signal };

function looking(endpoint: string, runtime: string): Looking {
  const config = path.join(root, "var/lib/kubelet/config.yaml");
  writeFileSync(config, `containerRuntimeEndpoint: unix://${endpoint}\n`);
  const node = { status: { nodeInfo: { containerRuntimeVersion: runtime } } } as V1Node;
  const api = { node: async () => node, missingRights: async () => [] };
  const facts: Partial<Looking> = {
    node: "n",
    root,
    ourEndpoint,
    oldService: undefined,
    ask: (_what, question) => question(api as unknown as NodeClient),
    whyNotReady: async () => undefined,
  };
  return facts as Looking;
}

test("the same socket by another path is Berth's", async () => {
  const linked = path.join(root, "link/berthd.sock");
  assert.equal(await look(looking(linked, "berth://1"), call), undefined);
});

test("a node that tells berth:// has no runtime of before to go back to", async () => {
  const other = looking("/run/containerd/containerd.sock", "berth://1");
  await assert.rejects(look(other, call), /n tells berth:\/\/1 already.*restart the kubelet/);
});
