// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { linesOf } from "../support/cri-log.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { leftovers } from "../support/leaks.ts";
import { type Cri } from "../support/pods.ts";
import { isAlive, processesInCgroup, shimsOf } from "../support/processes.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

suite("after kill -9 of the daemon", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let shell: string;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    shell = bed.images.shell.reference;
  });
  after(() => bed?.finish());

  test("pods and containers are as they were, and manageable", async () => {
    const pod = await cri.runPod();
    const runs = await cri.startContainer(pod, shell, forever);
    const created = await cri.createContainer(pod, shell, forever);
    const exited = await cri.startContainer(pod, shell, ["sh", "-c", "exit 4"]);
    await cri.reaches(exited, "CONTAINER_EXITED");
    const stopped = await cri.runPod();
    await cri.runtime.StopPodSandbox({ podSandboxId: stopped.id });
    const ids = [runs, created, exited];
    const before = await Promise.all(ids.map((id) => cri.status(id)));
    const podBefore = await cri.podStatus(pod.id);

    await bed.daemon.kill9();
    assert.equal(shimsOf(bed.daemon.socket).length, 1, "the shim outlives the daemon");
    await bed.daemon.start();

    assert.deepEqual(await Promise.all(ids.map((id) => cri.status(id))), before);
    assert.deepEqual(await cri.podStatus(pod.id), podBefore);
    assert.equal((await cri.podStatus(stopped.id)).state, "SANDBOX_NOTREADY");
    assert.equal((await cri.exec(runs, ["echo", "again"])).stdout, "again\n");
    await cri.runtime.StartContainer({ containerId: created });
    await cri.reaches(created, "CONTAINER_RUNNING");
    assert.equal(shimsOf(bed.daemon.socket).length, 1, "and takes further containers");
    const late = await cri.startContainer(pod, shell, forever);
    await cri.runtime.StopContainer({ containerId: runs, timeout: 10n });
    assert.equal((await cri.status(runs)).exitCode, 0);
    await cri.runtime.RemoveContainer({ containerId: late });
    const { images } = await cri.images.ListImages({});
    assert.ok(images.some(({ repoTags }) => repoTags.includes(shell)));
    await cri.removeAllPods();
    assert.deepEqual(await leftovers(bed.daemon.territory), []);
  });

  test("what ended meanwhile has its exit code and its whole log", async () => {
    const pod = await cri.runPod();
    const commands = [
      {
        name: "success",
        command: ["sh", "-c", "sleep 1; echo done"],
        exitCode: 0,
        reason: "Completed",
      },
      {
        name: "failure",
        command: ["sh", "-c", "sleep 1; echo done; exit 9"],
        exitCode: 9,
        reason: "Error",
      },
      {
        name: "signal",
        command: ["sh", "-c", "echo done; sleep 1; sh -c 'kill -9 $$'; exit $?"],
        exitCode: 137,
        reason: "Error",
      },
    ];
    const started = await Promise.all(
      commands.map(async (it) => ({
        ...it,
        id: await cri.startContainer(pod, shell, it.command, {
          metadata: { name: it.name, attempt: 0 },
        }),
      })),
    );
    const parent = cri.settings.cgroupParent;
    const shells = (): number =>
      processesInCgroup(parent).filter(({ argv }) => argv.join(" ").includes("echo done")).length;
    await until("all three run", () => shells() === 3);
    await bed.daemon.kill9();
    await until("all three ended without a daemon", () => shells() === 0);
    await bed.daemon.start();
    for (const { name, id, exitCode, reason } of started) {
      const status = await cri.reaches(id, "CONTAINER_EXITED");
      assert.deepEqual([status.exitCode, status.reason], [exitCode, reason], name);
      assert.ok(status.finishedAt >= status.startedAt, name);
      assert.deepEqual(linesOf(await cri.logOf(id)), ["done"], name);
    }
    await cri.removePod(pod.id);
  });

  test("logs go on without a lost or doubled line", async () => {
    const pod = await cri.runPod();
    const total = 2000;
    const id = await cri.startContainer(pod, shell, [
      "sh",
      "-c",
      `i=0; while [ $i -lt ${total} ]; do i=$((i+1)); echo line $i; [ $((i % 10)) = 0 ] && sleep 0.02; done; sleep 100000`,
    ]);
    const count = async (): Promise<number> => (await cri.logOf(id)).split("\n").length - 1;
    await until("lines are written", async () => (await count()) > 100);
    for (let round = 0; round < 3; round++) {
      await bed.daemon.kill9();
      await bed.daemon.start();
    }
    await until("all lines are written", async () => (await count()) >= total, {
      timeoutMs: 30_000,
    });
    const text = await cri.logOf(id);
    assert.deepEqual(
      linesOf(text),
      Array.from({ length: total }, (_, i) => `line ${i + 1}`),
    );
    await cri.removePod(pod.id);
  });

  test("in the middle of starting pods, what is left is consistent and can be removed", async () => {
    const starting = Promise.allSettled(
      Array.from({ length: 4 }, async () => {
        const pod = await cri.runPod();
        await cri.startContainer(pod, shell, forever);
      }),
    );
    await until("the first shim is there", () => shimsOf(bed.daemon.socket).length > 0);
    await bed.daemon.kill9();
    await starting;
    await bed.daemon.start();
    const { items } = await cri.runtime.ListPodSandbox({});
    for (const { id } of items) {
      cri.seen.add(id);
      await cri.podStatus(id);
    }
    await cri.removeAllPods();
    await until(
      "nothing is left",
      async () => (await leftovers(bed.daemon.territory)).length === 0,
    );
  });

  test("a stop in good order keeps the pods too", async () => {
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, shell, forever);
    assert.equal(await bed.daemon.stop(), 0);
    assert.equal(shimsOf(bed.daemon.socket).length, 1);
    await bed.daemon.start();
    assert.equal((await cri.status(id)).state, "CONTAINER_RUNNING");
    assert.equal((await cri.exec(id, ["true"])).exitCode, 0);
    await cri.removePod(pod.id);
  });
});

