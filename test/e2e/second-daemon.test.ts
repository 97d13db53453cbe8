// SPDX-License-Identifier: Apache-2.0
// A daemon that is given the state of one that runs would take its shims for its own.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import { run } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

const berthd = path.resolve(import.meta.dirname, "../../bin/berthd");

suite("a second daemon", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  before(async () => {
    bed = await openTestbed();
  });
  after(() => bed?.finish());

  test("with a root and an address of its own, and the state of another, is refused, and changes nothing", async () => {
    const pod = await bed.cri.runPod();
    const id = await bed.cri.startContainer(pod, bed.images.shell.reference, ["sleep", "100000"]);
    const other = (name: string): string => path.join(bed.folder, `other-${name}`);
    const flags = ["--root", other("root"), "--address", other("berthd.sock")];
    const { code, stderr } = await run(berthd, [
      "serve",
      "--config",
      bed.daemon.configFile,
      ...flags,
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /cannot use state ".*": another daemon is at work in it/);
    assert.equal((await bed.cri.exec(id, ["echo", "well"])).stdout, "well\n");
    await bed.cri.removePod(pod.id);
  });
});
