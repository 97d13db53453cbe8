// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { isFault } from "../../src/base/errors.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
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
});
