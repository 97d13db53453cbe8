// SPDX-License-Identifier: Apache-2.0
// What a cluster is told of pods, and that no pod waits for it, in front of an API server that does as it is told.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, suite, test } from "node:test";
import type { CoreV1Event, V1NodeCondition } from "@kubernetes/client-node";
import { good, ScriptedApiServer } from "../support/kube/scripted-api-server.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri } from "../support/pods.ts";
import { shimsOf } from "../support/processes.ts";
import { type Scratch, scratch } from "../support/scratch.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

const patience = { timeoutMs: 90_000, everyMs: 200 } as const;

suite("a cluster that is told what befalls pods", { skip: lacking(...podPrograms) }, () => {
  let home: Scratch;
  let server: ScriptedApiServer;
  let bed: Testbed;
  let cri: Cri;
  before(async () => {
    home = await scratch({ prefix: "cluster" });
    server = await ScriptedApiServer.start();
    const kubeconfig = await server.kubeconfig(home.path);
    bed = await openTestbed({ config: { kubernetes: { kubeconfig, node_name: "node-1" } } });
    ({ cri } = bed);
  });
  after(async () => {
    await bed?.finish();
    await server?.[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
  });

  const event = (reason: string, name: string): Promise<CoreV1Event> =>
    until(
      `${reason} is told`,
      () =>
        server.seen
          .filter(({ method }) => method === "POST")
          .map(({ body }) => body as CoreV1Event)
          .find((one) => one.reason === reason && one.involvedObject.name === name),
      patience,
    );
  const status = async (): Promise<Record<string, string>> =>
    (await cri.runtime.Status({ verbose: true })).info;

  test("learns of a process that is killed for want of memory while its container lives", async () => {
    const pod = await cri.runPod();
    const command = ["sh", "-c", "while :; do (tail /dev/zero >/dev/null); sleep 1; done"];
    const id = await cri.startContainer(pod, bed.images.shell.reference, command, {
      metadata: { name: "hungry", attempt: 0 },
      linux: { resources: { memoryLimitInBytes: 20n << 20n } },
    });
    const name = pod.config.metadata?.name ?? "";
    const { message, involvedObject, source, type } = await event("ProcessOOMKilled", name);
    assert.equal(
      message,
      'a process in container "hungry" was killed for want of memory, and the container goes on',
    );
    assert.deepEqual([type, source], ["Warning", { component: "berthd", host: "node-1" }]);
    assert.equal(involvedObject.uid, pod.config.metadata?.uid);
    assert.equal((await cri.status(id)).state, "CONTAINER_RUNNING");
    await cri.runtime.RemovePodSandbox({ podSandboxId: pod.id });
  });

  test("learns of a shim that died, and that no stage hangs", async () => {
    const pod = await cri.runPod();
    await cri.startContainer(pod, bed.images.shell.reference, ["sleep", "1000"]);
    for (const { pid } of shimsOf(bed.daemon.socket)) process.kill(pid, "SIGKILL");
    const { message } = await event("ShimDied", pod.config.metadata?.name ?? "");
    assert.match(message ?? "", /^the shim of the pod has died \(pid \d+\)/);
    // Events that come again are PATCHes, too.
    const patch = await until(
      "the node's condition is told",
      () =>
        server.seen.find(
          ({ method, path: at }) => method === "PATCH" && at === "/api/v1/nodes/node-1/status",
        ),
      patience,
    );
    const body = patch.body as { status: { conditions: V1NodeCondition[] } } | undefined;
    const [condition] = body?.status.conditions ?? [];
    assert.deepEqual([condition?.type, condition?.status], ["RuntimeDegraded", "False"]);
    await cri.runtime.RemovePodSandbox({ podSandboxId: pod.id });
  });

  test("holds up no pod when it hangs, and is told off by a reload", async () => {
    server.answer = () => {};
    const moved = await server.kubeconfig(await home.folder("moved"), { token: "other" });
    const text = await readFile(bed.daemon.configFile, "utf8");
    await writeFile(bed.daemon.configFile, text.replace(`${home.path}/kubeconfig`, moved));
    process.kill(bed.daemon.pid(), "SIGHUP");
    await until(
      "it is asked",
      () => server.seen.at(-1)?.headers.authorization?.endsWith("other"),
      patience,
    );
    const pod = await cri.runPod();
    await cri.startContainer(pod, bed.images.shell.reference, ["sleep", "1000"]);
    await cri.runtime.RemovePodSandbox({ podSandboxId: pod.id });
    const problem = await until(
      "Status tells",
      async () =>
        (JSON.parse((await status())["cluster"] ?? "null") as { problem?: { kind: string } })
          ?.problem,
      patience,
    );
    assert.equal(problem.kind, "late");
    const metrics = await (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text();
    assert.match(metrics, /^berth_kubernetes_failing 1$/m);
    assert.match(metrics, /^berth_pod_facts_total\{kind="ShimDied"\} 1$/m);
    server.answer = good;
    await writeFile(bed.daemon.configFile, text.replace(`${home.path}/kubeconfig`, ""));
    process.kill(bed.daemon.pid(), "SIGHUP");
    await until("it is off", async () => (await status())["cluster"] === "null", patience);
  });
});
