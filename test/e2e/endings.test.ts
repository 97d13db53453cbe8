// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { mountSpec, unmount } from "../../src/base/os/mount.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri } from "../support/pods.ts";
import { parsePrometheusText } from "../support/prometheus-text.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

suite("what goes wrong in a container", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;

  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
  });
  after(() => bed?.finish());

  const figure = async (name: string): Promise<number> => {
    const text = await (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text();
    return parsePrometheusText(text).get(name)?.samples[0]?.value ?? 0;
  };

  test("every one of fifty kills for want of memory is told as one", async () => {
    const before = await figure("berth_oom_kills_total");
    const pod = await cri.runPod();
    for (let round = 0; round < 50; round += 1) {
      const id = await cri.startContainer(
        pod,
        bed.images.shell.reference,
        ["sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=200M count=5"],
        { linux: { resources: { memoryLimitInBytes: 20n * 1024n * 1024n } } },
      );
      const { exitCode, reason } = await cri.reaches(id, "CONTAINER_EXITED");
      assert.deepEqual([round, exitCode, reason], [round, 137, "OOMKilled"]);
      await cri.runtime.RemoveContainer({ containerId: id });
    }
    assert.equal((await figure("berth_oom_kills_total")) - before, 50);
    await cri.removePod(pod.id);
  });

  test("a container goes on when the disk of its log is full, and the loss is counted", async () => {
    const logDirectory = path.join(bed.folder, "full");
    await mkdir(logDirectory);
    mountSpec({ type: "tmpfs", source: "full", options: ["size=64k"] }, logDirectory);
    try {
      const before = await figure("berth_log_lost_bytes_total");
      const pod = await cri.runPod({ logDirectory });
      const id = await cri.startContainer(pod, bed.images.shell.reference, [
        "sh",
        "-c",
        "i=0; while [ $i -lt 20000 ]; do echo line $i of a log that is too long; i=$((i+1)); done; exit 7",
      ]);
      const { exitCode } = await cri.reaches(id, "CONTAINER_EXITED");
      assert.equal(exitCode, 7, "it came to its own end");
      await until("the loss is on /metrics", async () => {
        return (await figure("berth_log_lost_bytes_total")) > before + 100_000;
      });
      await cri.removePod(pod.id);
    } finally {
      unmount(logDirectory, { lazy: true });
    }
  });
});