suite("after kill -9 of a shim", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
  });
  after(() => bed?.finish());

  for (const daemon of ["running", "down"] as const) {
    test(`with the daemon ${daemon}, containers are EXITED, the pod NOTREADY, all removable`, async () => {
      const pod = await cri.runPod();
      const other = await cri.runPod();
      const ids = [
        await cri.startContainer(pod, bed.images.shell.reference, forever),
        await cri.startContainer(pod, bed.images.shell.reference, forever),
      ];
      const shim = shimsOf(bed.daemon.socket).find(({ argv }) => argv.includes(pod.id));
      assert.ok(shim, "the pod's shim");
      const inside = processesInCgroup(cri.settings.cgroupParent).filter(
        ({ ppid }) => ppid === shim.pid,
      );
      if (daemon === "down") await bed.daemon.kill9();
      process.kill(shim.pid, "SIGKILL");
      await until("the shim is gone", () => !isAlive(shim.pid));
      if (daemon === "down") await bed.daemon.start();
      for (const id of ids) {
        const status = await cri.reaches(id, "CONTAINER_EXITED");
        assert.equal(status.exitCode, 137);
      }
      await until("the pod is not ready", async () => {
        return (await cri.podStatus(pod.id)).state === "SANDBOX_NOTREADY";
      });
      await until("its processes are gone", () => inside.every(({ pid }) => !isAlive(pid)));
      assert.equal((await cri.podStatus(other.id)).state, "SANDBOX_READY");
      await cri.removePod(pod.id);
      await cri.removePod(other.id);
      await until("nothing is left", async () => {
        const left = await leftovers(bed.daemon.territory);
        if (left.length > 0) throw new Error(left.join("; "));
        return true;
      });
    });
  }
});
