// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { pushRawImage } from "../support/push-raw-image.ts";
import { ordinaryConfig } from "../support/raw-image.ts";
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
    const { image, imageRef } = mounts[0]?.image ?? {};
    assert.deepEqual([image, imageRef], [bed.images.worker.id, bed.images.worker.id]);
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

  test("an image without layers is an empty folder, and a container's empty root", async () => {
    const repository = "no-layers";
    await pushRawImage(bed.registry.host, repository, {
      tag: "1",
      layers: [],
      config: () => ordinaryConfig([]).replace("[]", "null"),
    });
    const reference = `${bed.registry.host}/${repository}:1`;
    await cri.images.PullImage({ image: { image: reference } });
    const programs = {
      image: { image: bed.images.shell.reference },
      imageSubPath: "bin",
      containerPath: "/bin",
      readonly: true,
    };
    const nothing = { image: { image: reference }, containerPath: "/nothing", readonly: true };
    const id = await cri.startContainer(pod, reference, ["/bin/sleep", "100000"], {
      mounts: [programs, nothing],
    });
    const { stdout } = await cri.exec(id, ["/bin/sh", "-c", "ls /nothing | wc -l; ls /bin/sleep"]);
    assert.equal(stdout, "0\n/bin/sleep\n");
    await cri.images.RemoveImage({ image: { image: reference } });
  });

  test("the built-in image is for sandboxes alone", async () => {
    const image = { image: "localhost/berth/pause:0.1" };
    const code = "FAILED_PRECONDITION";
    await assert.rejects(cri.createContainer(pod, image.image, ["/pause"]), {
      code,
      message: /image "localhost\/berth\/pause:0\.1" is built in/,
    });
    const mounts = [{ image, containerPath: "/volume", readonly: true }];
    await assert.rejects(
      cri.createContainer(pod, bed.images.shell.reference, ["true"], { mounts }),
      {
        code,
        message: /^ImageVolumeMountFailed: image "localhost\/berth\/pause:0\.1" is built in/,
      },
    );
    assert.ok(await start());
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
