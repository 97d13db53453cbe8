// SPDX-License-Identifier: Apache-2.0
// Shims of several versions under one daemon, each a handler of its own, over a kill -9 and a restart.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, suite, test } from "node:test";
import { linesOf } from "../support/cri-log.ts";
import { builtTool, type GoToolName } from "../support/go-tools.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import { nothingLeft } from "../support/leaks.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { processes, shimsOf } from "../support/processes.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const debians = "/usr/bin/containerd-shim-runc-v2";
const forever = ["sh", "-c", "echo up; trap 'echo down; exit 5' TERM; sleep 100000 & wait"];

interface Version {
  readonly handler: string;
  readonly find: () => Promise<string | undefined>;
  /** Why its tests are skipped where it is not found. */
  readonly lack: string;
}

const versions: readonly Version[] = [
  {
    handler: "shim-1-6",
    find: () => Promise.resolve(existsSync(debians) ? debians : undefined),
    lack: `needs ${debians}`,
  },
  ...["1.7", "2.1", "2.3", "2.4"].map((version) => {
    const program = `containerd-shim-runc-v2-${version}`;
    return {
      handler: `shim-${version.replace(".", "-")}`,
      find: () => builtTool(program as GoToolName),
      lack: `needs ${program}: scripts/node scripts/build-tools.ts`,
    };
  }),
];

suite("shims of several versions side by side", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  const shims = new Map<string, string>();
  const pods = new Map<string, { pod: RunningPod; containerId: string }>();
  before(async () => {
    for (const { handler, find } of versions) {
      const file = await find();
      if (file !== undefined) shims.set(handler, file);
    }
    const handlers = Object.fromEntries(
      [...shims].map(([handler, shim]) => [handler, { type: "io.containerd.runc.v2", shim }]),
    );
    bed = await openTestbed({ config: { runtime: { handlers } } });
    ({ cri } = bed);
  });
  after(() => bed?.finish());

  const podOf = (handler: string): { pod: RunningPod; containerId: string } => {
    const found = pods.get(handler);
    assert.ok(found, `pod of ${handler}`);
    return found;
  };

  for (const { handler, lack } of versions) {
    test(`${handler} runs a pod`, async (t) => {
      const shim = shims.get(handler);
      if (shim === undefined) return t.skip(lack);
      const pod = await cri.runPod({}, handler);
      const containerId = await cri.startContainer(pod, bed.images.shell.reference, forever);
      pods.set(handler, { pod, containerId });
      assert.equal((await cri.exec(containerId, ["echo", handler])).stdout, `${handler}\n`);
      const [process] = shimsOf(bed.daemon.socket).filter(({ argv }) => argv.includes(pod.id));
      assert.equal(process?.argv[0], shim);
      assert.deepEqual(await tasksOf(pod.id, containerId), ["RUNNING", "RUNNING"]);
    });
  }

  test("a restart finds them all", async () => {
    const before = await Promise.all([...pods.values()].map((it) => cri.status(it.containerId)));
    const pids = shimsOf(bed.daemon.socket).map(({ pid }) => pid);
    await bed.daemon.kill9();
    await bed.daemon.start();
    const now = await Promise.all([...pods.values()].map((it) => cri.status(it.containerId)));
    assert.deepEqual(now, before);
    assert.deepEqual(
      shimsOf(bed.daemon.socket).map(({ pid }) => pid),
      pids,
    );
  });

  for (const { handler, lack } of versions) {
    test(`${handler} goes on after it: exec, a further container, stop`, async (t) => {
      if (!shims.has(handler)) return t.skip(lack);
      const { pod, containerId } = podOf(handler);
      const failing = await cri.exec(containerId, ["sh", "-c", "echo bad >&2; exit 3"]);
      assert.deepEqual([failing.exitCode, failing.stderr], [3, "bad\n"]);
      const late = await cri.startContainer(pod, bed.images.shell.reference, ["echo", "late"]);
      assert.equal((await cri.reaches(late, "CONTAINER_EXITED")).exitCode, 0);
      assert.deepEqual(linesOf(await cri.logOf(late)), ["late"]);
      await cri.runtime.StopContainer({ containerId, timeout: 10n });
      assert.equal((await cri.status(containerId)).exitCode, 5);
      assert.deepEqual(linesOf(await cri.logOf(containerId)), ["up", "down"]);
    });

    test(`${handler} is killed, and its pod ended and removed`, async (t) => {
      if (!shims.has(handler)) return t.skip(lack);
      const { pod } = podOf(handler);
      const id = await cri.startContainer(pod, bed.images.shell.reference, forever);
      const [shim] = shimsOf(bed.daemon.socket).filter(({ argv }) => argv.includes(pod.id));
      process.kill(shim!.pid, "SIGKILL");
      assert.equal((await cri.reaches(id, "CONTAINER_EXITED")).exitCode, 137);
      await cri.removePod(pod.id);
      await until(
        "no shim of it",
        () => processes(({ argv }) => argv.includes(pod.id)).length === 0,
      );
    });
  }

  test("nothing is left", () => nothingLeft(bed.daemon.territory));

  async function tasksOf(...ids: readonly string[]): Promise<string[]> {
    const service = bed.daemon.client("containerd.services.tasks.v1.Tasks");
    const found = await Promise.all(
      ids.map((containerId) => service.Get({ containerId }, { namespace: "k8s.io" })),
    );
    return found.map(({ process: task }) => task?.status ?? "none");
  }
});
