// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { AutoscalingV2Api } from "@kubernetes/client-node";
import type { ClusterClient, NamespacedClient } from "../../../support/cluster/client.ts";
import type { Cluster } from "../../../support/cluster/cluster.ts";
import { deployment, shellContainer } from "../../../support/cluster/manifests.ts";
import { startMetricsServer } from "../../../support/cluster/metrics-server.ts";
import type { Service } from "../../../support/cluster/service.ts";
import { toolOrReason } from "../../../support/go-tools.ts";
import { must } from "../../../support/run.ts";
import { until } from "../../../support/until.ts";

/** Two scrapes of ten seconds, and what the autoscaler waits for beyond. */
const patience = { timeoutMs: 300_000, everyMs: 1000 } as const;
const metricsServer = await toolOrReason("metrics-server");
const kubectl = await toolOrReason("kubectl");

/** What metrics-server makes of the figures of Berth's pods, and who goes by it. */
export function autoscaling(cluster: () => Cluster): void {
  suite("metrics-server", { skip: metricsServer.skip || kubectl.skip }, () => {
    let own: NamespacedClient;
    let client: ClusterClient;
    let server: Service;
    let kubeconfig: string;
    before(async () => {
      if (metricsServer.skip !== false) return;
      own = await cluster().client.inNamespace("autoscaling");
      client = own.client;
      const { folder, credentials } = cluster();
      kubeconfig = await credentials.kubeconfig("kubectl", "system:masters");
      server = await startMetricsServer(cluster(), { program: metricsServer.path, folder });
      const burning =
        "head -c 20000000 /dev/zero >/dev/shm/held; trap 'kill $!' TERM; (while :; do :; done) & wait";
      await client.create(
        deployment("busy", 1, {
          containers: [
            shellContainer(cluster().images.shell, burning, {
              // At most a fifth of a processor. So little is asked for that it is far more even where others leave it next to none.
              resources: { requests: { cpu: "20m" }, limits: { cpu: "200m", memory: "64Mi" } },
            }),
          ],
        }),
      );
    });
    after(async () => {
      await server?.[Symbol.asyncDispose]();
      if (server === undefined) return;
      await client.remove("APIService", "apiregistration.k8s.io/v1", "v1beta1.metrics.k8s.io");
      await own[Symbol.asyncDispose]();
    });

    /** The lines of `kubectl top`, by their first word. */
    const top = async (...args: readonly string[]): Promise<Map<string, string[]>> => {
      if (kubectl.skip !== false) throw new Error(kubectl.skip);
      const flags = ["--kubeconfig", kubeconfig, "-n", client.namespace, "--no-headers"];
      const said = await must(kubectl.path, ["top", ...args, ...flags]);
      return new Map(
        said
          .trim()
          .split("\n")
          .map((line) => {
            const [first = "", ...rest] = line.trim().split(/\s+/);
            return [first, rest];
          }),
      );
    };

    test("kubectl top knows each node and pod", async () => {
      const [pod] = await client.readyPods("app=busy", 1);
      const name = pod?.metadata?.name ?? "";
      const [cpu = "", memory = ""] = await until(
        "the pod's figures are there",
        async () => {
          const found = (await top("pod")).get(name);
          const [processor = 0, held = 0] = (found ?? []).map((it) => Number.parseInt(it, 10));
          // Of two looks one may have come late on a busy machine: then it seems more than its limit for once.
          return processor > 0 && processor <= 249 && held >= 19 && found;
        },
        patience,
      );
      assert.match(cpu, /^\d+m$/);
      assert.match(memory, /^(19|2\d)Mi$/);
      const nodes = await until(
        "figures of both nodes are there",
        async () => {
          // One that was not asked yet has `<unknown>`.
          const found = await top("node");
          for (const { name: node } of cluster().nodes)
            assert.match(found.get(node)?.join(" ") ?? "", /^\d+m \d+% \d+Mi \d+%$/, node);
          return found;
        },
        patience,
      );
      assert.equal(nodes.size, 2);
    });

    test("a HorizontalPodAutoscaler scales by processor time, up and no further", async () => {
      const { namespace } = client;
      await client.create({
        apiVersion: "autoscaling/v2",
        kind: "HorizontalPodAutoscaler",
        metadata: { name: "busy" },
        spec: {
          scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "busy" },
          minReplicas: 1,
          maxReplicas: 2,
          metrics: [
            {
              type: "Resource",
              resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } },
            },
          ],
        },
      } as object);
      await until(
        "there are two",
        async () => (await client.pods("app=busy")).length === 2,
        patience,
      );
      await client.readyPods("app=busy", 2);
      await until(
        "it tells both, and of what they ask for no more than they may have",
        async () => {
          const api = client.config.makeApiClient(AutoscalingV2Api);
          const { status } = await api.readNamespacedHorizontalPodAutoscaler({
            name: "busy",
            namespace,
          });
          const [current] = status?.currentMetrics ?? [];
          const percent = current?.resource?.current.averageUtilization ?? 0;
          // The limit is 1000 %.
          return status?.currentReplicas === 2 && percent >= 1 && percent < 1300;
        },
        patience,
      );
    });
  });
}
