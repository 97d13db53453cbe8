// SPDX-License-Identifier: Apache-2.0
// kill -9 of a shim under a running daemon, as Debian's ctr sees it and as the machine shows it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { cgroupsBelow } from "../support/cgroups.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { mountsBelow } from "../support/mounts.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { isAlive, processes, processesInCgroup, shimsOf } from "../support/processes.ts";
import { endChild } from "../support/registry.ts";
import { run } from "../support/run.ts";
import { isSandboxInShim } from "../support/sandbox-mode.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

interface TaskEvent {
  readonly container_id: string;
  readonly exit_status?: number;
}

suite("kill -9 of a shim", { skip: lacking(...podPrograms, "ctr") }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  /** What is in the shim. */
  let ids: string[];
  let seen = "";
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    pod = await cri.runPod();
    const command = ["sh", "-c", "sleep 100000 & sleep 100000 & wait"];
    ids = [
      ...(isSandboxInShim ? [pod.id] : []),
      await cri.startContainer(pod, bed.images.shell.reference, command),
      await cri.startContainer(pod, bed.images.shell.reference, command),
    ];
  });
  after(() => bed?.finish());

  /** What was published of a topic, by container. */
  const published = (topic: string): Map<string, TaskEvent> => {
    const events = seen
      .split("\n")
      .filter((line) => line.includes(` ${topic} {`))
      .map((line) => JSON.parse(line.slice(line.indexOf("{"))) as TaskEvent);
    return new Map(events.map((event) => [event.container_id, event]));
  };

  test("its processes are killed, TaskExit and TaskDelete published, mounts and cgroups gone", async () => {
    const child = spawn("ctr", ["--address", bed.daemon.socket, "events"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    child.stdout.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    try {
      await until("ctr listens", async () => {
        const id = await cri.createContainer(pod, bed.images.shell.reference, ["true"]);
        await cri.runtime.RemoveContainer({ containerId: id });
        return seen !== "";
      });
      const parent = cri.settings.cgroupParent;
      const doomed = await until("two shells, four sleeps, and pause if it is there", () => {
        const found = processesInCgroup(parent).filter(
          ({ argv }) => isSandboxInShim || argv[0] !== "/pause",
        );
        return found.length >= ids.length + 4 && found;
      });
      const [shim] = shimsOf(bed.daemon.socket);
      process.kill(shim!.pid, "SIGKILL");
      await until("both events of all", () => {
        const deleted = published("/tasks/delete");
        return ids.every((id) => deleted.has(id));
      });
      const exits = published("/tasks/exit");
      assert.deepEqual(
        ids.map((id) => exits.get(id)?.exit_status),
        ids.map(() => 137),
      );
      assert.deepEqual(
        ids.map((id) => published("/tasks/delete").get(id)?.exit_status),
        ids.map(() => 137),
      );
      // Whoever is told finds nothing any more.
      assert.deepEqual(
        doomed.filter(({ pid }) => isAlive(pid)),
        [],
      );
      const cgroups = await cgroupsBelow(parent);
      assert.deepEqual(
        cgroups.filter((folder) => isSandboxInShim || path.basename(folder) !== pod.id),
        [],
      );
      const bundles = (await mountsBelow(bed.daemon.folder)).filter((it) => it.includes("/rootfs"));
      assert.deepEqual(bundles, []);
    } finally {
      await endChild(child);
    }
  });

  test("no exit or deletion was published twice", () => {
    for (const topic of ["/tasks/exit", "/tasks/delete"]) {
      const lines = seen.split("\n").filter((line) => line.includes(` ${topic} {`));
      assert.equal(lines.length, ids.length, lines.join("\n"));
    }
  });
});

suite("a shim that hangs at the daemon's start", { skip: lacking(...podPrograms, "ctr") }, () => {
  let bed: Testbed;
  before(async () => {
    // Long: that the start did not wait for it needs no clock.
    bed = await openTestbed({ config: { timeouts: { shim_load: "120s" } } });
  });
  after(() => bed?.finish());

  test("holds nobody else up, is shown as it was, and is itself again once it answers", async () => {
    const { cri, daemon, images } = bed;
    const sleeping = ["sleep", "100000"];
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, images.shell.reference, sleeping);
    const [shim] = shimsOf(daemon.socket);
    const seconds = String(400_000 + process.pid);
    const command = cri.exec(id, ["sleep", seconds], 0).catch(() => {});
    const sleepers = (): number => processes(({ argv }) => argv.includes(seconds)).length;
    await until("its exec runs", () => sleepers() > 0);
    await daemon.kill9();
    await command;
    process.kill(shim!.pid, "SIGSTOP");
    try {
      await daemon.start();
      assert.equal((await cri.status(id)).state, "CONTAINER_RUNNING");
      assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_READY");
      const { containers } = await cri.runtime.ListContainers({});
      assert.deepEqual(
        containers.map((one) => [one.id, one.state]),
        [[id, "CONTAINER_RUNNING"]],
      );
      const isLate = { code: "UNAVAILABLE", message: /has not answered since the start/ };
      await assert.rejects(cri.runtime.StopContainer({ containerId: id, timeout: 0n }), isLate);
      await assert.rejects(cri.runtime.RemovePodSandbox({ podSandboxId: pod.id }), isLate);
      await assert.rejects(cri.exec(id, ["true"]), isLate);
      const ctr = ["--address", daemon.socket, "--namespace", "k8s.io"];
      const removal = await run("ctr", [...ctr, "tasks", "kill", id]);
      assert.match(removal.stderr, /has not answered since the start/);

      const other = await cri.runPod();
      const another = await cri.startContainer(other, images.shell.reference, sleeping);
      assert.equal((await cri.exec(another, ["echo", "here"])).stdout, "here\n");
      await cri.removePod(other.id);
    } finally {
      process.kill(shim!.pid, "SIGCONT");
    }
    const answers = await until("it answers again", async () =>
      cri.exec(id, ["echo", "again"]).catch(() => undefined),
    );
    assert.equal(answers.stdout, "again\n");
    await until("the exec that nobody waits for has ended", () => sleepers() === 0);
    await cri.runtime.StopContainer({ containerId: id, timeout: 0n });
    assert.equal((await cri.status(id)).exitCode, 137);
    await cri.removePod(pod.id);
  });
});
