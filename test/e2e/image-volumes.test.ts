// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

suite("image volumes", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  const mount = (imageSubPath = "", readonly = true) => ({
    image: { image: bed.images.worker.reference },
    imageSubPath,
    containerPath: "/volume",
    readonly,
  });
  const start = (imageSubPath?: string, readonly?: boolean): Promise<string> =>
    cri.startContainer(pod, bed.images.shell.reference, ["sleep", "100000"], {
      mounts: [mount(imageSubPath, readonly)],
    });

  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    pod = await cri.runPod();
  });
  after(() => bed?.finish());

  test("shows the image's files, read-only, to several containers", async () => {
    const [first, second] = await Promise.all([start(), start()]);
    for (const id of [first, second]) {
      const { stdout } = await cri.exec(id, ["cat", "/volume/etc/passwd"]);
      assert.match(stdout, /worker/);
      const write = await cri.exec(id, ["touch", "/volume/new"]);
      assert.match(write.stderr, /[Rr]ead-only/);
    }
    const { mounts } = await cri.status(first);
    assert.equal(mounts[0]?.image?.image, bed.images.worker.id);
  });

  test("shows a sub path of it", async () => {
    const id = await start("etc");
    assert.match((await cri.exec(id, ["cat", "/volume/passwd"])).stdout, /worker/);
  });

  const refusals = [
    { name: "a sub path that is not there", subPath: "no/such", code: "NOT_FOUND" },
    { name: "a sub path that leads out", subPath: "../../etc", code: "INVALID_ARGUMENT" },
    { name: "an absolute sub path", subPath: "/etc", code: "INVALID_ARGUMENT" },
  ];
  for (const { name, subPath, code } of refusals) {
    test(`refuses ${name}`, async () => {
      await assert.rejects(start(subPath), { code, message: /^ImageVolumeMountFailed: / });
    });
  }

  test("refuses a writable one, and an image that is not here", async () => {
    await assert.rejects(start("", false), { code: "INVALID_ARGUMENT" });
    await assert.rejects(
      cri.createContainer(pod, bed.images.shell.reference, ["true"], {
        mounts: [{ ...mount(), image: { image: "localhost/none:1" } }],
      }),
      { code: "NOT_FOUND", message: /^ImageVolumeMountFailed: image "localhost\/none:1"/ },
    );
  });

  test("outlives a restart, and goes when the pod stops", async () => {
    const id = await start();
    await bed.daemon.stop();
    await bed.daemon.start();
    assert.match((await cri.exec(id, ["cat", "/volume/etc/passwd"])).stdout, /worker/);
    const again = await start();
    assert.match((await cri.exec(again, ["cat", "/volume/etc/passwd"])).stdout, /worker/);
    await cri.removePod(pod.id);
  });
});
