// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../../support/lacking.ts";
import type { Cri } from "../../support/pods.ts";
import { pushVariant } from "../../support/push-raw-image.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const mib = 1024 * 1024;

suite("images that want too much", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
  });
  after(() => bed?.finish());

  const pull = async (tag: string, change: Parameters<typeof pushVariant>[3]): Promise<string> => {
    await pushVariant(bed.registry.host, "shell", ["1", tag], change);
    const reference = bed.images.shell.reference.replace(/:1$/, `:${tag}`);
    await cri.images.PullImage({ image: { image: reference } });
    return reference;
  };

  test("a container has the labels of its image that it can have, and the image all", async () => {
    const metadata = "x".repeat(150_000);
    const reference = await pull("labels", (document) => {
      document.config["Labels"] = { "io.buildpacks.build.metadata": metadata, short: "label" };
    });
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, reference, ["true"]);
    assert.equal((await cri.reaches(id, "CONTAINER_EXITED")).exitCode, 0);
    const { info } = await cri.images.ImageStatus({ image: { image: reference }, verbose: true });
    const { imageSpec } = JSON.parse(info["info"] ?? "") as {
      imageSpec: { config: { Labels: Record<string, string> } };
    };
    assert.equal(imageSpec.config.Labels["io.buildpacks.build.metadata"], metadata);
    await cri.removePod(pod.id);
  });

  test("the daemon starts again beside a config of millions of nothings, and its image runs", async () => {
    const reference = await pull("nothings", (document) => {
      document["history"] = Array.from({ length: (7 * mib) / 3 }, () => ({}));
    });
    const refused = pull("more", (document) => {
      document["history"] = Array.from({ length: (15 * mib) / 3 }, () => ({}));
    });
    await assert.rejects(refused, { code: "RESOURCE_EXHAUSTED", message: /more than 8388608/ });
    await bed.daemon.kill9();
    await bed.daemon.start();
    // A start waits ten seconds for its images, and reads on while it serves.
    await until(
      "the image is listed",
      async () => {
        return (await cri.images.ImageStatus({ image: { image: reference } })).image !== null;
      },
      { timeoutMs: 240_000 },
    );
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, reference, ["true"]);
    assert.equal((await cri.reaches(id, "CONTAINER_EXITED")).exitCode, 0);
    await cri.removePod(pod.id);
  });
});
