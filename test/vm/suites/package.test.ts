// SPDX-License-Identifier: Apache-2.0
// The package under systemd, with a pod that runs: upgraded, refused, rolled back. The pod is left running for the
// machine's reboot; rebooted/package.test.ts goes on from there.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, readlink, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { before, suite, test } from "node:test";
import type { RunningPod } from "../../support/pods.ts";
import { must, run } from "../../support/run.ts";
import { until } from "../../support/until.ts";
import { GuestNode, unitProperties } from "../guest/node.ts";
import { memory, packages, projectFolder } from "../plan.ts";

/** What apt and the programs have here, emulated, and beside whatever the host does. */
const timeoutMs = 600_000;
const vm = path.join(projectFolder, "vm");

suite("the package under systemd", () => {
  const node = new GuestNode();
  const { cri } = node;
  let pod: RunningPod;
  let id = "";
  let pid = 0;

  before(async () => {
    await node.pull();
    pod = await node.runPod();
    const count = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done";
    id = await cri.startContainer(pod, node.image("shell"), ["sh", "-c", count]);
    pid = await node.pidOf(id);
  });

  const apt = (...args: string[]) =>
    run("apt-get", ["install", "-y", "--no-install-recommends", ...args], { timeoutMs });
  const daemon = async (): Promise<{ pid: string; folder: string }> => {
    const main = (await unitProperties("berthd", "MainPID"))["MainPID"] ?? "";
    return { pid: main, folder: path.dirname(path.dirname(await readlink(`/proc/${main}/exe`))) };
  };
  const version = async (): Promise<string> =>
    /^berthd (\S+)/.exec(await must("berthd", ["version"], { timeoutMs }))?.[1] ?? "";
  /** The pod is as it was, its log has every line until now, and goes on. */
  const podGoesOn = async (): Promise<void> => {
    await until("the daemon serves", async () => (await cri.status(id)).state, { timeoutMs });
    assert.equal(await node.pidOf(id), pid);
    assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_READY");
    assert.equal((await cri.exec(id, ["echo", "there"], 60)).stdout, "there\n");
    const seen = lines(await cri.logOf(id)).length;
    await until("its log goes on", async () => lines(await cri.logOf(id)).length > seen + 5, {
      timeoutMs,
    });
    const numbers = lines(await cri.logOf(id));
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => index + 1),
    );
  };

  test("an upgrade whose configuration is wrong leaves the daemon alone, and goes on when it is mended", async () => {
    const wrong = "/etc/berthd/config.d/90-wrong.toml";
    await writeFile(wrong, "zebra = 1\n");
    const old = await daemon();
    const { code, stdout, stderr } = await apt(path.join(vm, packages.newer));
    assert.notEqual(code, 0);
    // dpkg's output comes by a terminal.
    const told = `${stdout}${stderr}`.replaceAll("\r", "");
    assert.match(told, /unknown key "zebra".*\n.*The daemon of the version before/);
    assert.deepEqual(await daemon(), old);
    await podGoesOn();
    await rm(wrong);
    await must("dpkg", ["--configure", "-a"], { timeoutMs });
    assert.equal(await version(), "9.9.9");
    const now = await daemon();
    assert.notEqual(now.pid, old.pid);
    assert.match(now.folder, /^\/usr\/lib\/berth\/9\.9\.9-[0-9a-f]{12}$/);
    await podGoesOn();
    await until("the files of the version before are gone", async () => !existsSync(old.folder), {
      timeoutMs,
    });
  });

  test("a roll-back to the version before, and a restart, keep the pod and its log", async () => {
    const { code, stderr } = await apt("--allow-downgrades", path.join(vm, packages.ours));
    assert.equal(code, 0, stderr);
    assert.notEqual(await version(), "9.9.9");
    await podGoesOn();
    await must("systemctl", ["restart", "berthd"], { timeoutMs });
    await podGoesOn();
    const { NRestarts } = await unitProperties("berthd", "NRestarts");
    assert.equal(NRestarts, "0");
  });

  test("the machine is to reboot under the pod", async () => {
    await writeFile(
      memory.pods,
      JSON.stringify({ pod, id, log: await readFile(await logFile(), "utf8") }),
    );
  });

  const logFile = async (): Promise<string> => (await cri.status(id)).logPath ?? "";
});

function lines(log: string): number[] {
  return [...log.matchAll(/line (\d+)$/gm)].map((match) => Number(match[1]));
}
