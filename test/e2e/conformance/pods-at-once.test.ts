// SPDX-License-Identifier: Apache-2.0
// Two hundred pods that a node's kubelet asks for in the same second.
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { nothingLeft } from "../../support/leaks.ts";
import type { Cri, RunningPod } from "../../support/pods.ts";
import { isAlive, shimsOf } from "../../support/processes.ts";
import { isSandboxInShim } from "../../support/sandbox-mode.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const podCount = 200;
const forever = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

suite(`${podCount} pods at once`, { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pods: RunningPod[] = [];
  before(async () => {
    bed = await openTestbed({ logLevel: "info" });
    ({ cri } = bed);
  });
  after(() => bed?.finish());

  const statesOf = async (): Promise<Record<string, number>> => {
    const { items } = await cri.runtime.ListPodSandbox({});
    return Object.fromEntries(
      Map.groupBy(items, ({ state }) => state)
        .entries()
        .map(([state, group]) => [state, group.length]),
    );
  };
  const pidsOf = async (): Promise<number[]> => {
    const tasks = bed.daemon.client("containerd.services.tasks.v1.Tasks");
    const { tasks: listed } = await tasks.List({}, { namespace: "k8s.io" });
    return listed.map(({ pid }) => pid);
  };

  test("all come up, and a container that is there is not waiting for them", async (t) => {
    const first = await cri.runPod();
    const id = await cri.startContainer(first, bed.images.shell.reference, forever);
    const startedAt = performance.now();
    const all = Promise.all(Array.from({ length: podCount - 1 }, () => cri.runPod()));
    let isUp = false;
    void all.finally(() => (isUp = true)).catch(() => {}); // awaited below
    const commands = async (count: number): Promise<number> => {
      assert.equal((await cri.exec(id, ["echo", "on"])).stdout, "on\n");
      await cri.runtime.ListContainers({});
      return isUp ? count : commands(count + 1);
    };
    const execs = await commands(0);
    pods = [first, ...(await all)];
    t.diagnostic(`${Math.round(performance.now() - startedAt)} ms, ${execs} commands meanwhile`);
    assert.ok(execs > 3, `${execs} commands while they came up`);
    assert.deepEqual(await statesOf(), { SANDBOX_READY: podCount });
    const addresses = await Promise.all(
      pods.map(async (pod) => (await cri.podStatus(pod.id)).network?.ip),
    );
    assert.equal(new Set(addresses).size, podCount);
    assert.equal(new Set(await pidsOf()).size, podCount + 1, "and the container");
  });

  test("they outlive a kill -9, and the node's end of some is seen", async () => {
    await bed.daemon.kill9();
    await bed.daemon.start();
    assert.deepEqual(await statesOf(), { SANDBOX_READY: podCount });
    const tasks = bed.daemon.client("containerd.services.tasks.v1.Tasks");
    // A start goes on without shims that are silent for a second, as they are on a busy machine.
    const doomed = await until("their tasks are listed", async () => {
      const { tasks: listed } = await tasks.List({}, { namespace: "k8s.io" });
      const found = listed.filter((task) => pods.slice(1, 11).some((pod) => pod.id === task.id));
      return found.length === 10 && found;
    });
    for (const { pid } of doomed) process.kill(pid, "SIGKILL");
    await until("they are not ready", async () => (await statesOf())["SANDBOX_NOTREADY"] === 10);
  });

  // In a shim a sandbox ends with it.
  if (!isSandboxInShim)
    test("shims that die before they are used are replaced, all at once", async () => {
      const used = pods.slice(11, 31);
      const shims = await until("their shims", () => {
        const found = shimsOf(bed.daemon.socket).filter(({ argv }) =>
          used.some(({ id }) => argv.includes(id)),
        );
        return found.length === used.length && found;
      });
      for (const { pid } of shims) process.kill(pid, "SIGKILL");
      await until("they are gone", () => shims.every(({ pid }) => !isAlive(pid)));
      const ids = await Promise.all(
        used.map((pod) => cri.startContainer(pod, bed.images.shell.reference, forever)),
      );
      for (const id of ids) assert.equal((await cri.status(id)).state, "CONTAINER_RUNNING");
      assert.deepEqual(await statesOf(), { SANDBOX_READY: podCount - 10, SANDBOX_NOTREADY: 10 });
    });

  test("all are removed at once, and nothing is left", async (t) => {
    const startedAt = performance.now();
    await cri.removeAllPods();
    t.diagnostic(`${Math.round(performance.now() - startedAt)} ms`);
    await nothingLeft(bed.daemon.territory);
  });
});
