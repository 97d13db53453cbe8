// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { defaultConfig } from "../../config/defaults.ts";
import { Host } from "../host.ts";
import type { Patient } from "../patient.ts";
import { plugins } from "./plugins.ts";

test("where the daemon does not tell of NRI plugins, all else about plugins is told", async () => {
  await using home = await scratch({ prefix: "doctor-plugins" });
  const pluginPath = path.join(home.path, "plugins");
  await mkdir(pluginPath);
  await writeFile(path.join(pluginPath, "10-good"), "", { mode: 0o755 });
  await writeFile(path.join(pluginPath, "20-bad"), "", { mode: 0o644 });
  const info = { missingNriPlugins: '[{"name":"must","reason":""}]' };
  const patient: Partial<Patient> = {
    host: new Host(),
    config: {
      ...defaultConfig,
      plugins: { ...defaultConfig.plugins, dir: "" },
      nri: { ...defaultConfig.nri, enable: true, pluginPath },
    },
    socket: path.join(home.path, "nobody.sock"),
    daemon: async () => {
      return { state: "up", reason: "", pid: 1, version: "", conditions: [], info };
    },
  };
  const call = { signal: new AbortController().signal };
  const found = await plugins.run(patient as Patient, call);
  assert.deepEqual(
    found.filter(({ what }) => !what.includes("/cdi/")).map(({ level }) => level),
    ["warning", "note", "error"],
    JSON.stringify(found),
  );
  assert.match(found[1]?.what ?? "", /^berthd does not tell which NRI plugins take part: /);
});
