// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesObject, V1Pod } from "@kubernetes/client-node";
import {
  type ClusterClient,
  conditionOf,
  type NamespacedClient,
  patience,
} from "../../../support/cluster/client.ts";
import type { Cluster } from "../../../support/cluster/cluster.ts";
import {
  deployment,
  pod,
  shellContainer,
  webContainer,
} from "../../../support/cluster/manifests.ts";
import { until } from "../../../support/until.ts";

const replicas = 8;
/** A pod that must wait for a node to be found gone, say. */
const longPatience = { timeoutMs: 400_000, everyMs: 500 } as const;

/** What goes wrong in the middle of a rollout; nobody mends it by hand. */
export function badDays(cluster: () => Cluster): void {
  suite("bad days in the middle of a rollout", () => {
    let own: NamespacedClient;
    let client: ClusterClient;
    before(async () => {
      own = await cluster().client.inNamespace("bad-days");
      client = own.client;
      await client.create(
        deployment("web", replicas, { containers: [webContainer(cluster().images.shell)] }),
        // It is of no rollout: whatever happens to its node's programs, it goes on.
        ...cluster().nodes.map(({ name }) =>
          pod(`bystander-${name}`, {
            nodeName: name,
            containers: [shellContainer(cluster().images.shell, "sleep 100000")],
          }),
        ),
      );
      await client.readyPods("app=web", replicas);
    });
    after(() => own?.[Symbol.asyncDispose]());

    let version = 1;
    const begin = async (): Promise<void> => {
      version += 1;
      const annotations = { "test.berth/version": String(version) };
      await client.objects.patch({
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name: "web" },
        spec: { template: { metadata: { annotations } } },
      } as KubernetesObject);
      await until(
        "a pod of the new kind runs",
        async () => (await client.pods("app=web")).some((it) => isOfVersion(it, version)),
        patience,
      );
    };
    const isOver = async (): Promise<void> => {
      await until(
        "all pods are of the new kind",
        async () => {
          const pods = await client.readyPods("app=web", replicas);
          return pods.every((it) => isOfVersion(it, version));
        },
        longPatience,
      );
      for (const { name } of cluster().nodes) {
        const { status } = await client.pod(`bystander-${name}`);
        const [container] = status?.containerStatuses ?? [];
        assert.deepEqual([status?.phase, container?.restartCount], ["Running", 0]);
      }
    };

    test("berthd of both nodes is killed", async () => {
      await begin();
      for (const { berthd } of cluster().nodes) await berthd.kill("SIGKILL");
      await isOver();
    });

    test("berthd is killed again and again", async () => {
      const [, { berthd }] = cluster().nodes;
      await begin();
      for (let turn = 0; turn < 3; turn += 1) {
        await berthd.kill("SIGKILL");
        await sleep(4000);
      }
      await isOver();
    });

    test("a kubelet is killed", async () => {
      await begin();
      await cluster().nodes[0].kubelet.kill("SIGKILL");
      await isOver();
    });

    test("the API server is away", async () => {
      await begin();
      const { apiServer } = cluster().controlPlane;
      await apiServer.stop("SIGKILL");
      await sleep(8000);
      await apiServer.start();
      await isOver();
    });

    test("a node's disk is full, and then is not: who took most of it is evicted", async () => {
      const [, { box, name }] = cluster().nodes;
      const script = "head -c 60000000 /dev/zero >/much; sleep 100000";
      await client.create(
        pod("greedy", {
          nodeName: name,
          containers: [shellContainer(cluster().images.shell, script)],
        }),
      );
      await until(
        "it has what it wants",
        async () => (await client.must("greedy", "ls", "-l", "/much")).includes(" 60000000 "),
        patience,
      );
      await begin();
      const ballast = "/var/lib/berthd/ballast";
      await box.must("sh", ["-c", `cat /dev/zero >${ballast} 2>/dev/null || true`]);
      try {
        await until(
          "the node tells it",
          async () => {
            const { status } = await client.core.readNode({ name });
            return conditionOf(status?.conditions, "DiskPressure") === "True";
          },
          longPatience,
        );
        await until(
          "the pod that took most is evicted",
          async () => (await client.pod("greedy")).status?.reason === "Evicted",
          longPatience,
        );
      } finally {
        await box.must("rm", [ballast]);
      }
      await until(
        "the node is well again",
        async () => {
          const { status, spec } = await client.core.readNode({ name });
          const isUnder = conditionOf(status?.conditions, "DiskPressure") === "True";
          return !isUnder && (spec?.taints ?? []).length === 0;
        },
        longPatience,
      );
      await until(
        "all pods are of the new kind",
        async () => {
          const pods = await client.pods("app=web");
          const well = pods.filter(
            (it) => isOfVersion(it, version) && it.status?.phase === "Running",
          );
          return well.length === replicas;
        },
        longPatience,
      );
    });
  });
}

function isOfVersion({ metadata }: V1Pod, version: number): boolean {
  return metadata?.annotations?.["test.berth/version"] === String(version);
}
