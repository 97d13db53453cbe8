// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { type CritestBed, openCritestBed } from "../../support/critest-bed.ts";
import { runEverything } from "../../support/critest-everything.ts";
import { failuresOf, summary } from "../../support/critest-run.ts";
import { toolOrReason } from "../../support/go-tools.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";

const tool = await toolOrReason("critest");
const ginkgo = await toolOrReason("ginkgo");
/** How often all of it is run, four specs at once; ten times before a release. */
const rounds = Number(process.env["BERTH_TEST_CRITEST_ROUNDS"] ?? 1);

const skip = lacking(...podPrograms, "apt-get", "dpkg-deb") || tool.skip;

suite("critest", { skip }, () => {
  let bed: CritestBed;
  before(async () => {
    bed = await openCritestBed();
  });
  after(() => bed?.finish());

  test("streaming over WebSocket", async (t) => {
    const results = await bed.run("streaming over WebSocket", {
      critest: tool.skip === false ? tool.path : "",
      focus: ["runtime should support streaming interfaces"],
      flags: ["--websocket-exec", "--websocket-attach", "--websocket-portforward"],
      timeoutMs: 10 * 60_000,
    });
    assert.deepEqual(failuresOf(results), []);
    assert.ok(
      results.some(({ state }) => state === "passed"),
      "no spec ran",
    );
    t.diagnostic(summary(results));
  });

  test("everything, four specs at once", { skip: ginkgo.skip }, async (t) => {
    for (let round = 1; round <= rounds; round += 1)
      await runEverything(t, bed, `parallel ${round}`);
  });
});

suite("critest with crun, and with sandboxes in shims", { skip: skip || lacking("crun") }, () => {
  let bed: CritestBed;
  before(async () => {
    bed = await openCritestBed({ ociRuntime: "crun", config: { cri: { sandbox: "shim" } } });
  });
  after(() => bed?.finish());

  test("everything, four specs at once", { skip: ginkgo.skip }, async (t) => {
    const { info } = await bed.daemon.cri.runtime.Status({ verbose: true });
    assert.match(info["defaultRuntime"] ?? "", /crun/);
    await runEverything(t, bed, "the other ways");
  });
});
