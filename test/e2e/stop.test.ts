// SPDX-License-Identifier: Apache-2.0
// A daemon that is told to stop while it has all that may hold it up: streams that never end, an exec, a pull whose registry
// says no more.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri } from "../support/pods.ts";
import { digestIn, scriptedImage, serveImage } from "../support/scripted-registry.ts";
import { LiveProgram } from "../support/streaming/live-program.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const berth = path.resolve(import.meta.dirname, "../../bin/berth");
const talking = ["sh", "-c", "while :; do echo tick; sleep 0.1; done"];

suite("the stop of a busy daemon", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
  });
  after(() => bed?.finish());

  const live = (...words: readonly string[]): LiveProgram =>
    new LiveProgram(berth, ["-a", bed.daemon.socket, ...words]);

  test("it ends by itself with streams, execs and a pull under way, and its pods go on", async (t) => {
    const pod = await cri.runPod();
    const id = await cri.startContainer(pod, bed.images.shell.reference, talking);
    const other = await cri.runPod();
    await cri.startContainer(other, bed.images.shell.reference, talking);

    let told = 0;
    const events = bed.daemon.client("containerd.services.events.v1.Events");
    const ends = [cri.runtime.GetContainerEvents({}), events.Subscribe({ filters: [] })].map(
      (stream) =>
        outcome(async () => {
          for await (const _event of stream) told += 1;
        }),
    );
    await using log = live("logs", "-f", id);
    await using exec = live("exec", "-i", id, "cat");
    exec.write("here\n");
    ends.push(outcome(() => cri.exec(id, ["sh", "-c", "echo begun >/began; sleep 100000"], 0)));
    const large = await scriptedImage(path.join(bed.folder, "image"), "held", 512);
    const layer = large.blobs.get(large.layer) ?? Buffer.alloc(0);
    let held = 0;
    await using registry = await serveImage(large, (request, response) => {
      if (request.method !== "GET" || digestIn(request) !== large.layer) return false;
      held += 1;
      response.writeHead(200, { "content-length": layer.length });
      response.write(layer.subarray(0, layer.length / 2));
      return true;
    });
    const reference = `${registry.host}/held:1`;
    ends.push(outcome(() => cri.images.PullImage({ image: { image: reference } })));
    await log.says(/tick/);
    await exec.says(/here/);
    await until("the exec has begun", async () => {
      return (await cri.exec(id, ["cat", "/began"])).stdout === "begun\n";
    });
    await until("the registry is asked for the layer", () => held > 0);
    await until("events are told", async () => {
      const image = bed.images.shell.reference;
      const containerId = await cri.createContainer(pod, image, ["true"]);
      await cri.runtime.RemoveContainer({ containerId });
      return told > 1;
    });

    // One that does not end is killed after a while, and has no exit code then.
    assert.equal(await bed.daemon.stop(), 0);
    const lines = await bed.daemon.logLines();
    const at = (msg: string) => lines.find((line) => line["msg"] === msg)?.["time"];
    t.diagnostic(
      `told at ${String(at("berthd is stopping; pods keep running"))}, ended at ${String(at("berthd has stopped"))}`,
    );
    assert.ok(at("berthd has stopped"), "its log has its end");
    assert.equal(at("something kept the process alive"), undefined);
    // Each call has an answer: none waits for a daemon that is gone.
    await Promise.all(ends);

    await bed.daemon.start();
    assert.equal((await cri.status(id)).state, "CONTAINER_RUNNING");
    assert.equal((await cri.exec(id, ["echo", "again"])).stdout, "again\n");
  });
});

/** How it ends is not asked here: an end, or a failure that names one. */
async function outcome(work: () => Promise<unknown>): Promise<void> {
  await work().catch(() => {});
}
