// SPDX-License-Identifier: Apache-2.0
// A shim that answers nothing, and an OCI runtime that never comes back, with more than one container in the pod.
import assert from "node:assert/strict";
import { chmod, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { findProgram, lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { processes, shimsOf } from "../support/processes.ts";
import { scratch } from "../support/scratch.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const sleeping = ["sleep", "100000"];
/** Seconds that nobody else sleeps. */
const marker = String(500_000 + process.pid);

suite("what hangs below a pod", { skip: lacking(...podPrograms), timeout: 400_000 }, () => {
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
if [ -e '${binary}.hang' ]; then for it; do [ "$it" != start ] || exec sleep ${marker}; done; fi
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

  for (const [what, end] of Object.entries({
    StopContainer: (_pod: string, containerId: string) =>
      cri.runtime.StopContainer({ containerId, timeout: 1n }),
    StopPodSandbox: (podSandboxId: string) => cri.runtime.StopPodSandbox({ podSandboxId }),
  })) {
    test(`${what} undoes a start that hangs, and leaves none of its processes`, async () => {
      const pod = await cri.runPod({}, "hanging");
      const id = await cri.createContainer(pod, bed.images.shell.reference, sleeping);
      await writeFile(`${binary}.hang`, "");
      const starting = cri.runtime.StartContainer({ containerId: id });
      const refused = assert.rejects(starting, {
        code: "ABORTED",
        message: /was stopped before it had started/,
      });
      const hanging = () => processes(({ argv }) => argv.includes(marker));
      await until("the OCI runtime hangs", () => hanging().length > 0);
      await rm(`${binary}.hang`);
      await end(pod.id, id);
      await refused;
      const { state, reason } = await cri.status(id);
      assert.deepEqual([state, reason], ["CONTAINER_EXITED", "StartError"]);
      await cri.removePod(pod.id);
      await until("nothing hangs any more", () => hanging().length === 0);
    });
  }
});
