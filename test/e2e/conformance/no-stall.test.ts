// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import os from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { frozenMount } from "../../support/frozen-mount.ts";
import { type GatedNetwork, gateNetwork, writeGatePlugin } from "../../support/gated-cni.ts";
import { cniBinFolder, lacking, podPrograms } from "../../support/lacking.ts";
import { nothingLeft } from "../../support/leaks.ts";
import type { Cri } from "../../support/pods.ts";
import { shimsOf, threadsOf } from "../../support/processes.ts";
import { must } from "../../support/run.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

/** Only so that a stall ends the test: what matters is that the calls end while the hang lasts. */
const generousMs = 100_000;

suite("nothing stalls everything", { skip: lacking(...podPrograms) }, () => {
  let home: Scratch;
  let bed: Testbed;
  let cri: Cri;
  let gate: GatedNetwork;

  before(async () => {
    home = await scratch({ prefix: "stall" });
    const bin = await writeGatePlugin(home.path);
    bed = await openTestbed({ config: { cni: { bin_dirs: [bin, cniBinFolder()] } } });
    ({ cri } = bed);
    gate = await gateNetwork(home.path, bed.daemon.network);
    await until("the daemon has read the new network", async () => {
      const { info } = await cri.runtime.Status({ verbose: true });
      return info["cniconfig"]?.includes('"gate"');
    });
  });
  after(async () => {
    await gate?.open();
    try {
      await bed?.finish();
    } finally {
      await home?.[Symbol.asyncDispose]();
    }
  });

  /** What kubelets do all the time, for pods that are not concerned. */
  const livesOn = async (): Promise<void> => {
    const work = async (): Promise<void> => {
      const pod = await cri.runPod();
      const containerId = await cri.startContainer(pod, bed.images.shell.reference, [
        "sleep",
        "100000",
      ]);
      assert.equal((await cri.exec(containerId, ["echo", "hi"])).stdout, "hi\n");
      await cri.runtime.ListPodSandbox({});
      await cri.runtime.ListContainers({});
      await cri.runtime.ListContainerStats({});
      await cri.runtime.ListPodSandboxStats({});
      await cri.runtime.ListPodSandboxMetrics({});
      await cri.runtime.Status({ verbose: true });
      await cri.runtime.UpdateContainerResources({ containerId, linux: { cpuShares: 100n } });
      await cri.runtime.StopContainer({ containerId, timeout: 0n });
      await cri.runtime.RemoveContainer({ containerId });
      await cri.removePod(pod.id);
      const answer = await fetch(`${bed.daemon.metricsUrl}/metrics`);
      assert.equal(answer.status, 200);
      await answer.text();
    };
    const timer = AbortSignal.timeout(generousMs);
    const stalled = new Promise<never>((_resolve, reject) => {
      timer.addEventListener("abort", () => reject(new Error("other pods' calls stalled")));
    });
    await Promise.race([Promise.all([work(), work()]), stalled]);
  };

  const stagesOf = async (object: string): Promise<string[]> => {
    const { operations } = await bed.daemon.client("berth.v1.Operations").List({ object });
    return operations.flatMap(({ rpc, stages }) => stages.map(({ name }) => `${rpc}/${name}`));
  };

  test("threads that tenants keep busy come after the main one, shims and containers do not", async () => {
    const pod = await cri.runPod();
    const image = bed.images.shell.reference;
    const containerId = await cri.startContainer(pod, image, ["sleep", "100000"]);
    await cri.runtime.Exec({ containerId, cmd: ["true"], stdout: true }); // starts the streaming thread
    const usual = os.getPriority(bed.daemon.pid());
    const nicenesses = new Map<string, Set<number>>();
    for (const { name, niceness } of threadsOf(bed.daemon.pid())) {
      // Those of trees are there while there is work.
      if (/^berth-(remover|meter|reading)$/.test(name)) continue;
      nicenesses.set(name, (nicenesses.get(name) ?? new Set<number>()).add(niceness));
    }
    for (const name of ["berth-logs", "berth-streaming"]) {
      assert.deepEqual(nicenesses.get(name), new Set([Math.min(19, usual + 5)]), name);
      nicenesses.delete(name);
    }
    for (const [name, own] of nicenesses) assert.deepEqual(own, new Set([usual]), name);

    const { stdout } = await cri.exec(containerId, ["cat", "/proc/1/stat", "/proc/self/stat"]);
    const inside = stdout
      .trim()
      .split("\n")
      .map((line) => Number(line.split(" ")[18]));
    assert.deepEqual(inside, [usual, usual]);
    assert.equal(os.getPriority(shimOf(bed, pod.id)), usual);
    await cri.removePod(pod.id);
  });

  test("while a CNI plugin hangs, other pods come and go, and the hang can be seen", async () => {
    await gate.close("hanging");
    const metadata = { name: "hanging-1", namespace: "default", uid: "uid-hanging", attempt: 0 };
    let ended = false;
    const hanging = cri.runPod({ metadata }).finally(() => (ended = true));
    await until("ADD hangs", async () => (await gate.waiting()) > 0);

    await livesOn();
    assert.equal(ended, false, "the hang lasted meanwhile");

    const name = "hanging-1_default_uid-hanging_0";
    assert.deepEqual(await stagesOf(name), ["RunPodSandbox/network"]);
    const berth = path.resolve(import.meta.dirname, "../../../bin/berth");
    const shown = await must(berth, ["-a", bed.daemon.socket, "pod", "inspect", "hanging-1"]);
    assert.match(shown, /RunPodSandbox .*network/);
    const text = await (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text();
    assert.match(text, /^berth_operations_in_flight\{stage="network"\} 1$/m);

    await gate.open();
    await cri.removePod((await hanging).id);
    assert.deepEqual(await stagesOf(name), []);
  });

  test("while a shim is stopped, other pods come and go, and the hang can be seen", async () => {
    const pod = await cri.runPod();
    const containerId = await cri.startContainer(pod, bed.images.shell.reference, [
      "sleep",
      "100000",
    ]);
    const shim = shimOf(bed, pod.id);
    process.kill(shim, "SIGSTOP");
    try {
      let ended = false;
      const hanging = cri.exec(containerId, ["true"]).finally(() => (ended = true));
      hanging.catch(() => {});
      await until("exec waits for the shim", async () =>
        (await stagesOf(containerId)).includes("ExecSync/exec"),
      );

      await livesOn();
      assert.equal(ended, false, "the hang lasted meanwhile");
      const { stats } = await cri.runtime.ListContainerStats({ filter: { id: containerId } });
      assert.equal(stats.length, 1, "its own figures do not need the shim");

      process.kill(shim, "SIGCONT");
      assert.equal((await hanging).exitCode, 0);
    } finally {
      process.kill(shim, "SIGCONT");
    }
    await cri.removePod(pod.id);
  });

  test("a pod whose shim is stopped can be removed, and other pods come and go meanwhile", async () => {
    const pod = await cri.runPod();
    const containerId = await cri.startContainer(pod, bed.images.shell.reference, [
      "sleep",
      "100000",
    ]);
    const shim = shimOf(bed, pod.id);
    process.kill(shim, "SIGSTOP");
    try {
      const removed = cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
      await livesOn();
      await removed;
      assert.equal((await cri.status(containerId)).exitCode, 137);
      await cri.removePod(pod.id);
      await nothingLeft(bed.daemon.territory);
    } finally {
      try {
        process.kill(shim, "SIGCONT");
      } catch {} // it is gone, as it should be
    }
  });

  test("an exec of a container that is paused meanwhile does not hold it", async () => {
    const pod = await cri.runPod();
    const containerId = await cri.startContainer(pod, bed.images.shell.reference, [
      "sleep",
      "100000",
    ]);
    const tasks = bed.daemon.client("containerd.services.tasks.v1.Tasks");
    const call = { namespace: "k8s.io" };
    for (let delayMs = 0; delayMs < 40; delayMs += 4) {
      // Each ends in its own way: before the pause, refused by it, or after the container goes on.
      const execs = [1, 2].map(() => cri.exec(containerId, ["true"]).catch(String));
      await sleep(delayMs);
      await tasks.Pause({ containerId }, call);
      await tasks.Resume({ containerId }, call);
      await Promise.all(execs);
    }
    assert.equal((await cri.exec(containerId, ["echo", "there"])).stdout, "there\n");
    await cri.removePod(pod.id);
  });

  test("while host paths hang, other pods come and go, and the hang can be seen", async (t) => {
    const folder = await home.folder("frozen");
    const frozen = frozenMount(folder);
    if (frozen === undefined) return t.skip("needs FUSE");
    const pod = await cri.runPod();
    // More than there are threads for files: one for each would leave none.
    const hanging = Array.from({ length: 12 }, (_, at) =>
      cri.createContainer(pod, bed.images.shell.reference, ["true"], {
        metadata: { name: `hangs-${at}`, attempt: 0 },
        mounts: [{ hostPath: `${folder}/${at}`, containerPath: "/data" }],
      }),
    );
    let ended = 0;
    for (const create of hanging) create.catch(() => {}).finally(() => (ended += 1));
    try {
      const { name, namespace, uid } = pod.config.metadata ?? {};
      await until("all wait", async () => {
        const { operations } = await bed.daemon.client("berth.v1.Operations").List({});
        return operations.filter(({ rpc }) => rpc === "CreateContainer").length === hanging.length;
      });
      await livesOn();
      assert.equal(ended, 0, "the hang lasted meanwhile");
      assert.deepEqual(await stagesOf(`hangs-0_${name}_${namespace}_${uid}_0`), [
        "CreateContainer/spec",
      ]);
    } finally {
      frozen[Symbol.dispose]();
    }
    await Promise.allSettled(hanging);
    await cri.removePod(pod.id);
  });
});

function shimOf(bed: Testbed, podSandboxId: string): number {
  const shims = shimsOf(bed.daemon.socket);
  const own = shims.find(({ argv }) => argv[argv.indexOf("-id") + 1] === podSandboxId);
  assert.ok(own, `${podSandboxId} has a shim`);
  return own.pid;
}
