// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { after, before, suite, test } from "node:test";
import type { RunningPod } from "../../support/pods.ts";
import { must, run } from "../../support/run.ts";
import { until } from "../../support/until.ts";
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
      "OOMPolicy",
      "LimitNOFILE",
      "WatchdogUSec",
      "TasksMax",
      "NRestarts",
    );
    assert.deepEqual(unit, {
      ActiveState: "active",
      Type: "notify",
      KillMode: "process",
      Delegate: "yes",
      OOMScoreAdjust: "-999",
      OOMPolicy: "continue",
      LimitNOFILE: "1048576",
      WatchdogUSec: "2min",
      TasksMax: "infinity",
      NRestarts: "0",
    });
  });

  test("a reload takes the configuration up, and fails for a wrong one", async () => {
    const file = "/etc/berthd/config.d/60-reload.toml";
    const pid = (await unitProperties("berthd", "MainPID"))["MainPID"];
    const reload = () => run("systemctl", ["reload", "berthd"], { timeoutMs: 240_000 });
    await writeFile(file, '[log]\nlevel = "warn"\n');
    assert.equal((await reload()).code, 0);
    const level = async (): Promise<boolean> => {
      const { info } = await cri.runtime.Status({ verbose: true });
      return /"level":"warn"/.test(info["config"] ?? "");
    };
    await until("the level is another", level, { timeoutMs: 60_000 });
    await writeFile(file, '[log]\nlevel = "loud"\n');
    assert.notEqual((await reload()).code, 0);
    assert.ok(await level());
    await rm(file);
    assert.equal((await reload()).code, 0);
    await until("the level is as before", async () => !(await level()), { timeoutMs: 60_000 });
    const now = await unitProperties("berthd", "ActiveState", "MainPID");
    assert.deepEqual(now, { ActiveState: "active", MainPID: pid });
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

  test("a privileged container has all that the machine's first process has", async () => {
    const securityContext = { privileged: true };
    const privileged = await node.runPod({ linux: { securityContext } });
    const inside = await cri.startContainer(privileged, node.image("shell"), ["sleep", "100000"], {
      linux: { securityContext },
    });
    const rights = async (pid: number): Promise<string[]> => {
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      return status.match(/^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):\t.*$/gm) ?? [];
    };
    const all = await rights(1);
    assert.equal(all.length, 6);
    assert.deepEqual(await rights(await node.pidOf(inside)), all);
  });

  test("a daemon that hangs is started anew under its pods", async () => {
    const hung = Number((await unitProperties("berthd", "MainPID"))["MainPID"]);
    const pid = await node.pidOf(id);
    const folder = "/run/systemd/system/berthd.service.d";
    await mkdir(folder, { recursive: true });
    await writeFile(`${folder}/watchdog.conf`, "[Service]\nWatchdogSec=30\n");
    await must("systemctl", ["daemon-reload"], { timeoutMs: 120_000 });
    try {
      await must("systemctl", ["restart", "berthd"], { timeoutMs: 240_000 });
      const { MainPID } = await unitProperties("berthd", "MainPID");
      assert.notEqual(Number(MainPID), hung);
      process.kill(Number(MainPID), "SIGSTOP");
      await until(
        "it is another one",
        async () => {
          const now = await unitProperties("berthd", "MainPID", "ActiveState");
          return now["MainPID"] !== MainPID && now["ActiveState"] === "active";
        },
        { timeoutMs: 240_000 },
      );
      assert.equal(await node.pidOf(id), pid);
      assert.equal((await cri.exec(id, ["echo", "there"])).stdout, "there\n");
    } finally {
      await rm(folder, { recursive: true });
      await must("systemctl", ["daemon-reload"], { timeoutMs: 120_000 });
      await must("systemctl", ["restart", "berthd"], { timeoutMs: 240_000 });
    }
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
