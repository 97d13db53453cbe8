// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { isFault } from "../../src/base/errors.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { processesInCgroup } from "../support/processes.ts";
import { must } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

/** RLIM_INFINITY, which no double holds: as JSON.stringify rounds it, runc refuses it. */
const infinity = "18446744073709551615";
const baseSpec = `{"process":{"rlimits":[{"type":"RLIMIT_CPU","hard":${infinity},"soft":${infinity}}]}}`;

suite("hostile containers", { skip: lacking(...podPrograms) }, () => {
  let home: Scratch;
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  let container: string;
  before(async () => {
    home = await scratch({ prefix: "hostile" });
    const file = path.join(home.path, "base.json");
    await writeFile(file, baseSpec);
    const handlers = { limits: { base_runtime_spec: file } };
    bed = await openTestbed({ config: { runtime: { handlers } } });
    ({ cri } = bed);
    pod = await cri.runPod();
    container = await cri.startContainer(pod, bed.images.shell.reference, [
      "sh",
      "-c",
      "trap 'exit 0' TERM; sleep 100000 & wait",
    ]);
  });
  after(async () => {
    await bed?.finish();
    await home?.[Symbol.asyncDispose]();
  });

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

  test("a memory limit below the page cache is taken, and one below what is held is not", async () => {
    const reader = await cri.startContainer(pod, bed.images.shell.reference, [
      "sh",
      "-c",
      "dd if=/dev/zero of=/big bs=1M count=64 2>/dev/null; sync; echo read; sleep 100000",
    ]);
    await until("it has read", async () => (await cri.logOf(reader)).includes("read"));
    const limit = (bytes: bigint): Promise<unknown> =>
      cri.runtime.UpdateContainerResources({
        containerId: reader,
        linux: { memoryLimitInBytes: bytes },
      });
    await limit(32n << 20n);
    assert.equal((await cri.status(reader)).resources?.linux?.memoryLimitInBytes, 32n << 20n);
    await assert.rejects(
      limit(4096n),
      sameFault("FAILED_PRECONDITION", /cannot limit the memory .* to 4096 bytes: it uses \d+/),
    );
  });

  test("a pod's processes are counted in nested cgroups too", async () => {
    // Nothing starts or ends in this pod: it has its sandbox's process, and one.
    const own = await cri.runPod();
    const id = await cri.startContainer(own, bed.images.shell.reference, ["sleep", "100000"]);
    const count = async (): Promise<bigint> => {
      const { stats } = await cri.runtime.PodSandboxStats({ podSandboxId: own.id });
      return stats?.linux?.process?.processCount?.value ?? 0n;
    };
    await until("both are counted", async () => (await count()) === 2n);
    const inner = processesInCgroup(cri.settings.cgroupParent).filter(({ pid }) =>
      groupsOf(pid).some(([, place]) => place.endsWith(`/${id}`)),
    );
    assert.ok(inner.length > 0);
    const folders: string[] = [];
    for (const { pid } of inner) {
      for (const [mount, place] of groupsOf(pid)) {
        if (!place.endsWith(`/${id}`)) continue;
        const folder = path.join(mount, place, "nested");
        await mkdir(folder, { recursive: true });
        await writeFile(path.join(folder, "cgroup.procs"), String(pid));
        folders.push(folder);
      }
    }
    assert.ok(folders.length > 0);
    assert.equal(await count(), 2n);
  });

  test("rlimits of 64 bits reach an exec, an update and the verbose status exactly", async () => {
    const exact = await cri.runPod({}, "limits");
    const id = await cri.startContainer(exact, bed.images.shell.reference, echo("started"));
    const seen = async (): Promise<string> =>
      (await cri.exec(id, ["sh", "-c", "ulimit -t; ulimit -Ht"])).stdout;
    assert.equal(await seen(), "unlimited\nunlimited\n");
    await cri.runtime.UpdateContainerResources({ containerId: id, linux: { cpuShares: 512n } });
    assert.equal(await seen(), "unlimited\nunlimited\n");
    const { info } = await cri.runtime.ContainerStatus({ containerId: id, verbose: true });
    assert.match(info["info"] ?? "", new RegExp(`"hard":${infinity},"soft":${infinity}`));
  });

  test("a status tells the OOM score that holds", async () => {
    for (const asked of [-999n, 900n]) {
      const id = await cri.startContainer(pod, bed.images.shell.reference, echo("started"), {
        linux: { resources: { oomScoreAdj: asked } },
      });
      const { stdout } = await cri.exec(id, ["cat", "/proc/1/oom_score_adj"]);
      const told = (await cri.status(id)).resources?.linux?.oomScoreAdj;
      assert.equal(told, BigInt(stdout.trim()), `asked for ${asked}`);
    }
  });
});

/** Mount point and path of a process's cgroup in the hierarchy that counts processes; none for one that has ended. */
function groupsOf(pid: number): (readonly [mount: string, place: string])[] {
  let text = "";
  try {
    text = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  } catch {
    return [];
  }
  const places: (readonly [string, string])[] = text.split("\n").map((line) => {
    const [, controllers = "", place = ""] = line.split(":");
    if (controllers.split(",").includes("pids")) return ["/sys/fs/cgroup/pids", place];
    return existsSync("/sys/fs/cgroup/cgroup.controllers") ? ["/sys/fs/cgroup", place] : ["", ""];
  });
  return places.filter(([mount]) => mount !== "");
}
