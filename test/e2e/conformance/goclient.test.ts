// SPDX-License-Identifier: Apache-2.0
// A program of containerd's own Go client library: every check of test/e2e/tools/goclient is one here.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, suite, test } from "node:test";
import { toolOrReason } from "../../support/go-tools.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { must } from "../../support/run.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";

const tool = await toolOrReason("goclient");

/** A line of the program's output. `wrong` is empty when all is well. */
interface Check {
  readonly check: string;
  readonly wrong: string;
}

suite("containerd's Go client", { skip: lacking(...podPrograms) || tool.skip }, () => {
  let bed: Testbed;
  before(async () => {
    bed = await openTestbed();
  });
  after(() => bed?.finish());

  const lifeOf = async (namespace: string): Promise<readonly Check[]> => {
    const program = tool.skip === false ? tool.path : "";
    const { reference } = bed.images.shell;
    const options = ["-address", bed.daemon.socket, "-image", reference, "-namespace", namespace];
    const lines = (await must(program, options, { timeoutMs: 600_000 })).trim().split("\n");
    return lines.map((line) => JSON.parse(line) as Check);
  };

  // runc's state folder is the machine's, so another suite's containers must not have our names.
  const tag = randomBytes(3).toString("hex");

  test("lives through images, containers, tasks, leases and content", async (t) => {
    const checks = await lifeOf(`go-${tag}`);
    for (const { check, wrong } of checks) {
      await t.test(check, () => assert.equal(wrong, ""));
    }
    assert.ok(checks.length > 10);
  });

  test("two at once, each in its namespace", async () => {
    const both = await Promise.all([lifeOf(`go-${tag}-1`), lifeOf(`go-${tag}-2`)]);
    assert.deepEqual(
      both.flat().filter(({ wrong }) => wrong !== ""),
      [],
    );
  });
});
