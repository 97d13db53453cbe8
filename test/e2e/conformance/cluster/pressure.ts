// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { statfs } from "node:fs/promises";
import { after, before, suite, test } from "node:test";
import type { V1Pod } from "@kubernetes/client-node";
import {
  type ClusterClient,
  describePod,
  type NamespacedClient,
  patience,
} from "../../../support/cluster/client.ts";
import type { Cluster } from "../../../support/cluster/cluster.ts";
import { registryName } from "../../../support/cluster/image-source.ts";
import { deployment, pod, shellContainer } from "../../../support/cluster/manifests.ts";
import { until } from "../../../support/until.ts";

const mebibyte = 1 << 20;
const largeBytes = 40 * mebibyte;
/** By hand: what else takes and gives back memory on the machine is in the kubelet's figures, and on a busy one it takes its time. */
const isWanted = process.env["BERTH_TEST_CLUSTER_PRESSURE"] === "1";

/** What kubelets do when memory or the images' disk runs short, by the figures that Berth gives them. */
export function pressure(cluster: () => Cluster): void {
  if (!isWanted) return;
  suite("a node under pressure", () => {
    let own: NamespacedClient;
    let client: ClusterClient;
    before(async () => {
      own = await cluster().client.inNamespace("pressure");
      client = own.client;
    });
    after(() => own?.[Symbol.asyncDispose]());

    const isWell = async (node: string): Promise<boolean> => {
      const { spec } = await client.core.readNode({ name: node });
      const conditions = ["MemoryPressure", "DiskPressure"];
      const holding = await Promise.all(conditions.map((it) => client.nodeHas(node, it)));
      return !holding.includes(true) && (spec?.taints ?? []).length === 0;
    };

    test("memory runs short: who took it is evicted, and its pod comes back once there is enough", async () => {
      const [node] = cluster().nodes;
      // As the kubelet counts: what others on this machine read lately is not available to it.
      const { availableBytes } = (await client.figures(node.name)).node.memory;
      const margin = 600 * mebibyte;
      const piece = margin / 10;
      await using _ = await node.withKubelet({
        evictionHard: { "memory.available": String(availableBytes - margin) },
      });
      const spec = {
        nodeSelector: { "kubernetes.io/hostname": node.name },
        containers: [
          shellContainer(cluster().images.shell, "sleep 100000", {
            volumeMounts: [{ name: "memory", mountPath: "/memory" }],
          }),
        ],
        volumes: [{ name: "memory", emptyDir: { medium: "Memory" } }],
      };
      await client.create(
        deployment("hungry", 1, spec),
        pod("modest", { nodeName: node.name, containers: spec.containers, volumes: spec.volumes }),
      );
      const [hungry] = await client.readyPods("app=hungry", 1);
      const name = hungry?.metadata?.name ?? "";
      // Others may give memory back meanwhile: more is eaten until the pod is evicted, twice the margin at most.
      const eating = client
        .exec(name, [
          "sh",
          "-c",
          `for _ in $(seq 20); do head -c ${piece} /dev/zero >>/memory/meal; sleep 2; done`,
        ])
        .catch(() => {});
      await until("the node tells it", () => client.nodeHas(node.name, "MemoryPressure"), patience);
      const evicted = await until(
        "it is evicted",
        async () => {
          const found = await client.pod(name);
          return found.status?.reason === "Evicted" && found;
        },
        patience,
      );
      await eating;
      const { status } = evicted;
      assert.match(status?.message ?? "", /^The node was low on resource: memory\. /);
      const message = status?.message ?? "";
      const [, used] = /Container main was using (\d+)Ki, request is 0/.exec(message) ?? [];
      assert.ok(Number(used) * 1024 > piece, message);
      await until("the node is well again", () => isWell(node.name), patience);
      const again = await until(
        "another takes its place",
        async () => {
          const pods = await client.pods("app=hungry");
          return pods.find((it) => it.metadata?.name !== name && isRunning(it));
        },
        patience,
      );
      assert.equal(again.spec?.nodeName, node.name);
      const modest = await client.pod("modest");
      assert.ok(isRunning(modest), describePod(modest));
    });

    const images = async (): Promise<string[]> => {
      const cri = cluster().nodes[1].peer.client("runtime.v1.ImageService");
      return (await cri.ListImages({})).images.flatMap(({ repoTags }) => repoTags);
    };
    /** Brings an image that no other pod has to the second node, where nothing uses it then. */
    const leave = async (name: string): Promise<string> => {
      const image = `${registryName}/${name}`;
      await cluster().registry.pushLarge(name, largeBytes);
      const container = { ...shellContainer(image, "true"), imagePullPolicy: "IfNotPresent" };
      await client.create(
        pod("brings", {
          nodeName: cluster().nodes[1].name,
          restartPolicy: "Never",
          containers: [container],
        }),
      );
      await until(
        "it has run",
        async () => (await client.pod("brings")).status?.phase === "Succeeded",
        patience,
      );
      await client.core.deleteNamespacedPod({ name: "brings", namespace: client.namespace });
      await until(
        "it is gone",
        async () => (await client.pods("")).every((it) => it.metadata?.name !== "brings"),
        patience,
      );
      assert.ok((await images()).includes(image), image);
      return image;
    };
    const imageFs = async () =>
      (await client.figures(cluster().nodes[1].name)).node.runtime.imageFs;

    test("the images' disk is nearly full: the kubelet collects what nothing uses", async () => {
      const [, node] = cluster().nodes;
      const { shell } = cluster().images;
      // Without it no image goes within its first two minutes.
      await using _ = await node.withKubelet({ imageMinimumGCAge: "1s" });
      // The kubelet's figures are some seconds old when it looks what the images have given back: another pod may be evicted.
      const priorityClassName = "system-node-critical";
      const containers = [shellContainer(shell, "sleep 100000")];
      await client.create(pod("stays", { nodeName: node.name, priorityClassName, containers }));
      const atFirst = await until("the kubelet has figures", imageFs, patience);
      const image = await leave("garbage:1");
      await until("it stays", async () => isRunning(await client.pod("stays")), patience);
      const withIt = await until(
        "the figures tell that it is there",
        async () => {
          const now = await imageFs();
          return now.usedBytes - atFirst.usedBytes >= largeBytes && now;
        },
        patience,
      );
      const disk = () => statfs(node.box.seen("/var/lib/berthd"));
      const ballast = "/var/lib/berthd/ballast";
      const { bavail, blocks, bsize } = await disk();
      // 5 % is the threshold.
      const size = Math.floor((bavail - blocks * 0.03) * bsize);
      await node.box.must("sh", ["-c", `head -c ${size} /dev/zero >${ballast}`]);
      try {
        await until("it is collected", async () => !(await images()).includes(image), patience);
        assert.ok((await images()).includes(shell), "what is used stays");
        await until("the node is well again", () => isWell(node.name), patience);
      } finally {
        await node.box.must("rm", [ballast]);
      }
      await until(
        "the figures tell that it is gone",
        async () => {
          const { usedBytes, availableBytes } = await imageFs();
          const { bavail: now } = await disk();
          const isRight = Math.abs(availableBytes - now * bsize) < mebibyte;
          return withIt.usedBytes - usedBytes >= largeBytes && isRight;
        },
        patience,
      );
      const stays = await client.pod("stays");
      assert.ok(isRunning(stays), describePod(stays));
      const told = await client.core.listNamespacedEvent({
        namespace: "default",
        fieldSelector: `involvedObject.name=${node.name},reason=EvictionThresholdMet`,
      });
      assert.match(told.items.at(-1)?.message ?? "", /reclaim ephemeral-storage/);
    });
  });
}

function isRunning({ metadata, status }: V1Pod): boolean {
  return metadata?.deletionTimestamp === undefined && status?.phase === "Running";
}
