// SPDX-License-Identifier: Apache-2.0
// A kubeadm node under systemd moves from containerd to Berth and back by the commands that are printed, and is cut off at
// each step. What a move does to the cluster is cluster-migration.test.ts's.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { V1Node } from "@kubernetes/client-node";
import { onlyChildOf } from "../../support/cluster/box.ts";
import { isReady, patience } from "../../support/cluster/client.ts";
import { clusterPrograms } from "../../support/cluster/cluster.ts";
import { type KubeadmCluster, openKubeadmCluster } from "../../support/cluster/kubeadm-cluster.ts";
import {
  instanceYaml,
  type KubeadmNode,
  kubeadmDropIn,
  kubeletYaml,
  packagedDropIn,
} from "../../support/cluster/kubeadm-node.ts";
import { deployment, template, webContainer } from "../../support/cluster/manifests.ts";
import { lackingSystemd } from "../../support/cluster/systemd-box.ts";
import { tellFailures } from "../../support/cluster/tell-failures.ts";
import { toolOrReason } from "../../support/go-tools.ts";
import { until } from "../../support/until.ts";

const bin = path.resolve(import.meta.dirname, "../../../bin");
const annotation = "kubeadm.alpha.kubernetes.io/cri-socket";
const ours = "unix:///run/berthd/berthd.sock";
const theirs = "unix:///run/containerd/containerd.sock";
const zz = "/etc/systemd/system/kubelet.service.d/zz-berth.conf";

const systemd = lackingSystemd();
const programs = systemd === false ? await clusterPrograms() : { skip: systemd };
const daemon = await toolOrReason("containerd-2.4");
const shim = await toolOrReason("containerd-shim-runc-v2-2.4");
const skip = "skip" in programs ? programs.skip : daemon.skip || shim.skip;

interface Cut {
  /** The step at whose line it is killed. */
  readonly at: string;
  /** So much later, in the middle of what the step does. */
  readonly afterMs?: number;
  readonly signal?: NodeJS.Signals;
}

