// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { suite, test } from "node:test";
import { runCritest } from "../../support/critest-run.ts";
import { projectFolder } from "../plan.ts";

const critest = path.join(projectFolder, "vm/critest");
const wantsAll = process.env["BERTH_VM_CRITEST"] === "all";

/** What skips itself on the hosts of `npm run test:conformance`, and what differs with cgroup v2. */
const groups: readonly { readonly name: string; readonly focus: string; readonly least: number }[] =
  wantsAll
    ? [{ name: "everything", focus: ".", least: 100 }]
    : [
        { name: "AppArmor", focus: "AppArmor", least: 9 },
        { name: "out of memory", focus: "runtime should output OOMKilled reason", least: 1 },
      ];

/** Pinned by digest to an image at gcr.io, which only gcr.io can serve. */
const unservable = ["public image with digest"];

suite("critest", { skip: existsSync(critest) ? false : "needs critest" }, () => {
  for (const { name, focus, least } of groups) {
    test(name, async (t) => {
      const folder = `/tmp/critest-${name.replaceAll(" ", "-")}`;
      await mkdir(folder, { recursive: true });
      const results = await runCritest({
        critest,
        socket: "/run/berthd/berthd.sock",
        focus: [focus],
        skip: unservable,
        folder,
        timeoutMs: wantsAll ? 3 * 3_600_000 : 480_000,
      });
      const failed = results.filter(({ state }) => state !== "passed" && state !== "skipped");
      assert.deepEqual(
        failed.map((spec) => `${spec.name}: ${spec.message}`),
        [],
      );
      const passed = results.filter(({ state }) => state === "passed");
      t.diagnostic(`${passed.length} passed, ${results.length - passed.length} skipped themselves`);
      assert.ok(passed.length >= least, `${passed.length} of ${least} passed`);
    });
  }
});
