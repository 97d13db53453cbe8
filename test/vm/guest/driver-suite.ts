// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { LinuxContainerResourcesInit } from "../../../src/gen/cri.gen.ts";
import { must } from "../../support/run.ts";
import { until } from "../../support/until.ts";
import { type CgroupDriver, cgroupFile, GuestNode, unitProperties } from "./node.ts";

const mebibyte = 1n << 20n;

/** Each is a file of the container's cgroup and what it holds, for the resources below. */
const limits: readonly (readonly [string, string])[] = [
  ["cpu.max", "20000 100000"],
  // 512 shares of 1024, on the scale from 1 to 10000 where 100 is usual.
  ["cpu.weight", "20"],
  ["cpuset.cpus", "1"],
  ["memory.max", String(64n * mebibyte)],
  ["memory.swap.max", String(32n * mebibyte)],
  ["memory.high", String(48n * mebibyte)],
  ["pids.max", "77"],
  ["hugetlb.2MB.max", String(4n * mebibyte)],
];

const resources: LinuxContainerResourcesInit = {
  cpuPeriod: 100_000n,
  cpuQuota: 20_000n,
  cpuShares: 512n,
  cpusetCpus: "1",
  memoryLimitInBytes: 64n * mebibyte,
  memorySwapLimitInBytes: 96n * mebibyte,
  hugepageLimits: [{ pageSize: "2MB", limit: 4n * mebibyte }],
  unified: { "memory.high": String(48n * mebibyte), "pids.max": "77" },
  oomScoreAdj: -997n,
};

const changed: LinuxContainerResourcesInit = {
  cpuPeriod: 50_000n,
  cpuQuota: 25_000n,
  cpuShares: 2048n,
  cpusetCpus: "0-1",
  memoryLimitInBytes: 128n * mebibyte,
  memorySwapLimitInBytes: 128n * mebibyte,
  unified: { "memory.high": String(100n * mebibyte) },
};

const changedLimits: readonly (readonly [string, string])[] = [
  ["cpu.max", "25000 50000"],
  ["cpu.weight", "79"],
  ["cpuset.cpus", "0-1"],
  ["memory.max", String(128n * mebibyte)],
  ["memory.swap.max", "0"],
  ["memory.high", String(100n * mebibyte)],
  ["pids.max", "77"],
  ["hugetlb.2MB.max", String(4n * mebibyte)],
];

