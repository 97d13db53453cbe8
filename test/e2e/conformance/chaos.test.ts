// SPDX-License-Identifier: Apache-2.0
// Pods come and go while the daemon and shims are killed at random; then what is left is counted.
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, isFault } from "../../../src/base/errors.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { nothingLeft } from "../../support/leaks.ts";
import type { Cri, RunningPod } from "../../support/pods.ts";
import { shimsOf } from "../../support/processes.ts";
import { Random } from "../../support/random.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const seconds = Number(process.env["BERTH_TEST_CHAOS_SECONDS"] ?? 45);
const workers = 4;
const forever = ["sh", "-c", "trap 'exit 5' TERM; sleep 100000 & wait"];
/** What a caller gets when its daemon or its pod's shim is killed under it; anything else is a bug. */
const expected = ["UNAVAILABLE", "CANCELLED", "FAILED_PRECONDITION", "NOT_FOUND", "ALREADY_EXISTS"];

suite("killed at random", { skip: lacking(...podPrograms) }, () => {
  /** So that a run can be repeated. */
  const seed = Number(process.env["BERTH_TEST_SEED"] ?? Date.now() % 100_000);
  const random = new Random(seed);
  let bed: Testbed;
  let cri: Cri;
  let witness: { readonly pod: RunningPod; readonly containerId: string };
  before(async () => {
    bed = await openTestbed({ logLevel: "info" });
    ({ cri } = bed);
    const pod = await cri.runPod();
    const containerId = await cri.startContainer(pod, bed.images.shell.reference, forever);
    witness = { pod, containerId };
  });
  after(() => bed?.finish());

  test("pods that nobody killed are as they were, and of the others nothing is left", async (t) => {
    t.diagnostic(`BERTH_TEST_SEED=${seed}`);
    const witnessBefore = await cri.status(witness.containerId);
    const endAt = performance.now() + seconds * 1000;
    const failures: string[] = [];
    const counts = { pods: 0, restarts: 0, shims: 0, refused: 0 };

    const onePod = async (): Promise<void> => {
      const network = random.next() < 0.5 ? "NODE" : "POD";
      const pod = await cri.runPod({
        linux: { securityContext: { namespaceOptions: { network, pid: "CONTAINER" } } },
      });
      counts.pods += 1;
      const id = await cri.startContainer(pod, bed.images.shell.reference, forever);
      const { exitCode } = await cri.exec(id, ["sh", "-c", "exit 4"]);
      // Its shim may be killed under it: then it is 137 or 255, and never success.
      if (exitCode !== 4 && exitCode !== 137 && exitCode !== 255)
        failures.push(`exec: ${exitCode}`);
      if (random.next() < 0.7) await cri.runtime.StopContainer({ containerId: id, timeout: 5n });
      if (random.next() < 0.7) await cri.runtime.RemoveContainer({ containerId: id });
      if (random.next() < 0.8) await cri.removePod(pod.id);
    };
    const worker = async (): Promise<void> => {
      while (performance.now() < endAt) {
        try {
          await onePod();
        } catch (error) {
          counts.refused += 1;
          // runc's own words when the pod ends under it.
          const isOfRunc = String(error).includes("OCI runtime");
          const isExpected = isFault(error) && expected.includes(error.code);
          if (!isExpected && !isOfRunc) failures.push(String(error));
          await sleep(50);
        }
      }
    };
    const killer = async (): Promise<void> => {
      while (performance.now() < endAt) {
        await sleep(300 + random.next() * 2500);
        if (random.next() < 0.6) {
          counts.restarts += 1;
          await bed.daemon.kill9();
          await sleep(random.next() * 500);
          await bed.daemon.start();
          continue;
        }
        const others = shimsOf(bed.daemon.socket).filter(
          ({ argv }) => !argv.includes(witness.pod.id) && !argv.includes("start"),
        );
        const victim = others[random.below(others.length)];
        if (victim === undefined) continue;
        counts.shims += 1;
        try {
          process.kill(victim.pid, "SIGKILL");
        } catch (error) {
          if (errnoOf(error) !== "ESRCH") throw error; // it has gone with its pod meanwhile
        }
      }
    };
    await Promise.all([killer(), ...Array.from({ length: workers }, worker)]);
    t.diagnostic(JSON.stringify(counts));
    assert.deepEqual(failures, []);
    assert.deepEqual(await cri.status(witness.containerId), witnessBefore);
    assert.equal((await cri.exec(witness.containerId, ["echo", "well"])).stdout, "well\n");

    const { items } = await cri.runtime.ListPodSandbox({});
    for (const { id } of items) cri.seen.add(id);
    const canBeRemoved = async (): Promise<boolean> => {
      await cri.removeAllPods();
      return true;
    };
    await until("all pods can be removed", canBeRemoved, { timeoutMs: 240_000 });
    await nothingLeft(bed.daemon.territory);
    const call = { namespace: "k8s.io" };
    const tasks = await bed.daemon.client("containerd.services.tasks.v1.Tasks").List({}, call);
    assert.deepEqual(tasks.tasks, []);
  });
});
