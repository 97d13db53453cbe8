// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri } from "../support/pods.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

/** Counts in memory and to a file: what a restored one goes on with. */
const counting = [
  "sh",
  "-c",
  "i=0; while :; do i=$((i+1)); echo $i > /count; echo $i; sleep 0.1; done",
];

suite("CheckpointContainer", { skip: lacking(...podPrograms, "criu") }, () => {
  let bed: Testbed;
  let cri: Cri;
  before(async () => {
    bed = await openTestbed({ config: { cri: { restore_checkpoints: true } } });
    ({ cri } = bed);
  });
  after(() => bed?.finish());

  /** The shell empties the file before it writes it. */
  const count = (id: string): Promise<number> =>
    until("the count is written", async () =>
      Number((await cri.exec(id, ["cat", "/count"])).stdout),
    );

  test("makes an archive that a container goes on from, or tells CRIU's reason", async (t) => {
    const pod = await cri.runPod();
    const containerId = await cri.startContainer(pod, bed.images.shell.reference, counting);
    await until("it counts", async () => (await count(containerId)) > 3);
    const location = path.join(bed.folder, "checkpoint.tar");
    try {
      await cri.runtime.CheckpointContainer({ containerId, location, timeout: 60n });
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      assert.equal(code, "FAILED_PRECONDITION", message);
      assert.match(message, /criu/i);
      assert.deepEqual(await readdir(bed.folder), [], "no archive, whole or partial");
      await stillCounts(containerId);
      return t.skip(`CRIU cannot checkpoint here: ${message}`);
    }
    await stillCounts(containerId);
    const reached = await count(containerId);
    await cri.removePod(pod.id);

    const other = await cri.runPod();
    const restored = await cri.createContainer(other, location, counting);
    await rm(location);
    await cri.runtime.StartContainer({ containerId: restored });
    await stillCounts(restored);
    assert.ok((await count(restored)) > 3, `it goes on from where it was, at most ${reached}`);
    const [first = ""] = (await cri.logOf(restored)).split("\n");
    assert.ok(Number(first.split(" ").at(-1)) > 3, `its log goes on too: ${first}`);
    await cri.runtime.StopContainer({ containerId: restored, timeout: 0n });
    assert.equal((await cri.status(restored)).exitCode, 137);
    await cri.removePod(other.id);
  });

  const stillCounts = async (id: string): Promise<void> => {
    const before = await count(id);
    await until("it goes on", async () => (await count(id)) > before);
  };
});