/** What must hold under either cgroup driver; the daemon is configured for `driver` already. */
export function driverSuite(driver: CgroupDriver): void {
  suite(`cgroup v2, driver ${driver}`, () => {
    const node = new GuestNode(driver);
    const { cri } = node;
    let pod: Awaited<ReturnType<GuestNode["runPod"]>>;
    let id = "";
    let cgroup = "";
    const holds = async (wanted: typeof limits): Promise<void> => {
      const found = await Promise.all(
        wanted.map(async ([name]) => [name, await cgroupFile(cgroup, name).catch(String)]),
      );
      assert.deepEqual(found, wanted);
    };

    before(async () => {
      await node.pull();
      pod = await node.runPod();
      id = await cri.startContainer(pod, node.image("shell"), ["sleep", "100000"], {
        linux: { resources },
      });
      cgroup = await node.cgroupOf(id);
    });
    after(() => node[Symbol.asyncDispose]());

    test("RuntimeConfig tells the driver", async () => {
      const { linux } = await cri.runtime.RuntimeConfig({});
      assert.equal(linux?.cgroupDriver, driver === "systemd" ? "SYSTEMD" : "CGROUPFS");
    });

    test("cgroups are where the kubelet looks", async () => {
      const leaf = (name: string): string =>
        path.join(pod.cgroup, driver === "systemd" ? `cri-containerd-${name}.scope` : name);
      assert.equal(cgroup, leaf(id));
      const { info } = await cri.runtime.PodSandboxStatus({ podSandboxId: pod.id, verbose: true });
      const { pid } = JSON.parse(info["info"] ?? "{}") as { pid: number };
      assert.equal(
        (await must("cat", [`/proc/${pid}/cgroup`])).trim(),
        `0::${leaf(pod.id)}`,
        "the sandbox's",
      );
    });

    test("the container sees its own cgroup as the top, and cannot write it", async () => {
      const { stdout } = await cri.exec(id, [
        "sh",
        "-c",
        "cat /proc/self/cgroup /sys/fs/cgroup/pids.max; echo 1 > /sys/fs/cgroup/pids.max || echo refused",
      ]);
      assert.equal(stdout, "0::/\n77\nrefused\n");
    });

    test("every limit arrives in the container's cgroup", () => holds(limits));

    test("negative scores for the OOM killer arrive, the sandbox's among them", async () => {
      const score = async (pid: number): Promise<string> =>
        (await must("cat", [`/proc/${pid}/oom_score_adj`])).trim();
      assert.equal(await score(await node.pidOf(id)), "-997");
      const { info } = await cri.runtime.PodSandboxStatus({ podSandboxId: pod.id, verbose: true });
      assert.equal(await score((JSON.parse(info["info"] ?? "{}") as { pid: number }).pid), "-998");
      const { MainPID = "" } = await unitProperties("berthd", "MainPID");
      assert.equal(await score(Number(MainPID)), "-999");
    });

    test("UpdateContainerResources changes them", async () => {
      await cri.runtime.UpdateContainerResources({ containerId: id, linux: changed });
      await holds(changedLimits);
      const { resources: told } = await cri.status(id);
      assert.equal(told?.linux?.memoryLimitInBytes, 128n * mebibyte);
      assert.equal(told?.linux?.cpuQuota, 25_000n);
    });

    if (driver === "systemd") {
      test("systemd knows the limits too, so a reload of it changes none", async () => {
        const scope = `cri-containerd-${id}.scope`;
        const held = await unitProperties(scope, "MemoryMax", "CPUQuotaPerSecUSec", "CPUWeight");
        assert.deepEqual(held, {
          MemoryMax: String(128n * mebibyte),
          CPUQuotaPerSecUSec: "500ms",
          CPUWeight: "79",
        });
        await must("systemctl", ["daemon-reload"], { timeoutMs: 120_000 });
        await holds(changedLimits);
      });
    }

    test("an update gives swap back", async () => {
      const memorySwapLimitInBytes = 192n * mebibyte;
      await cri.runtime.UpdateContainerResources({
        containerId: id,
        linux: { memorySwapLimitInBytes },
      });
      assert.equal(await cgroupFile(cgroup, "memory.swap.max"), String(64n * mebibyte));
      await cri.runtime.UpdateContainerResources({ containerId: id, linux: changed });
      await holds(changedLimits);
    });

    test("a memory limit below what is used is refused and changes nothing", async () => {
      await assert.rejects(
        cri.runtime.UpdateContainerResources({
          containerId: id,
          linux: { memoryLimitInBytes: 4096n },
        }),
        { code: "FAILED_PRECONDITION" },
      );
      await holds(changedLimits);
    });

    test("UpdatePodSandboxResources is taken", async () => {
      await cri.runtime.UpdatePodSandboxResources({
        podSandboxId: pod.id,
        resources: { memoryLimitInBytes: 256n * mebibyte, cpuShares: 1024n },
      });
      const { status } = await cri.runtime.PodSandboxStatus({ podSandboxId: pod.id });
      assert.equal(status?.state, "SANDBOX_READY");
    });

    test("who uses too much memory is reported as OOMKilled", async () => {
      const greedy = await cri.startContainer(
        pod,
        node.image("shell"),
        ["sh", "-c", "dd if=/dev/zero of=/dev/shm/file bs=1M count=40 || true; tail /dev/zero"],
        { linux: { resources: { memoryLimitInBytes: 16n * mebibyte } } },
      );
      const status = await cri.reaches(greedy, "CONTAINER_EXITED");
      assert.equal(status.reason, "OOMKilled");
      assert.equal(status.exitCode, 137);
    });

    test("all of several that are killed at once are, and one that fails beside them is not", async () => {
      const run = (command: readonly string[]): Promise<string> =>
        cri.startContainer(pod, node.image("shell"), command, {
          linux: { resources: { memoryLimitInBytes: 16n * mebibyte } },
        });
      const ids = await Promise.all([
        ...Array.from({ length: 5 }, () => run(["tail", "/dev/zero"])),
        run(["sh", "-c", "exit 3"]),
      ]);
      const ends = await Promise.all(ids.map((it) => cri.reaches(it, "CONTAINER_EXITED")));
      assert.deepEqual(
        ends.map(({ reason, exitCode }) => `${reason} ${exitCode}`),
        [...Array.from({ length: 5 }, () => "OOMKilled 137"), "Error 3"],
      );
    });

    test("a child's OOM kill does not end the container, and is counted", async () => {
      const parent = await cri.startContainer(
        pod,
        node.image("shell"),
        ["sh", "-c", "tail /dev/zero; sleep 100000"],
        { linux: { resources: { memoryLimitInBytes: 16n * mebibyte } } },
      );
      const own = await node.cgroupOf(parent);
      await until("the kernel counts a kill", async () =>
        /oom_kill [1-9]/.test(await cgroupFile(own, "memory.events")),
      );
      assert.equal((await cri.status(parent)).state, "CONTAINER_RUNNING");
      await cri.runtime.StopContainer({ containerId: parent, timeout: 0n });
    });

    test("a pod that is gone leaves no cgroup and no unit", async () => {
      await cri.removePod(pod.id);
      await until("its cgroups are gone", () => !existsSync(path.join("/sys/fs/cgroup", cgroup)));
      const units = await must("systemctl", ["list-units", "--all", "--plain", "--no-legend"]);
      assert.doesNotMatch(units, new RegExp(`${id}|${pod.id}`));
    });
  });
}
