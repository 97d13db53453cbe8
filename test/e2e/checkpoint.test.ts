// SPDX-License-Identifier: Apache-2.0
// Where CRIU cannot run, a checkpoint is refused with CRIU's own reason, and the task runs on.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { codec } from "../../src/rpc/codec.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri } from "../support/pods.ts";
import { run } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";

suite("checkpoint", { skip: lacking(...podPrograms, "criu", "ctr") }, () => {
  let bed: Testbed;
  let cri: Cri;
  let containerId: string;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    const pod = await cri.runPod();
    const command = ["sh", "-c", "while :; do sleep 1; done"];
    containerId = await cri.startContainer(pod, bed.images.shell.reference, command);
  });
  after(() => bed?.finish());

  const bundle = (): string =>
    path.join(bed.daemon.folder, "state/io.containerd.runtime.v2.task/k8s.io", containerId);
  const checkpoint = async (imagePath: string): Promise<unknown> => {
    const options = {
      type_url: "containerd.runc.v1.CheckpointOptions",
      value: codec("containerd.runc.v1.CheckpointOptions").encode({ imagePath }),
    };
    const tasks = bed.daemon.client("containerd.services.tasks.v1.Tasks");
    return tasks.Checkpoint({ containerId, options }, { namespace: "k8s.io" });
  };
  const stillRuns = async (): Promise<void> => {
    assert.equal((await cri.exec(containerId, ["echo", "here"])).stdout, "here\n");
    assert.equal((await cri.status(containerId)).state, "CONTAINER_RUNNING");
  };

  test("tells why CRIU fails, or makes an image", async (t) => {
    const folder = path.join(bed.folder, "image");
    await mkdir(folder);
    try {
      await checkpoint(folder);
      assert.ok((await readdir(folder)).length > 0);
      t.diagnostic("CRIU works here");
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      assert.equal(code, "FAILED_PRECONDITION", message);
      assert.match(message, /criu failed/);
      const log = await readFile(path.join(bundle(), "criu-dump.log"), "utf8");
      const [, reason] = /Error \([^)]*\): (.+)/.exec(log) ?? [];
      assert.ok(reason && message.includes(reason), message);
      t.diagnostic(message);
    }
    await stillRuns();
  });

  test("ctr shows the same reason", async (t) => {
    const folder = path.join(bed.folder, "by-ctr");
    const flags = ["--address", bed.daemon.socket, "--namespace", "k8s.io"];
    const verb = ["tasks", "checkpoint", "--image-path", folder, containerId];
    const { code, stderr } = await run("ctr", flags.concat(verb));
    t.diagnostic(stderr);
    if (code !== 0) assert.match(stderr, /criu failed: .*criu-dump\.log: \S/);
    await stillRuns();
  });
});
