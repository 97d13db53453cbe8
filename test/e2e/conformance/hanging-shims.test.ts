// SPDX-License-Identifier: Apache-2.0
// A shim that answers nothing, and an OCI runtime that never comes back, with more than one container in the pod.
import assert from "node:assert/strict";
import { chmod, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { findProgram, lacking, podPrograms } from "../../support/lacking.ts";
import type { Cri, RunningPod } from "../../support/pods.ts";
import { processes, shimsOf } from "../../support/processes.ts";
import { scratch } from "../../support/scratch.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const sleeping = ["sleep", "100000"];
/** Seconds that nobody else sleeps. */
const marker = String(500_000 + process.pid);

suite("what hangs below a pod", { skip: lacking(...podPrograms), timeout: 900_000 }, () => {
  let home: Awaited<ReturnType<typeof scratch>>;
  let bed: Testbed;
  let cri: Cri;
  let binary: string;
  before(async () => {
    home = await scratch();
    binary = path.join(home.path, "runc that hangs");
    const runc = findProgram("runc");
    await writeFile(
      binary,
      `#!/bin/sh
if [ -e '${binary}.hang' ]; then
  for it; do
    [ "$it" != start ] || case $(cat '${binary}.hang') in
      # Nothing of what it was called with can be seen any more.
      another) exec sleep ${marker} ;;
      *) sleep ${marker}; exit 1 ;;
    esac
  done
fi
exec '${runc}' "$@"
`,
    );
    await chmod(binary, 0o755);
    bed = await openTestbed({
      config: { runtime: { handlers: { hanging: { binary_name: binary } } } },
    });
    ({ cri } = bed);
  });
  after(async () => {
    await bed?.finish();
    await home?.[Symbol.asyncDispose]();
  });

  const start = (pod: RunningPod): Promise<string> =>
    cri.startContainer(pod, bed.images.shell.reference, sleeping);
  const shimPids = (): number[] => shimsOf(bed.daemon.socket).map(({ pid }) => pid);

  test("a pod of three containers whose shim is silent ends as a kubelet ends it", async () => {
    const pod = await cri.runPod();
    const ids = [await start(pod), await start(pod), await start(pod)];
    const [shim] = shimPids();
    process.kill(shim!, "SIGSTOP");
    const stops = ids.map((containerId) => cri.runtime.StopContainer({ containerId, timeout: 1n }));
    await Promise.all(stops);
    for (const id of ids) assert.equal((await cri.status(id)).exitCode, 137);
    await cri.removePod(pod.id);
    await until("the shim is gone", () => !shimPids().includes(shim!));
  });

  test("one of two containers whose shim is silent ends, and the other runs on", async () => {
    const pod = await cri.runPod();
    const [first, second] = [await start(pod), await start(pod)];
    const [shim] = shimPids();
    process.kill(shim!, "SIGSTOP");
    try {
      await cri.runtime.StopContainer({ containerId: first, timeout: 0n });
      const { state, exitCode } = await cri.status(first);
      assert.deepEqual([state, exitCode], ["CONTAINER_EXITED", 137]);
      assert.equal((await cri.status(second)).state, "CONTAINER_RUNNING");
    } finally {
      process.kill(shim!, "SIGCONT");
    }
    assert.equal((await cri.exec(second, ["echo", "here"])).stdout, "here\n");
    await cri.runtime.RemoveContainer({ containerId: first });
    await cri.removePod(pod.id);
  });

  const hanging = () => processes(({ argv }) => argv.at(-1) === marker);
  /** Of a container whose start hangs, in a pod with one that runs. */
  const hang = async (how: "itself" | "another") => {
    const pod = await cri.runPod({}, "hanging");
    const beside = await start(pod);
    const id = await cri.createContainer(pod, bed.images.shell.reference, sleeping);
    await writeFile(`${binary}.hang`, how);
    const refused = assert.rejects(cri.runtime.StartContainer({ containerId: id }), {
      code: "ABORTED",
      message: /was stopped before it had started/,
    });
    await until("the OCI runtime hangs", () => hanging().length > 0);
    await rm(`${binary}.hang`);
    return { pod, beside, id, refused };
  };

  for (const verb of ["StopContainer", "RemoveContainer"] as const) {
    test(`${verb} undoes a start that hangs, and the container beside it runs on`, async () => {
      const { pod, beside, id, refused } = await hang("itself");
      if (verb === "StopContainer") {
        await cri.runtime.StopContainer({ containerId: id, timeout: 1n });
        const { state, reason } = await cri.status(id);
        assert.deepEqual([state, reason], ["CONTAINER_EXITED", "StartError"]);
      }
      await cri.runtime.RemoveContainer({ containerId: id });
      await refused;
      await until("nothing hangs any more", () => hanging().length === 0);
      assert.equal((await cri.exec(beside, ["echo", "here"])).stdout, "here\n");
      await cri.removePod(pod.id);
    });
  }

  test("StopPodSandbox undoes a start that hangs, and leaves nothing of it", async () => {
    const { pod, refused } = await hang("another");
    await cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
    await refused;
    await cri.removePod(pod.id);
    await until("nothing hangs any more", () => hanging().length === 0);
  });
});
