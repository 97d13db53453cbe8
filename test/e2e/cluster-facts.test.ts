// SPDX-License-Identifier: Apache-2.0
// What a whole daemon tells a cluster of things that take half a minute or that are lost, and what that costs its pods.
import assert from "node:assert/strict";

import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { CoreV1Event } from "@kubernetes/client-node";
import { ScriptedApiServer } from "../support/kube/scripted-api-server.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { type ScriptedCni, scriptCni } from "../support/scripted-cni.ts";
import { scriptedImage, serveImage } from "../support/scripted-registry.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const patience = { timeoutMs: 120_000, everyMs: 200 } as const;

suite("a cluster that is told", { skip: lacking(...podPrograms) }, () => {
  let home: Scratch;
  let server: ScriptedApiServer;
  let cni: ScriptedCni;
  let bed: Testbed;
  let cri: Cri;
  let disk: SmallDisk;
  before(async () => {
    home = await scratch({ prefix: "facts" });
    disk = mountSmallDisk("tmpfs", await home.folder("logs"), { bytes: 1 << 20, image: "" });
    server = await ScriptedApiServer.start();
    const kubeconfig = await server.kubeconfig(home.path);
    cni = await scriptCni(home.path, ["0.4.0", "1.0.0"]);
    const confDir = await home.folder("net.d");
    const network = { cniVersion: "1.0.0", name: "facts", plugins: [{ type: cni.type }] };
    await writeFile(path.join(confDir, "10-facts.conflist"), JSON.stringify(network));
    bed = await openTestbed({
      config: {
        kubernetes: { kubeconfig, node_name: "node-1" },
        cni: { conf_dir: confDir, bin_dirs: [cni.bin] },
      },
    });
    ({ cri } = bed);
  });
  after(async () => {
    await bed?.finish();
    await server?.[Symbol.asyncDispose]();
    disk?.[Symbol.dispose]();
    await home?.[Symbol.asyncDispose]();
  });

  const event = (reason: string, name: string): Promise<CoreV1Event> =>
    until(
      `${reason} is told`,
      () =>
        server.seen
          .map(({ body }) => body as CoreV1Event | undefined)
          .find((one) => one?.reason === reason && one.involvedObject.name === name),
      patience,
    );
  const nameOf = ({ config }: RunningPod): string => config.metadata?.name ?? "";

  test("what a CNI plugin says when it does not let go of a pod", async () => {
    const pod = await cri.runPod();
    await cni.fail("DEL", { code: 11, msg: "the address server is away" });
    await cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
    const { type, message } = await event("NetworkCleanupFailed", nameOf(pod));
    assert.equal(type, "Warning");
    assert.match(message ?? "", /the address server is away/);
    await cni.fail("DEL", undefined);
    await cri.removePod(pod.id);
  });

  test("that lines of a log are lost, and then how much", async () => {
    const pod = await cri.runPod({ logDirectory: disk.target });
    const command = ["sh", "-c", "while :; do echo a line that is written; sleep 0.05; done"];
    const id = await cri.startContainer(pod, bed.images.shell.reference, command, {
      metadata: { name: "talker", attempt: 0 },
    });
    disk.fill();
    const { message } = await event("LogLinesLost", nameOf(pod));
    assert.match(message ?? "", /"talker"/);
    disk.clear();
    // It is the same Event, which counts.
    const counted = await until(
      "how much is told",
      () =>
        server.seen
          .filter(({ method }) => method === "PATCH")
          .map(({ body }) => body as CoreV1Event)
          .find((one) => one.message?.includes("bytes")),
      patience,
    );
    assert.match(counted.message ?? "", /^log lines of container "talker" were lost, \d+ bytes: /);
    assert.equal(counted.count, 2);
    assert.equal((await cri.status(id)).state, "CONTAINER_RUNNING");
    await cri.removePod(pod.id);
  });

  test("at which stage a pod is held up, and how far a slow pull is", async () => {
    const image = await scriptedImage(path.join(home.path, "image"), "slow", 1024);
    let isOpen = false;
    await using registry = await serveImage(image, (request, response) => {
      if (isOpen || request.method !== "GET" || !request.url?.endsWith(image.layer)) return false;
      const bytes = image.blobs.get(image.layer) ?? Buffer.alloc(0);
      response.writeHead(200, { "content-length": bytes.length });
      let at = 0;
      const timer = setInterval(() => {
        const step = isOpen ? bytes.length : 1024;
        response.write(bytes.subarray(at, at + step));
        at += step;
        if (at < bytes.length) return;
        clearInterval(timer);
        response.end();
      }, 500);
      response.once("close", () => clearInterval(timer));
      return true;
    });
    const pod = await cri.runPod();
    const reference = `${registry.host}/slow:1`;
    const pull = cri.images.PullImage({ image: { image: reference }, sandboxConfig: pod.config });
    await cni.hang("ADD", true);
    const metadata = { name: "held-up", namespace: "default", uid: "uid-held-up", attempt: 0 };
    const held = cri.runPod({ metadata });

    const slow = await event("RuntimeStageSlow", "held-up");
    assert.match(slow.message ?? "", /^RunPodSandbox has been at stage "network" for \d+ s$/);
    const far = await event("PullProgress", nameOf(pod));
    assert.equal(far.type, "Normal");
    assert.match(
      far.message ?? "",
      /^pulling image "127\.0\.0\.1:\d+\/slow:1" for \d\d+ s: 0\.\d of \d\.\d MiB, 0 of 1 layers done/,
    );
    await cni.hang("ADD", false);
    isOpen = true;
    await pull;
    await cri.removePod((await held).id);
    await cri.removePod(pod.id);
  });

  test("or does not answer at all: pods start as with one that does", async (t) => {
    const start = async (): Promise<number> => {
      const began = performance.now();
      const pod = await cri.runPod();
      await cri.startContainer(pod, bed.images.shell.reference, ["sleep", "1000"]);
      const took = performance.now() - began;
      await cri.removePod(pod.id);
      return took;
    };
    const median = async (): Promise<number> => {
      const all: number[] = [];
      for (let turn = 0; turn < 3; turn += 1) all.push(await start());
      return all.toSorted((a, b) => a - b)[1] ?? 0;
    };
    await start();
    const answered = await median();
    let unanswered = 0;
    server.answer = () => void (unanswered += 1);
    // Something to tell, so that it waits for the answer while pods start.
    await cni.fail("DEL", { code: 11, msg: "no" });
    const pod = await cri.runPod();
    await cri.runtime.StopPodSandbox({ podSandboxId: pod.id });
    await cni.fail("DEL", undefined);
    await cri.removePod(pod.id);
    await until("it is asked", () => unanswered > 0, patience);
    const hanging = await median();
    t.diagnostic(
      `p50: ${answered.toFixed()} ms with an API server, ${hanging.toFixed()} ms without`,
    );
  });
});
