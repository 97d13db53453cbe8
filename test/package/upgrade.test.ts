// SPDX-License-Identifier: Apache-2.0
// From one version's package to another's under a pod, over CRI: its process goes on, each line of its log arrives, and so
// it is on the way back. The older one is the package of the first commit that could make one.
import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { rename } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { RunningPod } from "../support/pods.ts";
import { must, run } from "../support/run.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";
import { buildPackage, cleanCheckout } from "./build-package.ts";

const firstWithPackage = "930ef1f2539d8525de129ad7cb2b6537c26a7d73";
const { code } = await run("git", ["cat-file", "-e", `${firstWithPackage}^{commit}`], {
  cwd: import.meta.dirname,
});
const skip = code === 0 ? lacking(...podPrograms) : "needs the history of the repository";

suite("from the first version's package to this one, and back", { skip }, () => {
  let home: Scratch;
  let bed: Testbed;
  let current: string;
  let pod: RunningPod;
  let id: string;
  let pid: number;
  before(async () => {
    home = await scratch({ prefix: "upgrade" });
    current = path.join(home.path, "current");
    const checkout = path.join(home.path, "checkout");
    await cleanCheckout(firstWithPackage, checkout);
    const first = await buildPackage(await home.folder("first"), { checkout });
    const ours = await buildPackage(await home.folder("ours"));
    for (const [name, { archive }] of Object.entries({ older: first, newer: ours })) {
      await must("tar", ["-C", await home.folder(name), "--zstd", "-xf", archive]);
    }
    await use("older");
    bed = await openTestbed({ programs: path.join(current, "usr/bin") });
    pod = await bed.cri.runPod();
    const count = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done";
    const shell = bed.images.shell.reference;
    id = await bed.cri.startContainer(pod, shell, ["sh", "-c", count]);
    pid = await pidOf();
  });
  after(async () => {
    await bed?.[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
  });

  /** As a package's link has it. */
  const use = async (version: "older" | "newer"): Promise<void> => {
    symlinkSync(version, `${current}.new`);
    await rename(`${current}.new`, current);
  };
  const pidOf = async (): Promise<number> => {
    const { info } = await bed.cri.runtime.ContainerStatus({ containerId: id, verbose: true });
    return (JSON.parse(info["info"] ?? "{}") as { pid: number }).pid;
  };
  const numbers = async (): Promise<number[]> =>
    [...(await bed.cri.logOf(id)).matchAll(/line (\d+)$/gm)].map((match) => Number(match[1]));
  const podGoesOn = async (): Promise<void> => {
    assert.equal((await bed.cri.status(id)).state, "CONTAINER_RUNNING");
    assert.equal((await bed.cri.podStatus(pod.id)).state, "SANDBOX_READY");
    assert.equal(await pidOf(), pid);
    assert.equal((await bed.cri.exec(id, ["echo", "there"])).stdout, "there\n");
    const seen = (await numbers()).length;
    await until("its log goes on", async () => (await numbers()).length > seen + 5);
    const all = await numbers();
    assert.deepEqual(
      all,
      all.map((_, index) => index + 1),
    );
  };

  test("the newer daemon is refused beside the older one, and leaves it alone", async () => {
    const program = path.join(home.path, "newer/usr/bin/berthd");
    const second = await run(program, ["serve", "--config", bed.daemon.configFile]);
    assert.notEqual(second.code, 0);
    assert.match(`${second.stdout}${second.stderr}`, /another (process|daemon)/);
    await podGoesOn();
  });

  for (const version of ["newer", "older", "newer"] as const) {
    test(`the ${version} daemon has the pod, its process and its log`, async () => {
      await use(version);
      await bed.daemon.stop();
      await bed.daemon.start();
      await podGoesOn();
    });
  }

  test("the newer daemon removes what the older one made", async () => {
    await bed.cri.removePod(pod.id);
    await bed.daemon.assertCleanEnd();
  });
});
