// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { sandboxInput, specOf, testServices } from "../../../test/support/spec-input.ts";
import { defaultHandler } from "../../config/defaults.ts";
import { buildSandboxSpec } from "./build-sandbox-spec.ts";

test("crun leaves a container in the scope that systemd has made for it", async () => {
  const order = "run.oci.systemd.subgroup";
  const rows = [
    ["/usr/bin/crun", true, ""],
    ["crun", true, ""],
    ["crun", false, undefined],
    ["", true, undefined],
    ["/usr/bin/runc", true, undefined],
  ] as const;
  for (const [binaryName, systemdCgroup, expected] of rows) {
    const its = { ...defaultHandler, binaryName, systemdCgroup };
    const pod = await buildSandboxSpec(sandboxInput({ handler: its }), testServices);
    const container = await specOf({ handler: its });
    for (const { annotations } of [pod, container]) {
      assert.equal(annotations[order], expected, binaryName);
    }
  }
});

test("crun is asked for no OOM score of 0, which it takes for none", async () => {
  const rows = [
    ["/usr/bin/crun", 0n, 1],
    ["/usr/bin/crun", 7n, 7],
    ["", 0n, 0],
  ] as const;
  for (const [binaryName, asked, expected] of rows) {
    const { process } = await specOf({
      handler: { ...defaultHandler, binaryName },
      config: { linux: { resources: { oomScoreAdj: asked } } },
    });
    assert.equal(process.oomScoreAdj, expected, binaryName);
  }
});
