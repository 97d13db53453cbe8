// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, type TestContext, test } from "node:test";
import { type CritestBed, openCritestBed } from "../../support/critest-bed.ts";
import { failuresOf, summary } from "../../support/critest-run.ts";
import { toolOrReason } from "../../support/go-tools.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { nothingLeft } from "../../support/leaks.ts";

/** Of critest 1.37.0's 137 specs, all but the one whose image no registry here can serve. */
const registered = 136;
/** What the kernel or runc of this machine lacks. */
const mayLack =
  /AppArmor is disabled on this host|no runtime handler found which supports user namespaces/;

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
    for (let round = 1; round <= rounds; round += 1) await everything(t, bed, `parallel ${round}`);
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
    await everything(t, bed, "the other ways");
  });
});

async function everything(t: TestContext, bed: CritestBed, name: string): Promise<void> {
  const results = await bed.run(name, {
    critest: tool.skip === false ? tool.path : "",
    focus: [],
    parallel: { specs: 4, ginkgo: ginkgo.skip === false ? ginkgo.path : "" },
    timeoutMs: 10 * 60_000,
  });
  t.diagnostic(`${name}: ${summary(results)}`);
  assert.deepEqual(failuresOf(results), []);
  const skipped = results.filter(({ state }) => state === "skipped");
  assert.deepEqual(
    skipped.map(({ name, message }) => `${name}: ${message}`).filter((it) => !mayLack.test(it)),
    [],
    "skipped themselves",
  );
  assert.ok(results.length >= registered, `only ${results.length} specs ran`);
  await nothingLeft(bed.daemon.territory);
}
