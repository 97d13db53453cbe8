// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { RunningPod } from "../../support/pods.ts";
import { must } from "../../support/run.ts";
import { GuestNode, reconfigure, unitProperties } from "../guest/node.ts";

suite("berthd under systemd", () => {
  const node = new GuestNode();
  const { cri } = node;
  let pod: RunningPod;
  let id = "";

  before(async () => {
    await node.pull();
    pod = await node.runPod();
    id = await cri.startContainer(pod, node.image("shell"), ["sleep", "100000"]);
  });
  after(() => node[Symbol.asyncDispose]());

  test("the unit is active with what deploy/ gives it", async () => {
    const unit = await unitProperties(
      "berthd",
      "ActiveState",
      "Type",
      "KillMode",
      "Delegate",
      "OOMScoreAdjust",
      "LimitNOFILE",
      "TasksMax",
      "NRestarts",
    );
    assert.deepEqual(unit, {
      ActiveState: "active",
      Type: "notify",
      KillMode: "process",
      Delegate: "yes",
      OOMScoreAdjust: "-999",
      LimitNOFILE: "1048576",
      TasksMax: "infinity",
      NRestarts: "0",
    });
  });

  test("berth finds it without being told where", async () => {
    const answer = await must("berth", ["--json", "pod", "ls"], { timeoutMs: 120_000 });
    assert.ok(answer.includes(pod.id));
  });

  test("Status is ready and names the handlers", async () => {
    const { status, runtimeHandlers } = await cri.runtime.Status({});
    assert.deepEqual(
      status?.conditions.filter((condition) => !condition.status),
      [],
    );
    assert.ok(runtimeHandlers.some(({ name }) => name === "runc"));
  });

  test("a restart of the service keeps pods, their processes and their execs' way in", async () => {
    const pid = await node.pidOf(id);
    await reconfigure("70-nothing.toml", "");
    assert.equal((await cri.status(id)).state, "CONTAINER_RUNNING");
    assert.equal(await node.pidOf(id), pid);
    assert.equal((await cri.exec(id, ["echo", "there"])).stdout, "there\n");
    assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_READY");
  });
});