suite("a node of systemd's that changes its runtime", { skip }, () => {
  let cluster: KubeadmCluster;
  let node: KubeadmNode;

  before(async () => {
    if ("skip" in programs || daemon.skip !== false || shim.skip !== false) return;
    cluster = await openKubeadmCluster(programs, { daemon: daemon.path, shim: shim.path });
    node = cluster.node;
    const { client, images } = cluster;
    await client.objects.patch({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: node.box.name, annotations: { [annotation]: theirs } },
    });
    const containers = [webContainer(images.shell)];
    const selector = { matchLabels: { app: "each" } };
    const each = { selector, template: template("each", { containers }) };
    const daemonSet = { apiVersion: "apps/v1", kind: "DaemonSet", metadata: { name: "each" } };
    await client.create(deployment("web", 1, { containers }), {
      ...daemonSet,
      spec: each,
    } as object);
    await runsOn("containerd://");
  });
  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });
  tellFailures(() => cluster?.client);

  /** Runs it as root of the node would, who has no $KUBECONFIG; killed where it is cut off. */
  async function type(command: string, cut?: Cut) {
    const env = ["env", "-u", "KUBECONFIG", `PATH=${bin}:${process.env["PATH"]}`];
    const [first = "", ...rest] = node.box.inside([...env, "sh", "-c", `exec ${command}`]);
    const child = spawn(first, rest, { stdio: ["ignore", "pipe", "pipe"], cwd: "/" });
    let stdout = "";
    let stderr = "";
    let killing: Promise<void> | undefined;
    const kill = async ({ afterMs = 0, signal = "SIGKILL" }: Cut): Promise<void> => {
      await sleep(afterMs);
      const pid = onlyChildOf(child);
      if (pid !== undefined) process.kill(pid, signal);
    };
    child.stderr.on("data", (piece: Buffer) => (stderr += piece.toString()));
    child.stdout.on("data", (piece: Buffer) => {
      stdout += piece.toString();
      if (cut !== undefined && new RegExp(`^${cut.at}: `, "m").test(stdout)) killing ??= kill(cut);
    });
    const [code] = (await once(child, "close")) as [number | null];
    await killing;
    return { code, stdout, stderr };
  }

  /** Cuts it off at each of these steps, then runs it to its end; answers what it said last. */
  async function typeAndCut(command: string, cuts: readonly Cut[]): Promise<string> {
    for (const [index, cut] of cuts.entries()) {
      const { code, stdout, stderr } = await type(command, cut);
      // What some steps do is so little that it may be over before the kill has come to the one before.
      if (/^\S+ (uses Berth|is back) already\b/.test(stdout)) return stdout;
      const [, done = ""] = /^going on after (\S+)$/m.exec(stdout) ?? [];
      const isOver = cuts.slice(index).some(({ at }) => at === done);
      if (!isOver) assert.match(stdout, new RegExp(`^${cut.at}: `, "m"), stderr);
      if (code === 0) return stdout;
    }
    return whole(command);
  }

  async function whole(command: string): Promise<string> {
    const { code, stdout, stderr } = await type(command);
    assert.deepEqual([code, stderr], [0, ""], `${command}: ${stdout}`);
    return stdout;
  }

  const nodeNow = (): Promise<V1Node> => cluster.client.core.readNode({ name: node.box.name });

  async function runsOn(scheme: string): Promise<void> {
    await until(
      `the pods are of ${scheme}`,
      async () => {
        const pods = await cluster.client.pods("app in (web, each)");
        const ids = pods.map(({ status }) => status?.containerStatuses?.[0]?.containerID ?? "");
        const isSo = pods.every(isReady) && ids.every((id) => id.startsWith(scheme));
        assert.ok(pods.length === 2 && isSo, ids.join());
        return true;
      },
      patience,
    );
  }

  /** What systemd and the cluster hold of the node once it has moved. */
  async function isOf(runtime: "berth" | "containerd"): Promise<void> {
    const { spec, status, metadata } = await nodeNow();
    assert.equal(spec?.unschedulable, undefined);
    assert.match(status?.nodeInfo?.containerRuntimeVersion ?? "", new RegExp(`^${runtime}://`));
    const isOurs = runtime === "berth";
    assert.equal(metadata?.annotations?.[annotation], isOurs ? ours : theirs);
    const units = await Promise.all(["kubelet", "berthd", "containerd"].map(node.unit));
    const running = "active enabled";
    assert.deepEqual(units, [running, running, isOurs ? "inactive disabled" : running]);
    await runsOn(`${runtime}://`);
  }

  const each = ["stop-kubelet", "remove-pods", "settings", "runtime", "start-kubelet", "check"];

  test("comes to Berth, killed at every step, and back by what it prints", async () => {
    const files = [kubeletYaml, instanceYaml];
    const before = await Promise.all(files.map(node.read));
    const there = `berth migrate --node ${node.box.name}`;
    const steps = ["images", "cordon", "drain", ...each, "annotate", "uncordon"];
    const told = await typeAndCut(
      there,
      steps.map((at) => ({ at })),
    );
    await isOf("berth");
    for (const file of files) assert.ok((await node.read(file)).includes(ours), file);
    const back =
      /^node-a uses Berth; back: (berth migrate .*)$/m.exec(told)?.[1] ?? `${there} --back`;
    await typeAndCut(
      back,
      ["cordon", "drain", ...each, "annotate", "uncordon"].map((at) => ({ at, afterMs: 60 })),
    );
    await isOf("containerd");
    assert.deepEqual(await Promise.all(files.map(node.read)), before);
  });

  test("is cut off, and undone or taken up again, by what it prints then", async () => {
    const there = `berth migrate --node ${node.box.name}`;
    let command = there;
    // Each turns round: to Berth, back, to Berth after all.
    for (const at of ["drain", "remove-pods", "settings"]) {
      const { code, stderr, stdout } = await type(command, { at, signal: "SIGTERM" });
      assert.equal(code, 143, stdout);
      const ways = /^berth: to go on: (.*); to (?:undo|go to Berth after all): (.*)$/m.exec(stderr);
      assert.ok(ways, stderr);
      const [, on = "", other = ""] = ways;
      await type(on, { at: "stop-kubelet" });
      // A reboot would start it.
      await node.box.must("systemctl", ["start", "kubelet"]);
      await whole(other);
      command = other.endsWith("--back") ? there : `${there} --back`;
      await isOf(command === there ? "containerd" : "berth");
    }
    if (command !== there) await whole(command);
    await isOf("containerd");
  });

  test("has its flag in the package's unit, and gets it by a drop-in that systemd reads", async () => {
    const flagged = kubeadmDropIn(
      (programs as { kubelet: string }).kubelet,
      ` --container-runtime-endpoint=${theirs}`,
    );
    await writeFile(node.box.seen(packagedDropIn), flagged);
    await node.box.must("systemctl", ["daemon-reload"]);
    await node.box.must("systemctl", ["restart", "kubelet"]);
    const there = `berth migrate --node ${node.box.name}`;
    const told = await typeAndCut(there, [
      { at: "settings" },
      { at: "settings", afterMs: 30 },
      { at: "runtime" },
    ]);
    await isOf("berth");
    assert.equal(await node.read(packagedDropIn), flagged);
    assert.match(await node.read(zz), /--container-runtime-endpoint=unix:\/\/\/run\/berthd/);
    const back =
      /^node-a uses Berth; back: (berth migrate .*)$/m.exec(told)?.[1] ?? `${there} --back`;
    await typeAndCut(back, [{ at: "settings" }, { at: "start-kubelet" }]);
    await isOf("containerd");
    await assert.rejects(node.read(zz), { code: "ENOENT" });
  });
});
