// SPDX-License-Identifier: Apache-2.0
// Pods whose sandbox is a process that the daemon starts itself.
import assert from "node:assert/strict";
import { readFileSync, readlinkSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { parse, stringify } from "smol-toml";
import type { NamespaceOptionInit } from "../../src/gen/cri.gen.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { nothingLeft } from "../support/leaks.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { isAlive, shimsOf } from "../support/processes.ts";
import { must } from "../support/run.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const berth = path.resolve(import.meta.dirname, "../../bin/berth");
const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

suite("sandbox processes", { skip: lacking(...podPrograms, "ctr") }, () => {
  let bed: Testbed;
  let cri: Cri;
  let shell: string;
  before(async () => {
    bed = await openTestbed({ config: { cri: { sandbox: "process" } } });
    ({ cri } = bed);
    shell = bed.images.shell.reference;
  });
  after(() => bed?.finish());

  const ctr = async (...args: string[]): Promise<string> =>
    must("ctr", ["--address", bed.daemon.socket, "-n", "k8s.io", ...args]);
  const pidOf = async ({ id }: RunningPod): Promise<number> => {
    const line = (await ctr("tasks", "ls")).split("\n").find((text) => text.startsWith(id));
    assert.ok(line, `${id} is listed`);
    return Number(line.split(/\s+/)[1]);
  };
  const namespaceOf = (pid: number, kind: string): string =>
    readlinkSync(`/proc/${pid}/ns/${kind}`);

  test("a pod has a task of its own, which is neither a shim's child nor an OCI runtime's", async () => {
    const pod = await cri.runPod();
    const pid = await pidOf(pod);
    assert.match(
      readFileSync(`/proc/${pid}/status`, "utf8"),
      RegExp(`^PPid:\t${bed.daemon.pid()}$`, "m"),
    );
    assert.equal(readFileSync(`/proc/${pid}/cmdline`, "utf8"), "/pause\0");
    const id = await cri.startContainer(pod, shell, forever);
    assert.equal((await cri.exec(id, ["hostname"])).stdout.trim(), pod.config.hostname);
    assert.equal(shimsOf(bed.daemon.socket).length, 1, "for the container");
    assert.match(await ctr("tasks", "ps", pod.id), RegExp(`^${pid}\\b`, "m"));
    const told = await must(berth, ["--address", bed.daemon.socket, "pod", "inspect", pod.id]);
    assert.match(told, RegExp(`^sandbox +a process without a shim \\(pid ${pid}\\)$`, "m"));
    assert.match(await ctr("tasks", "metrics", pod.id), /pids/);
    await assert.rejects(ctr("tasks", "exec", "--exec-id", "e", pod.id, "true"), /sandbox process/);
    await cri.removePod(pod.id);
    assert.ok(!isAlive(pid));
    await nothingLeft(bed.daemon.territory, { timeoutMs: 5_000 });
  });

  const kinds: readonly {
    name: string;
    options: NamespaceOptionInit;
    shared: readonly string[];
  }[] = [
    { name: "the host's network", options: { network: "NODE" }, shared: ["net", "uts"] },
    { name: "the host's IPC", options: { ipc: "NODE" }, shared: ["ipc"] },
    { name: "the host's processes", options: { pid: "NODE" }, shared: ["pid"] },
    { name: "processes of its own", options: { pid: "POD" }, shared: [] },
  ];
  for (const { name, options, shared } of kinds) {
    test(`a pod with ${name}`, async () => {
      const { cgroupParent } = cri.settings;
      const namespaceOptions = { pid: "CONTAINER" as const, ...options };
      const pod = await cri.runPod({
        linux: { cgroupParent, securityContext: { namespaceOptions } },
      });
      const pid = await pidOf(pod);
      for (const kind of ["net", "uts", "ipc", "pid"]) {
        const isShared = namespaceOf(pid, kind) === namespaceOf(process.pid, kind);
        assert.equal(isShared, shared.includes(kind), kind);
      }
      const id = await cri.startContainer(pod, shell, forever, {
        linux: { securityContext: { namespaceOptions } },
      });
      if (options.pid === "POD") {
        const { stdout } = await cri.exec(id, ["cat", "/proc/1/cmdline"]);
        assert.equal(stdout, "/pause\0");
      }
      await cri.removePod(pod.id);
      await nothingLeft(bed.daemon.territory, { timeoutMs: 5_000 });
    });
  }

  test("kill -9 of the daemon leaves pods as they were", async () => {
    const pods = [await cri.runPod(), await cri.runPod(), await cri.runPod()] as const;
    const [used, unused, doomed] = pods;
    const hung = await until("the unused pod's shim", () =>
      shimsOf(bed.daemon.socket).find(({ argv }) => argv.includes(unused.id)),
    );
    const container = await cri.startContainer(used, shell, forever);
    const pids = await Promise.all(pods.map(pidOf));
    await bed.daemon.kill9();
    process.kill(hung.pid, "SIGSTOP");
    process.kill(pids[2] ?? 0, "SIGKILL");
    await until("it is gone", () => !isAlive(pids[2] ?? 0));
    await bed.daemon.start();
    assert.deepEqual([await pidOf(used), await pidOf(unused)], pids.slice(0, 2));
    assert.equal((await cri.podStatus(used.id)).state, "SANDBOX_READY");
    assert.equal((await cri.podStatus(doomed.id)).state, "SANDBOX_NOTREADY");
    assert.equal((await cri.exec(container, ["echo", "again"])).stdout, "again\n");
    await until("a shim out of reach has ended", () => !isAlive(hung.pid), { timeoutMs: 180_000 });
    const late = await cri.startContainer(unused, shell, forever);
    assert.equal((await cri.status(late)).state, "CONTAINER_RUNNING");
    await cri.removeAllPods();
    await nothingLeft(bed.daemon.territory, { timeoutMs: 5_000 });
  });

  test("a pod whose process is killed is not ready, and one whose shim is killed gets another", async () => {
    const pod = await cri.runPod();
    const [shim] = await until("a shim", () => {
      const found = shimsOf(bed.daemon.socket);
      return found.length > 0 && found;
    });
    process.kill(shim!.pid, "SIGKILL");
    const id = await cri.startContainer(pod, shell, forever);
    assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_READY");
    process.kill(await pidOf(pod), "SIGKILL");
    await until("it shows", async () => (await cri.podStatus(pod.id)).state === "SANDBOX_NOTREADY");
    await cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
    assert.equal((await cri.status(id)).state, "CONTAINER_EXITED");
    await cri.removePod(pod.id);
    await nothingLeft(bed.daemon.territory, { timeoutMs: 5_000 });
  });

  test("pods of either kind run on when new ones are to be of the other", async () => {
    const original = await readFile(bed.daemon.configFile, "utf8");
    const restart = async (sandbox: "process" | "shim"): Promise<void> => {
      const config = parse(original) as { cri: Record<string, unknown> };
      config.cri["sandbox"] = sandbox;
      await writeFile(bed.daemon.configFile, stringify(config));
      await bed.daemon.kill9();
      await bed.daemon.start();
    };
    const isProcess = async (pod: RunningPod): Promise<boolean> => {
      const { container } = await bed.daemon
        .client("containerd.services.containers.v1.Containers")
        .Get({ id: pod.id }, { namespace: "k8s.io" });
      return container?.runtime?.name === "io.berth.sandbox.v1";
    };
    const pods: RunningPod[] = [];
    const containers: string[] = [];
    const add = async (): Promise<void> => {
      const pod = await cri.runPod();
      pods.push(pod);
      containers.push(await cri.startContainer(pod, shell, forever));
    };
    await add();
    for (const kind of ["shim", "process"] as const) {
      await restart(kind);
      for (const pod of pods)
        assert.equal((await cri.podStatus(pod.id)).state, "SANDBOX_READY", pod.id);
      for (const id of containers)
        assert.equal((await cri.exec(id, ["echo", "on"])).stdout, "on\n");
      for (const pod of pods) containers.push(await cri.startContainer(pod, shell, forever));
      await add();
    }
    assert.deepEqual(await Promise.all(pods.map(isProcess)), [true, false, true]);
    await cri.removeAllPods();
    await nothingLeft(bed.daemon.territory, { timeoutMs: 5_000 });
  });
});
