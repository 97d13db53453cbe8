// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { kubeconfigText } from "../../../test/support/kube/scripted-api-server.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { openKubeconfig } from "./open-kubeconfig.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth-kubeconfig-"));
after(() => removeFolderSync(folder));
const call = { signal: new AbortController().signal };

test("several files are one, as kubectl has it: the first that has a thing gives it", async () => {
  const first = path.join(folder, "first");
  const whole = JSON.parse(kubeconfigText("https://192.0.2.1:1", {})) as Record<string, unknown>;
  writeFileSync(first, JSON.stringify({ ...whole, users: null }));
  const second = path.join(folder, "sub", "second");
  mkdirSync(path.dirname(second));
  // Files are named from the folder of the file that names them.
  writeFileSync(second, kubeconfigText("https://192.0.2.2:2", { tokenFile: "token" }));
  writeFileSync(path.join(folder, "sub", "token"), "secret\n");
  const { server, options } = await openKubeconfig([first, second], call);
  assert.equal(server, "https://192.0.2.1:1");
  assert.deepEqual(options.headers, { Authorization: "Bearer secret" });
  assert.equal((await openKubeconfig([second, first], call)).server, "https://192.0.2.2:2");
  await assert.rejects(openKubeconfig([first], call), /first: .*names no user/);
  const missing = path.join(folder, "missing");
  await assert.rejects(openKubeconfig([first, missing], call), /missing: ENOENT/);
});
