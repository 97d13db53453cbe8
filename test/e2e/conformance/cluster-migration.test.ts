// SPDX-License-Identifier: Apache-2.0
// A node of a real cluster moves from containerd to Berth and back, cut off at each step.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import type { V1Node, V1PodDisruptionBudget } from "@kubernetes/client-node";
import { onlyChildOf } from "../../support/cluster/box.ts";
import {
  type ClusterClient,
  describePod,
  isReady,
  type NamespacedClient,
  patience,
} from "../../support/cluster/client.ts";
import { type Cluster, clusterPrograms, openCluster } from "../../support/cluster/cluster.ts";
import { deployment, pod, template, webContainer } from "../../support/cluster/manifests.ts";
import type { ClusterNode } from "../../support/cluster/node.ts";
import { openServiceHook, type ServiceHook } from "../../support/cluster/service-hook.ts";
import { tellFailures } from "../../support/cluster/tell-failures.ts";
import { toolOrReason } from "../../support/go-tools.ts";
import { until } from "../../support/until.ts";

const program = path.resolve(import.meta.dirname, "../../../bin/berth");
const programs = await clusterPrograms();
const daemon = await toolOrReason("containerd-2.4");
const shim = await toolOrReason("containerd-shim-runc-v2-2.4");
const skip = "skip" in programs ? programs.skip : daemon.skip || shim.skip;

