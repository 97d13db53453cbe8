// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { isFault } from "../../src/base/errors.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { must } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

suite("hostile containers", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  let container: string;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    pod = await cri.runPod();
    container = await cri.startContainer(pod, bed.images.shell.reference, [
      "sh",
      "-c",
      "trap 'exit 0' TERM; sleep 100000 & wait",
    ]);
  });
  after(() => bed?.finish());

  const sameFault = (code: string, message: RegExp) => (error: unknown) => {
    assert.ok(isFault(error), String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };

  test("a command's name that no kernel takes is refused, and other execs go on", async () => {
    const cmd = [`/${"n".repeat(40_000)}`];
    const told = sameFault("INVALID_ARGUMENT", /^cmd: argument 0 has 40001 bytes/);
    await assert.rejects(cri.exec(container, cmd), told);
    await assert.rejects(
      cri.runtime.Exec({ containerId: container, cmd, stdout: true, stderr: true }),
      told,
    );
    assert.equal((await cri.exec(container, ["echo", "on"])).stdout, "on\n");
  });

  test("30 days of grace are no SIGKILL", async () => {
    const patient = await cri.startContainer(pod, bed.images.shell.reference, [
      "sh",
      "-c",
      "trap 'echo asked' TERM; echo ready; while :; do sleep 1000 & wait; done",
    ]);
    await until("it waits", async () => (await cri.logOf(patient)).includes("ready"));
    const leave = new AbortController();
    const stopping = cri.runtime.StopContainer(
      { containerId: patient, timeout: 30n * 86_400n },
      { signal: leave.signal },
    );
    // It heard of the stop, so its grace runs; SIGKILL would come before anything else we ask.
    await until("it was asked", async () => (await cri.logOf(patient)).includes("asked"));
    assert.equal((await cri.exec(patient, ["echo", "alive"])).stdout, "alive\n");
    assert.equal((await cri.status(patient)).state, "CONTAINER_RUNNING");
    await cri.runtime.StopContainer({ containerId: patient, timeout: 0n });
    await stopping;
    const { state, exitCode } = await cri.status(patient);
    assert.deepEqual([state, exitCode], ["CONTAINER_EXITED", 137]);
  });

  const echo = (words: string): readonly string[] => ["sh", "-c", `echo ${words}; sleep 100000`];

  test("a FIFO in place of a log file stops nobody's log", async () => {
    const own = path.join(pod.config.logDirectory ?? "", "own");
    const change = { metadata: { name: "own", attempt: 0 }, logPath: "own/0.log" };
    const own0 = await cri.createContainer(pod, bed.images.shell.reference, echo("no"), change);
    await mkdir(own, { recursive: true });
    await must("mkfifo", [path.join(own, "0.log")]);
    const told = sameFault("FAILED_PRECONDITION", /log of container ".*own\/0\.log is a FIFO/);
    await assert.rejects(cri.runtime.StartContainer({ containerId: own0 }), told);
    assert.equal((await cri.status(own0)).reason, "StartError");
    const other = await cri.startContainer(pod, bed.images.shell.reference, echo("yes"));
    await until("it is logged", async () => (await cri.logOf(other)).includes("yes"));
  });

  test("a FIFO in place of a log file is no rotation, and the old one goes on", async () => {
    const loop = "while :; do echo line; sleep 0.1; done";
    const rotated = await cri.startContainer(pod, bed.images.shell.reference, ["sh", "-c", loop]);
    const { logPath } = await cri.status(rotated);
    await until("it is logged", async () => (await readFile(logPath, "utf8")).includes("line"));
    await rename(logPath, `${logPath}.1`);
    await must("mkfifo", [logPath]);
    await assert.rejects(
      cri.runtime.ReopenContainerLog({ containerId: rotated }),
      sameFault("FAILED_PRECONDITION", /cannot reopen log .* is a FIFO/),
    );
    const size = (await stat(`${logPath}.1`)).size;
    await until("it goes on", async () => (await stat(`${logPath}.1`)).size > size);
    await rm(logPath);
    await cri.runtime.ReopenContainerLog({ containerId: rotated });
    await until("the new one has lines", async () => (await stat(logPath)).size > 0);
  });
});
