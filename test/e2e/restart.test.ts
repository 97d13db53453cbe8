// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { linesOf } from "../support/cri-log.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { nothingLeft } from "../support/leaks.ts";
import { type Cri, type RunningPod } from "../support/pods.ts";
import { isAlive, processesInCgroup, shimsOf } from "../support/processes.ts";
import { isSandboxInShim } from "../support/sandbox-mode.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];
const slow = { timeoutMs: 180_000 };

suite("after the end of the daemon", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let shell: string;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    shell = bed.images.shell.reference;
  });
  after(() => bed?.finish());

  /** A container that does what the script says once the daemon is away. */
  const startSlowly = (pod: RunningPod, name: string, script: string): Promise<string> => {
    const wait = "while ! [ -e /signs/go ]; do usleep 100000; done";
    return cri.startContainer(pod, shell, ["sh", "-c", `${wait}; ${script}`, "slowly"], {
      metadata: { name, attempt: 0 },
      mounts: [{ hostPath: bed.folder, containerPath: "/signs", readonly: true }],
    });
  };
  const go = (): string => path.join(bed.folder, "go");

  const endWithoutDaemon = async (count: number): Promise<void> => {
    const running = (): number =>
      processesInCgroup(cri.settings.cgroupParent).filter(({ argv }) => argv[3] === "slowly")
        .length;
    // A busybox may run what a script calls in a fork of the shell, under the shell's name.
    await until("all run", () => running() >= count);
    await bed.daemon.kill9();
    await writeFile(go(), "");
    await until("all ended without a daemon", () => running() === 0);
    await rm(go());
    await bed.daemon.start();
  };

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${signal} lets calls finish, and the pods outlive it`, async () => {
      const pod = await cri.runPod();
      const id = await cri.startContainer(pod, shell, forever);
      const call = cri.exec(id, ["sh", "-c", "echo begun >/began; sleep 1; echo finished"]);
      await until("the call has begun", async () => {
        const { stdout } = await cri.exec(id, ["cat", "/began"]);
        return stdout === "begun\n";
      });
      assert.equal(await bed.daemon.stop(signal), 0);
      assert.equal((await call).stdout, "finished\n");
      await bed.daemon.start();
      assert.equal((await cri.status(id)).state, "CONTAINER_RUNNING");
      await cri.removePod(pod.id);
    });
  }

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
    await nothingLeft(bed.daemon.territory, { timeoutMs: 5_000 });
  });

  test("what ended meanwhile has its own exit code", async () => {
    const pod = await cri.runPod();
    const commands = [
      { name: "success", script: "true", exitCode: 0, reason: "Completed" },
      { name: "failure", script: "exit 9", exitCode: 9, reason: "Error" },
      { name: "signal", script: "sh -c 'kill -9 $$'; exit $?", exitCode: 137, reason: "Error" },
    ];
    const started = await Promise.all(
      commands.map(async (it) => ({
        ...it,
        id: await startSlowly(pod, it.name, it.script),
      })),
    );
    await endWithoutDaemon(3);
    for (const { name, id, exitCode, reason } of started) {
      const status = await cri.reaches(id, "CONTAINER_EXITED");
      assert.deepEqual([status.exitCode, status.reason], [exitCode, reason], name);
      assert.ok(status.finishedAt >= status.startedAt, name);
    }
    await cri.removePod(pod.id);
  });

  test("what ended meanwhile has its whole log", async () => {
    const pod = await cri.runPod();
    const id = await startSlowly(pod, "last-words", "echo last words");
    await endWithoutDaemon(1);
    await cri.reaches(id, "CONTAINER_EXITED");
    const lines = linesOf(await cri.logOf(id));
    await cri.removePod(pod.id);
    assert.deepEqual(lines, ["last words"]);
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
    await until("all lines are written", async () => (await count()) >= total, slow);
    const text = await cri.logOf(id);
    assert.deepEqual(
      linesOf(text),
      Array.from({ length: total }, (_, i) => `line ${i + 1}`),
    );
    await cri.removePod(pod.id);
  });

  test("a flood is in the log, each line once, when the daemon is killed again and again", async () => {
    const pod = await cri.runPod();
    const total = 60_000;
    // Both streams, their reads ending anywhere; half a megabyte each, and no more however long it takes.
    const flood = `seq 1 ${total / 4}; sleep 1; seq ${total / 4 + 1} ${total / 2}; for i in 1 2 3 4 5 6 7 8 9 10; do
      seq $((${total / 2} + 1 + (i - 1) * ${total / 20})) $((${total / 2} + i * ${total / 20})); sleep 0.2; done`;
    const id = await cri.startContainer(pod, shell, [
      "sh",
      "-c",
      `(${flood}) >&2 & ${flood}; wait`,
    ]);
    const isOver = async (): Promise<boolean> =>
      (await cri.status(id)).state === "CONTAINER_EXITED";
    for (let round = 0; round < 6 && !(await isOver()); round++) {
      await sleep(50 * round);
      await bed.daemon.kill9();
      await bed.daemon.start();
    }
    await until("it has ended", isOver, slow);
    const text = await cri.logOf(id);
    const numbers = Array.from({ length: total }, (_, i) => String(i + 1));
    for (const stream of ["stdout", "stderr"] as const) {
      const is = linesOf(text, stream);
      const at = numbers.findIndex((number, index) => is[index] !== number);
      assert.deepEqual([is.length, is[at]], [total, undefined], `${stream} differs at ${at}`);
    }
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
    await nothingLeft(bed.daemon.territory);
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
    test(`with the daemon ${daemon}, containers are EXITED, the pod NOTREADY if its sandbox was there, all removable`, async () => {
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
        // With no daemon to see it, nobody knows how it ended; 255 is what containerd says too.
        assert.equal(status.exitCode, daemon === "running" ? 137 : 255);
      }
      const state = isSandboxInShim ? "SANDBOX_NOTREADY" : "SANDBOX_READY";
      await until(`the pod is ${state}`, async () => (await cri.podStatus(pod.id)).state === state);
      await until("its processes are gone", () => inside.every(({ pid }) => !isAlive(pid)));
      assert.equal((await cri.podStatus(other.id)).state, "SANDBOX_READY");
      await cri.removePod(pod.id);
      await cri.removePod(other.id);
      await nothingLeft(bed.daemon.territory);
    });
  }
});