interface Ending {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

suite("a node that changes its runtime", { skip }, () => {
  let cluster: Cluster;
  let node: ClusterNode;
  let hook: ServiceHook;
  let own: NamespacedClient;
  let client: ClusterClient;
  let admin: string;
  /** What fails of what the services are asked. */
  let failing = "";

  const services = async (words: string): Promise<number> => {
    if (failing !== "" && words.startsWith(failing)) return 1;
    switch (words) {
      case "stop kubelet":
        await node.kubelet.stop();
        return 0;
      case "restart kubelet":
        await node.kubelet.stop();
        await node.kubelet.start();
        return 0;
      case "disable --now containerd":
        await node.containerd!.stop();
        return 0;
      case "enable --now containerd":
        await node.containerd!.stop();
        await node.containerd!.start();
        return 0;
      default:
        return 3;
    }
  };

  before(async () => {
    if ("skip" in programs || daemon.skip !== false || shim.skip !== false) return;
    const containerd = { daemon: daemon.path, shim: shim.path };
    cluster = await openCluster(programs, { containerd });
    node = cluster.nodes[0];
    hook = await openServiceHook(path.join(cluster.folder, "services"), services);
    admin = await cluster.credentials.kubeconfig("operator", "system:masters");
    own = await cluster.client.inNamespace("moving");
    client = own.client;
    await client.create(
      deployment("web", 2, { containers: [webContainer(cluster.images.shell)] }),
      {
        apiVersion: "apps/v1",
        kind: "DaemonSet",
        metadata: { name: "each" },
        spec: {
          selector: { matchLabels: { app: "each" } },
          template: template("each", { containers: [webContainer(cluster.images.shell)] }),
        },
      } as object,
      budget("web", 1),
    );
    await client.readyPods("app=each", 2);
    await oneIsHere();
  });
  after(async () => {
    await own?.[Symbol.asyncDispose]();
    await hook?.[Symbol.asyncDispose]();
    await cluster?.finish();
  });
  tellFailures(() => cluster?.client);

  /** Runs `berth migrate` on the node; killed as soon as it prints a line that begins so. */
  async function migrate(
    args: readonly string[],
    killedAt?: string,
    signal: NodeJS.Signals = "SIGKILL",
  ): Promise<Ending> {
    const [first = "", ...rest] = node.box.inside([
      program,
      "migrate",
      "--node",
      node.name,
      `--kubeconfig=${admin}`,
      `--service-command=${hook.file}`,
      ...args,
    ]);
    const child = spawn(first, rest, { stdio: ["ignore", "pipe", "pipe"], cwd: "/" });
    let stdout = "";
    let stderr = "";
    child.stderr.on("data", (piece: Buffer) => (stderr += piece.toString()));
    let isKilled = false;
    child.stdout.on("data", (piece: Buffer) => {
      stdout += piece.toString();
      const isThere =
        killedAt !== undefined && !isKilled && new RegExp(`^${killedAt}: `, "m").test(stdout);
      const pid = isThere ? onlyChildOf(child) : undefined;
      if (pid === undefined) return;
      isKilled = true;
      process.kill(pid, signal);
    });
    const [code] = (await once(child, "close")) as [number | null];
    return { code, stdout, stderr };
  }

  const nodeNow = (): Promise<V1Node> => cluster.client.core.readNode({ name: node.name });
  const runtimeNow = async (): Promise<string> =>
    (await nodeNow()).status?.nodeInfo?.containerRuntimeVersion ?? "";
  const isCordoned = async (): Promise<boolean> => (await nodeNow()).spec?.unschedulable === true;

  /** Left as it was: not cordoned, no service asked for, its pods where they were. */
  async function untouched(): Promise<void> {
    assert.equal(await isCordoned(), false);
    assert.match(await runtimeNow(), /^containerd:/);
    assert.deepEqual(
      hook.asked.filter((words) => !words.startsWith("is-active")),
      [],
    );
    // While the API server or the runtime was away they may have been taken for lost.
    await client.readyPods("app=web", 2);
  }

  /** Has the scheduler, which only prefers to spread pods, put one of the two on the node. */
  async function oneIsHere(): Promise<void> {
    await until(
      "a pod of web is on the node",
      async () => {
        const pods = await client.readyPods("app=web", 2);
        if (pods.some(({ spec }) => spec?.nodeName === node.name)) return true;
        const name = pods[0]?.metadata?.name ?? "";
        await client.core.deleteNamespacedPod({ name, namespace: client.namespace });
        return false;
      },
      patience,
    );
  }

  async function runsOn(scheme: string): Promise<void> {
    assert.equal(await isCordoned(), false);
    // A kubelet that has just begun may not have told yet what became of its pods.
    await until(
      `the node's pod is of ${scheme}`,
      async () => {
        const pods = await client.readyPods("app=each", 2);
        const here = pods.find(({ spec }) => spec?.nodeName === node.name);
        const id = here?.status?.containerStatuses?.[0]?.containerID ?? "";
        assert.ok(id.startsWith(scheme), `${id}: ${pods.map(describePod).join()}`);
        return true;
      },
      patience,
    );
    // A pod can come here, is reached, and can be asked to do something.
    const name = `try-${scheme.slice(0, 5)}`;
    await client.create(
      pod(name, { nodeName: node.name, containers: [webContainer(cluster.images.shell)] }),
    );
    await until("a pod runs", async () => isReady(await client.pod(name)), patience);
    assert.equal(await client.must(name, "hostname"), `${name}\n`);
    await client.core.deleteNamespacedPod({ name, namespace: client.namespace });
    await until(
      "it is gone",
      () =>
        client.pod(name).then(
          () => undefined,
          () => true,
        ),
      patience,
    );
    await client.readyPods("app=web", 2);
  }

  test("a plan changes nothing", async () => {
    const { code, stdout, stderr } = await migrate(["--dry-run"]);
    assert.deepEqual([code, stderr], [0, ""], stdout + stderr);
    assert.match(stdout, /^would: cordon node-a$/m);
    assert.match(stdout, /^ {2}evict moving\/web-/m);
    assert.match(
      stdout,
      /kubelet\.json: containerRuntimeEndpoint unix:\/\/\/run\/berthd\/berthd\.sock$/m,
    );
    await untouched();
  });

  test("one that must not be touched is left as it was", async () => {
    const other = await migrate(["--node", cluster.nodes[1].name]);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /node node-b is not this machine/);
    assert.match((await migrate(["--node", "nowhere"])).stderr, /there is no node "nowhere"/);

    const stranger = await cluster.credentials.kubeconfig("stranger");
    const without = await migrate(["--kubeconfig", stranger]);
    assert.equal(without.code, 1);
    assert.match(without.stderr, /forbidden/);

    await client.create(
      pod("alone", { nodeName: node.name, containers: [webContainer(cluster.images.shell)] }),
    );
    await client.readyPods("app=web", 2);
    const alone = await migrate([]);
    assert.equal(alone.code, 1);
    assert.match(alone.stderr, /moving\/alone: no controller makes them again/);
    await client.core.deleteNamespacedPod({ name: "alone", namespace: client.namespace });
    await until(
      "it is gone",
      () =>
        client.pod("alone").then(
          () => undefined,
          () => true,
        ),
      patience,
    );
    await untouched();
  });

  test("a runtime that does not answer is told before anything is done", async () => {
    await node.containerd!.stop();
    const { code, stderr } = await migrate(["--dry-run"]);
    await node.containerd!.start();
    assert.equal(code, 1);
    assert.match(
      stderr,
      /the runtime that the kubelet uses does not answer on \S+containerd\.sock/,
    );
    await until(
      "its pods are there",
      async () => (await client.readyPods("app=web", 2)).length > 0,
      patience,
    );
    await untouched();
  });

  test("^C says how to go on, and back", async () => {
    const { code, stderr } = await migrate([], "drain", "SIGINT");
    assert.equal(code, 130, stderr);
    assert.match(
      stderr,
      /^berth: ended in the step drain\nberth: to go on: berth migrate .*; to undo: .* --back$/m,
    );
    const back = await migrate(["--back"]);
    assert.deepEqual([back.code, back.stderr], [0, ""], back.stdout);
    await client.readyPods("app=web", 2);
  });

  test("an API server that is away leaves it as it was", async () => {
    await cluster.controlPlane.apiServer.stop();
    const { code, stdout, stderr } = await migrate(["--api-timeout", "3s"]);
    await cluster.controlPlane.apiServer.start();
    assert.equal(code, 1, stdout);
    assert.match(stderr, /the API server does not give node node-a: unreachable/);
    await untouched();
  });

  test("a budget that never lets go ends the drain, and --back lifts the cordon", async () => {
    // ^C may have come when the drain had evicted it.
    await oneIsHere();
    await using undo = new AsyncDisposableStack();
    undo.defer(async () => void (await client.objects.patch(budget("web", 1))));
    await client.objects.patch(budget("web", 2));
    // The controller comes back late after the API server has been away.
    await until(
      "the budget counts",
      async () => {
        const { metadata, status } = await client.objects.read<V1PodDisruptionBudget>({
          apiVersion: "policy/v1",
          kind: "PodDisruptionBudget",
          metadata: { name: "web" },
        });
        return status?.observedGeneration === metadata?.generation;
      },
      patience,
    );
    const held = await migrate(["--drain-timeout", "12s"]);
    assert.equal(held.code, 1, held.stdout);
    assert.match(
      held.stderr,
      /drain: after 12 s there are still pods on node-a: moving\/web-\S+ \(429: .*disruption budget/,
    );
    assert.match(
      held.stderr,
      /to undo: berth migrate --node node-a --drain-timeout 12s --service-command \S+ --kubeconfig \S+ --back$/m,
    );
    assert.match(
      held.stdout,
      /^waiting: moving\/web-\S+: 429: .* The disruption budget web needs 2 healthy pods/m,
    );
    assert.equal(await isCordoned(), true);
    const back = await migrate(["--back"]);
    assert.deepEqual([back.code, back.stderr], [0, ""], back.stdout);
    await untouched();
  });

  test("comes to Berth, killed at every step", async (t) => {
    const steps =
      "images cordon drain stop-kubelet remove-pods settings runtime start-kubelet check uncordon";
    let whole: Ending | undefined;
    for (const step of steps.split(" ")) {
      const ending = await migrate([], step);
      assert.match(ending.stdout, new RegExp(`^${step}: `, "m"), ending.stderr);
      if (ending.code !== 0) continue;
      // What is left to do then is so little that it may be over before the kill has come.
      assert.ok(["check", "uncordon"].includes(step), `${step}: ${ending.stdout}`);
      t.diagnostic(`over before it was killed at ${step}`);
      whole = ending;
      break;
    }
    const { code, stdout, stderr } = whole ?? (await migrate([]));
    assert.deepEqual([code, stderr], [0, ""], stdout);
    assert.match(stdout, /^node-a uses Berth; back: berth migrate --node node-a .* --back$/m);
    assert.match(await runtimeNow(), /^berth:/);
    await runsOn("berth://");
    const again = await migrate([]);
    assert.deepEqual([again.code, again.stdout], [0, "node-a uses Berth already\n"], again.stderr);
  });

  test("and back, killed at every step, and turned round in between", async () => {
    for (const step of "cordon drain stop-kubelet remove-pods settings".split(" ")) {
      const { stdout } = await migrate(["--back"], step);
      assert.match(stdout, new RegExp(`^${step}: `, "m"));
    }
    // To Berth after all.
    const round = await migrate([]);
    assert.deepEqual([round.code, round.stderr], [0, ""], round.stdout);
    await runsOn("berth://");
    for (const step of "drain runtime start-kubelet check uncordon".split(" ")) {
      const { stdout } = await migrate(["--back"], step);
      assert.match(stdout, new RegExp(`^${step}: `, "m"));
    }
    const { code, stdout, stderr } = await migrate(["--back"]);
    assert.deepEqual([code, stderr], [0, ""], stdout);
    await runsOn("containerd://");
    const again = await migrate(["--back"]);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /^node-a is back already, on containerd:\/\//m);
  });

  test("a service that does not start ends it, and the same command goes on", async () => {
    failing = "restart kubelet";
    const failed = await migrate([]);
    assert.equal(failed.code, 1, failed.stdout);
    assert.match(failed.stderr, /start-kubelet: .*exited with 1/);
    failing = "";
    await cluster.controlPlane.apiServer.stop();
    const going = migrate([]);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await cluster.controlPlane.apiServer.start();
    const { code, stdout, stderr } = await going;
    assert.deepEqual([code, stderr], [0, ""], stdout);
    await runsOn("berth://");
    const journal = await readFile(node.box.seen("/var/lib/berthd/migration.json"), "utf8");
    assert.equal((JSON.parse(journal) as { isOver: boolean }).isOver, true);
  });
});

function budget(app: string, minAvailable: number): V1PodDisruptionBudget {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: app },
    spec: { minAvailable, selector: { matchLabels: { app } } },
  };
}
