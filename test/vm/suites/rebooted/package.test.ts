// SPDX-License-Identifier: Apache-2.0
// After a reboot under a pod, which suites/package.test.ts left: the daemon comes up by itself, tells of the pod as ended,
// and runs others; then the package is removed and purged under one.
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { before, suite, test } from "node:test";
import type { RunningPod } from "../../../support/pods.ts";
import { run } from "../../../support/run.ts";
import { until } from "../../../support/until.ts";
import { GuestNode } from "../../guest/node.ts";
import { memory } from "../../plan.ts";

const timeoutMs = 600_000;

suite("the package after a reboot", () => {
  const node = new GuestNode();
  const { cri } = node;
  let left: { pod: RunningPod; id: string; log: string };

  before(async () => {
    left = JSON.parse(await readFile(memory.pods, "utf8")) as typeof left;
    await until(
      "the daemon has started by itself",
      async () => (await cri.runtime.Version({})).version,
      {
        timeoutMs,
      },
    );
  });

  test("the folders are there, as tmpfiles.d makes them", async () => {
    assert.equal((await stat("/run/berthd")).mode & 0o777, 0o711);
    assert.equal((await stat("/var/lib/berthd")).mode & 0o777, 0o700);
  });

  test("a pod of before is told as ended, with its log", async () => {
    assert.equal((await cri.podStatus(left.pod.id)).state, "SANDBOX_NOTREADY");
    const status = await cri.status(left.id);
    assert.equal(status.state, "CONTAINER_EXITED");
    assert.ok(status.finishedAt >= status.startedAt);
    assert.ok((await cri.logOf(left.id)).startsWith(left.log));
  });

  test("another attempt of it runs, and what it was goes without a trace", async () => {
    await node.pull();
    const pod = await node.runPod();
    const id = await cri.startContainer(pod, node.image("shell"), ["sleep", "100000"]);
    assert.equal((await cri.exec(id, ["echo", "there"], 60)).stdout, "there\n");
    assert.ok((await cri.podStatus(pod.id)).network?.ip);
    await cri.removePod(left.pod.id);
    assert.equal(readdirSync("/run/berthd/netns").length, 1);
    assert.ok(readdirSync("/var/lib/berthd/cni").every((name) => !name.includes(left.pod.id)));
    const { items } = await cri.runtime.ListPodSandbox({});
    assert.deepEqual(
      items.map((item) => item.id),
      [pod.id],
    );
  });

  test("a removal ends the daemon and no pod, and a purge leaves what a pod still uses", async () => {
    const [container] = (await cri.runtime.ListContainers({})).containers;
    const pid = await node.pidOf(container!.id);
    const apt = async (verb: string): Promise<string> => {
      const { code, stdout, stderr } = await run("apt-get", [verb, "-y", "berth"], { timeoutMs });
      assert.equal(code, 0, stderr);
      return `${stdout}${stderr}`;
    };
    await apt("remove");
    assert.equal(existsSync("/run/berthd/berthd.sock"), false);
    assert.ok(existsSync(`/proc/${pid}`));
    assert.equal(existsSync("/usr/lib/berth"), false);
    assert.match(await apt("purge"), /pods are still mounted/);
    assert.ok(existsSync(`/proc/${pid}`));
    assert.ok(existsSync("/var/lib/berthd/meta.db"));
    assert.equal(existsSync("/etc/berthd/config.toml"), false);
  });
});
