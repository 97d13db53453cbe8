// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { type CritestBed, openCritestBed } from "../../support/critest-bed.ts";
import { failuresOf, summary } from "../../support/critest-run.ts";
import { toolOrReason } from "../../support/go-tools.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { newerRuncOrReason } from "../../support/newer-runc.ts";

/** What skips itself with the runc of an older Debian release. */
const focus = ["UserNamespaces", "runtime should support readonly mounts"];
/** BERTH_TEST_CRITEST_NEWER_RUNC=all runs every spec instead, in two minutes. */
const isWhole = process.env["BERTH_TEST_CRITEST_NEWER_RUNC"] === "all";

const tool = await toolOrReason("critest");
const lacks = lacking(...podPrograms, "apt-get", "dpkg-deb") || tool.skip;
const runc = lacks === false ? await newerRuncOrReason() : { skip: lacks };

suite("critest with a newer runc", { skip: runc.skip }, () => {
  let bed: CritestBed;
  before(async () => {
    const handler = { binary_name: runc.skip === false ? runc.binary : "" };
    bed = await openCritestBed({ config: { runtime: { handlers: { runc: handler } } } });
  });
  after(() => bed?.finish());

  test(isWhole ? "everything" : "user namespaces and recursive read-only mounts", async (t) => {
    const results = await bed.run("newer runc", {
      critest: tool.skip === false ? tool.path : "",
      focus: isWhole ? [] : focus,
      timeoutMs: 20 * 60_000,
    });
    t.diagnostic(summary(results));
    assert.deepEqual(failuresOf(results), []);
    const skipped = results.filter(({ state }) => state === "skipped").map(({ name }) => name);
    assert.deepEqual(
      skipped.filter((name) => !/apparmor/i.test(name)),
      [],
      "skipped although this runc can",
    );
    assert.ok(results.length >= (isWhole ? 136 : 11), `only ${results.length} specs ran`);
  });
});
